"""What holds for every linear operator: its adjoint, its matrix from the formula, its norm, its shapes, and every precision."""

import math

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.blurring import blurring
from napari_convgen.core.operators.fourier import fourier
from napari_convgen.core.operators.identity import identity
from napari_convgen.core.operators.masking import masking
from napari_convgen.core.operators.microscopes import led_array
from napari_convgen.core.operators.resizing import box_downsampling, lanczos_downsampling
from napari_convgen.core.operators.sensing import cosine_sensing, gaussian_sensing
from napari_convgen.core.optics.objective import Objective
from napari_convgen.core.optics.point_spread import PointSpread

DOUBLE = torch.zeros((), dtype=torch.float64)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def random_psf(*shape):
    return PointSpread.of(torch.rand(shape, generator=source(1), dtype=torch.float64).numpy())


def random_maps(*shape):
    return torch.complex(*torch.randn((2, *shape), generator=source(2), dtype=torch.float64))


def random_mask(*shape):
    return torch.rand(shape, generator=source(3)) < 0.6


def weak_change(has_absorption):
    microscope = Objective(0.4, 0.5, 1.0)
    imaging = led_array(microscope, (0.3, 0.3), np.array([[0, 0], [0.2, -0.1]]), (3, 4), 2, 2, has_absorption)
    at = torch.rand(imaging.in_shape, generator=source(4), dtype=torch.float64)
    parameters = torch.rand(imaging.n_parameters, generator=source(5), dtype=torch.float64)
    return imaging.linearized(at, parameters)


OPERATORS = {
    "identity": lambda: identity((2, 3, 4)),
    "masking": lambda: masking(random_mask(2, 5, 6)),
    "blurring": lambda: blurring((2, 7, 9), random_psf(3, 5)),
    "blurring a line": lambda: blurring((1, 11), random_psf(5)),
    "blurring a volume": lambda: blurring((1, 4, 5, 6), random_psf(3, 1, 5)),
    "box": lambda: box_downsampling((2, 3, 4), (2, 3)),
    "box of a volume": lambda: box_downsampling((1, 3, 2, 2), (1, 2, 4)),
    "Lanczos": lambda: lanczos_downsampling((2, 3, 5), (2, 3)),
    "Lanczos of a volume": lambda: lanczos_downsampling((1, 3, 2, 3), (1, 4, 2)),
    "Fourier": lambda: fourier(random_maps(3, 5, 6), random_mask(5, 6)),
    "Fourier of a volume": lambda: fourier(
        random_maps(2, 3, 4, 2), random_mask(3, 1, 2).expand(3, 4, 2), readout_axis=1
    ),
    "cosines": lambda: cosine_sensing((2, 4, 7), 11, source()),
    "cosines of a volume": lambda: cosine_sensing((1, 3, 4, 5), 17, source()),
    "Gaussian": lambda: gaussian_sensing((2, 4, 5), 7, source()),
    "masked blur": lambda: masking(random_mask(1, 6, 5)) @ blurring((1, 6, 5), random_psf(3, 3)),
    "weak change of a phase": lambda: weak_change(has_absorption=False),
    "weak change of phase and absorption": lambda: weak_change(has_absorption=True),
    "box and Lanczos": lambda: LinearMap.stack(
        [box_downsampling((1, 4, 2), (1, 2)), lanczos_downsampling((1, 4, 2), (1, 2))]
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_each_has_its_adjoint_in_both_precisions_and_the_shapes_that_it_names(name):
    operator = OPERATORS[name]()
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        like = torch.zeros((), dtype=dtype)
        assert operator.dot_error(like, source()) < tolerance
        y = operator.apply(torch.rand(operator.in_shape, generator=source(), dtype=dtype))
        x = operator.adjoint(y)
        assert (y.shape, x.shape) == (operator.out_shape, operator.in_shape)
        assert (y.dtype.to_real(), x.dtype) == (dtype, dtype)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_norm_is_the_largest_singular_value(name):
    operator = OPERATORS[name]()
    matrix = operator.matrix(DOUBLE)
    if matrix.is_complex():
        matrix = torch.view_as_real(matrix).movedim(-1, 0).flatten(0, 1)
    expected = float(torch.linalg.matrix_norm(matrix, 2))
    assert operator.norm(DOUBLE, source()) == pytest.approx(expected, rel=5e-3)
    assert operator.norm(DOUBLE, source()) <= expected * (1 + 1e-12)


def test_the_norm_of_a_map_to_zero_is_zero():
    nothing = LinearMap(torch.zeros_like, (3,), (3,), torch.zeros_like)
    assert nothing.norm(DOUBLE, source()) == 0


def test_gradients_go_through():
    for name in ("blurring", "Lanczos", "Fourier", "cosines", "Gaussian", "masking"):
        operator = OPERATORS[name]()
        x = torch.rand(operator.in_shape, generator=source(), dtype=torch.float64, requires_grad=True)
        y = operator.apply(x)
        (y.real.square() + y.imag.square() if y.is_complex() else y.square()).sum().backward()
        torch.testing.assert_close(x.grad, 2 * operator.adjoint(y.detach()))


def test_a_blur_is_the_sum_over_the_psf():
    psf, x = random_psf(3, 5), torch.rand((2, 9, 13), generator=source(), dtype=torch.float64)
    kernel = torch.from_numpy(psf.values).flip(0, 1)[None, None]  # PyTorch correlates
    expected = torch.nn.functional.conv2d(x[:, None], kernel)[:, 0]
    operator = blurring((2, 7, 9), psf)
    torch.testing.assert_close(operator.apply(x), expected)
    ones = torch.ones(operator.in_shape, dtype=torch.float64)
    torch.testing.assert_close(operator.apply(ones), ones[:, :7, :9])  # open borders do not darken


def test_a_point_is_blurred_to_the_psf_where_the_field_of_view_shows_it():
    psf = random_psf(3, 5)
    operator = blurring((1, 9, 9), psf)
    view = torch.zeros(1, 9, 9, dtype=torch.float64)
    view[0, 4, 3] = 1
    x = torch.zeros(operator.in_shape, dtype=torch.float64)
    x[(slice(None), *psf.field_of_view)] = view
    torch.testing.assert_close(operator.apply(x)[0, 3:6, 1:6], torch.from_numpy(psf.values))


def test_small_pixels_are_averaged():
    x = torch.rand((1, 6, 8), generator=source(), dtype=torch.float64)
    expected = torch.nn.functional.avg_pool2d(x, (3, 2))
    torch.testing.assert_close(box_downsampling((1, 2, 4), (3, 2)).apply(x), expected)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_lanczos_weights_are_those_of_the_formula_and_sum_to_one(factor):
    n = 4
    place = (torch.arange(n * factor) + 0.5) / factor
    t = place - (torch.arange(n, dtype=torch.float64)[:, None] + 0.5)
    weights = torch.sinc(t) * torch.sinc(t / 3) * (t.abs() < 3)
    expected = weights / weights.sum(1, keepdim=True)
    torch.testing.assert_close(lanczos_downsampling((1, n), (factor,)).matrix(DOUBLE), expected)


def test_k_space_is_that_of_the_sum_over_pixels():
    maps, mask = random_maps(2, 4, 5), random_mask(4, 5)
    image = random_maps(4, 5)
    frequencies = [torch.arange(n) - n // 2 for n in (4, 5)]
    waves = [
        torch.exp(-2j * math.pi * torch.outer(f, f).double() / n) / n**0.5
        for f, n in zip(frequencies, (4, 5), strict=True)
    ]
    expected = mask * torch.einsum("ka,lb,cab->ckl", *waves, maps * image)
    operator = fourier(maps, mask)
    torch.testing.assert_close(operator.apply(torch.stack((image.real, image.imag))), expected)


def test_the_cosine_transform_is_orthonormal_and_agrees_with_scipy():
    x = torch.rand((1, 4, 7), generator=source(), dtype=torch.float64)
    operator = cosine_sensing((1, 4, 7), 28, source(5))
    signs = 2 * torch.randint(2, (4, 7), generator=source(5)).double() - 1
    expected = torch.from_numpy(dctn((signs * x[0]).numpy(), norm="ortho")).flatten()
    torch.testing.assert_close(operator.apply(x)[0], expected)
    torch.testing.assert_close(operator.adjoint(operator.apply(x)), x)
    few = cosine_sensing((1, 4, 7), 9, source(5)).matrix(DOUBLE)
    torch.testing.assert_close(few @ few.T, torch.eye(9, dtype=torch.float64))


def test_a_seed_makes_the_same_random_map_in_each_precision():
    for sensing in (cosine_sensing, gaussian_sensing):
        first, again, other = (sensing((1, 4, 4), 6, source(seed)).matrix(DOUBLE) for seed in (5, 5, 6))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        torch.testing.assert_close(
            sensing((1, 4, 4), 6, source(5)).matrix(torch.zeros(())).double(), first, rtol=1e-5, atol=1e-6
        )
    entries = gaussian_sensing((1, 20, 20), 100, source()).matrix(DOUBLE)
    assert float(entries.square().mean()) * 100 == pytest.approx(1, rel=0.03)


def test_a_masked_operator_has_the_masked_matrix():
    mask = random_mask(1, 6, 5)
    blur = blurring((1, 6, 5), random_psf(3, 3))
    expected = mask.flatten()[:, None] * blur.matrix(DOUBLE)
    torch.testing.assert_close((masking(mask) @ blur).matrix(DOUBLE), expected)
