import pytest
import torch

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.fourier import fourier
from napari_convgen.core.operators.identity import identity
from napari_convgen.core.operators.microscopes import through_focus
from napari_convgen.core.optics.objective import Objective
from napari_convgen.core.spectra.centering import ChannelMeans, FlatResponses, as_real, from_real
from napari_convgen.core.spectra.jacobian import measured, observed

LIKE = torch.zeros(1, dtype=torch.float64)
RNG = torch.Generator().manual_seed(0)
IS_SAMPLED = torch.rand(6, 5, generator=RNG) < 0.6
MAPS = torch.randn((3, 6, 5), generator=RNG, dtype=torch.complex128) / 4
SCAN = fourier(MAPS, IS_SAMPLED)
WEIGHTS = IS_SAMPLED.double()[None, ..., None].expand(3, 6, 5, 2).contiguous()


def dense(operator):
    units = torch.eye(60, dtype=torch.float64).view(60, *operator.in_shape)
    return torch.stack([as_real(operator.apply(unit)).flatten() for unit in units], 1)


def test_the_map_to_complex_entries_is_the_dense_one_with_its_adjoint():
    a = torch.randn((60, 7), generator=RNG, dtype=torch.float64)
    images = LinearMap(lambda v: (a @ v).view(1, 2, 6, 5), (7,), (1, 2, 6, 5), lambda y: a.T @ y.flatten())
    entries = measured(images, SCAN, is_complex=True)
    assert entries.out_shape == (1, 3, 6, 5, 2)
    matrix = dense(SCAN) @ a
    assert torch.allclose(entries.matrix(LIKE), matrix, atol=1e-12)
    assert entries.dot_error(LIKE, RNG) < 1e-13
    part = observed(entries, FlatResponses.of(SCAN, WEIGHTS))
    ones = torch.zeros(60, 2, dtype=torch.float64)
    ones[:30, 0], ones[30:, 1] = 1, 1
    basis = torch.linalg.qr(dense(SCAN) @ ones)[0]
    assert torch.allclose(part.matrix(LIKE), matrix - basis @ (basis.T @ matrix), atol=1e-12)
    assert part.dot_error(LIKE, RNG) < 1e-13


def test_levels_are_those_of_the_constant_image_that_was_measured():
    centered = FlatResponses.of(SCAN, WEIGHTS)
    flat = as_real(SCAN.apply(torch.tensor([0.3, -0.2]).double().view(2, 1, 1).expand(2, 6, 5)))
    assert centered.levels(flat) == pytest.approx([0.3, -0.2])
    assert centered(flat).abs().max() < 1e-12
    assert centered.n_values == 6 * int(IS_SAMPLED.sum()) - 2


def test_of_an_image_they_are_the_means_of_its_channels():
    image, weights = torch.rand((2, 4, 5), generator=RNG).double(), torch.ones(2, 4, 5).double()
    weights[0, 1, 1] = 0
    means, flat = ChannelMeans(weights), FlatResponses.of(identity((2, 4, 5)), weights)
    assert torch.allclose(flat(image), means(image))
    assert flat.n_values == means.n_values == 37


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_mean_that_is_not_measured_is_left_out(dtype):
    imaging = through_focus(
        Objective(0.5, 0.52, 1.0), (0.3, 0.3), [-2.0, 0.0, 2.0], (18, 17), 0
    )  # whose responses are rounding
    phase = torch.rand(imaging.in_shape, generator=RNG).to(dtype)
    operator = imaging.linearized(phase, torch.zeros(1, dtype=dtype))
    images = torch.rand(operator.out_shape, generator=RNG).to(dtype)
    centered = FlatResponses.of(operator, torch.ones_like(images))
    assert torch.equal(centered(images), images)
    assert centered.n_values == images.numel()


def test_complex_values_come_back():
    assert torch.equal(from_real(as_real(MAPS), True), MAPS)
    assert from_real(LIKE, False) is LIKE
