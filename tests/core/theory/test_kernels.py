import numpy as np
import pytest

from napari_convgen.core.theory.kernels import (
    bilinear,
    convolve,
    custom,
    gaussian,
    normalized,
    spectral_norm,
    step_size,
    triangular,
)
from napari_convgen.errors import InputError


def circulant(kernel):
    """The dense matrix, a shifted kernel in each column."""
    shifts = np.ndindex(kernel.shape)
    return np.stack([np.roll(kernel, shift, range(kernel.ndim)).ravel() for shift in shifts], 1)


@pytest.mark.parametrize("size", [(9,), (8,), (4, 5)])
def test_the_operator_is_the_circulant_matrix(size):
    rng = np.random.default_rng(0)
    kernel, image = rng.standard_normal(size), rng.standard_normal(size)
    matrix = circulant(kernel)
    np.testing.assert_allclose(convolve(kernel, image).ravel(), matrix @ image.ravel(), atol=1e-12)
    assert spectral_norm(kernel) == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-12)
    assert step_size(kernel) == pytest.approx(np.linalg.norm(matrix, 2) ** -2, rel=1e-12)


def test_kernels_have_their_taps_around_the_origin():
    np.testing.assert_allclose(triangular((8,), 3), np.array([3, 2, 1, 0, 0, 0, 1, 2]) / 3)
    np.testing.assert_allclose(triangular((5,), 1), [1, 0, 0, 0, 0])
    q = np.array([0, 1, 2, -3, -2, -1])
    np.testing.assert_allclose(gaussian((6,), 0.5), np.exp(-((q / 3) ** 2)))
    np.testing.assert_allclose(bilinear((6,)), [0.75, 0.75, 0.25, 0, 0, 0.25])
    np.testing.assert_allclose(custom(np.array([1.0, 2, 3]), (5,)), [2, 3, 0, 0, 1])


def test_on_two_axes_kernels_are_products():
    np.testing.assert_allclose(gaussian((6, 5), 0.2), np.outer(gaussian((6,), 0.2), gaussian((5,), 0.2)))
    np.testing.assert_allclose(bilinear((6, 5)), np.outer(bilinear((6,)), bilinear((5,))))
    taps = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(custom(taps, (3, 4)), [[1, 2, 0, 0], [4, 5, 0, 3], [0, 0, 0, 0]])


def test_a_kernel_is_normalized():
    assert np.linalg.norm(normalized(triangular((20, 20), 4))) == pytest.approx(1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: triangular((9,), 0), "half-width must be 1 sample or more, got 0"),
        (lambda: triangular((9,), 6), r"at most \(9,\) taps, got \(11,\)"),
        (lambda: gaussian((9,), 0.0), "must be positive, got 0"),
        (lambda: gaussian((0,), 0.1), "1 sample or more"),
        (lambda: bilinear((3, 9)), r"at most \(3, 9\) taps, got \(4, 4\)"),
        (lambda: custom(np.zeros(3), (9,)), "not all zero"),
        (lambda: custom(np.full(3, np.nan), (9,)), "finite"),
        (lambda: custom(np.ones((2, 2)), (9,)), "expected 1 or 1, got 2"),
    ],
)
def test_kernels_that_cannot_be_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
