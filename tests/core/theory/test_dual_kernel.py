import numpy as np
import pytest

from napari_convgen.core.theory.dual_kernel import dual_kernel, expected_gram, relu_dual, squared_weights
from napari_convgen.core.theory.kernels import bilinear, gaussian, normalized, triangular
from napari_convgen.core.theory.trigonometric import trigonometric_basis


def dense_gram(kernel):
    """Equation 13, entry by entry."""
    rows = [np.roll(kernel[::-1], i + 1) for i in range(len(kernel))]  # row i of U: u_{i - j}
    gram = np.empty((len(kernel), len(kernel)))
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            cosine = 1.0 if i == j else a @ b / (a @ a)
            gram[i, j] = (1 - np.arccos(cosine) / np.pi) / 2 * (a @ b)
    return gram


@pytest.mark.parametrize(
    "kernel",
    [
        triangular((40,), 1),
        triangular((40,), 7),
        gaussian((41,), 0.05),
        bilinear((40,)),
        np.random.default_rng(0).standard_normal(30),  # asymmetric: a convolution with itself is wrong here
    ],
)
def test_the_weights_are_the_eigenvalues_of_the_dense_gram_matrix(kernel):
    gram = dense_gram(kernel)
    np.testing.assert_allclose(expected_gram(kernel), gram[:, 0], atol=1e-7)
    basis = trigonometric_basis(len(kernel))
    np.testing.assert_allclose(basis.T @ gram @ basis, np.diag(squared_weights(kernel)), atol=1e-7)
    np.testing.assert_allclose(dual_kernel(kernel) ** 2, squared_weights(kernel))


def test_the_gram_matrix_is_the_mean_over_random_weights():
    u = np.random.default_rng(0).standard_normal((4, 5))
    rows = np.stack([np.roll(u[::-1, ::-1], (i + 1, j + 1), (0, 1)).ravel() for i, j in np.ndindex(u.shape)])
    active = (rows @ np.random.default_rng(1).standard_normal((20, 200_000)) > 0).astype(float)
    sampled = (rows @ rows.T) * (active @ active.T) / active.shape[1]
    np.testing.assert_allclose(expected_gram(u).ravel(), sampled[:, 0], atol=0.01 * sampled[0, 0])


def test_the_dual_is_the_probability_of_two_positive_products():
    rng = np.random.default_rng(0)
    c = rng.standard_normal((2, 400_000))
    for t in (-0.9, 0.0, 0.3, 0.99):
        both = (c[0] > 0) & (t * c[0] + np.sqrt(1 - t * t) * c[1] > 0)
        assert relu_dual(np.array([t]))[0] == pytest.approx(t * both.mean(), abs=2e-3)
    # The slope of the arccosine is infinite here: 1 - arccos(1 - e)/π is 1 - √(2e)/π.
    assert relu_dual(np.array([1 - 1e-12]))[0] == pytest.approx(0.5 - np.sqrt(2e-12) / (2 * np.pi), rel=1e-10)
    np.testing.assert_array_equal(relu_dual(np.array([1.0, -1.0])), [0.5, 0])


@pytest.mark.parametrize(
    ("kernel", "least", "largest"),
    [
        # The authors' printed values, which hold 1/6 where equation 13 has 1/2, to the 1e-11 by which they keep the arccosine in range.
        (triangular((300,), 1), 0.1666664294124757, 0.1666664294124757),
        (triangular((300,), 10), 0.004869964834235159, 1.957451126942472),
        (triangular((300,), 30), 0.0015584634297893334, 5.896218826235423),
        (gaussian((300,), 0.005), 0.0210919829944388, 0.4960470114114067),
        (gaussian((300,), 0.01), 0.009148520805936729, 0.9829880396044313),
        (gaussian((300,), 0.05), 0.0017704492841324963, 4.900697183926314),
    ],
)
def test_the_kernels_of_figure_6_have_the_authors_weights(kernel, least, largest):
    weights = squared_weights(normalized(kernel)) / 3
    assert weights.min() == pytest.approx(least, abs=3e-7)
    assert weights.max() == pytest.approx(largest, abs=3e-7)
