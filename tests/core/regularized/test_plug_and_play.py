"""The image that agrees with a measurement and that the non-local estimate leaves as it is."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.non_local import non_local_estimate
from napari_convgen.core.non_local.piloted import PilotedEstimate
from napari_convgen.core.operators.blurring import blurring
from napari_convgen.core.operators.forward_model import ForwardModel
from napari_convgen.core.operators.resizing import box_downsampling
from napari_convgen.core.optics.point_spread import gaussian_psf
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.plug_and_play import (
    TRUST,
    measured_levels,
    plug_and_play_stages,
    plug_in,
    without_doubtful_noise,
)
from napari_convgen.core.regularized.smooth_share import least_curved
from napari_convgen.core.regularized.smoothest import smoothest

SIZE = 56


def scene(n=SIZE):
    """Return stripes and disks: edges and structure that repeats itself."""
    y, x = np.indices((n, n))
    disks = ((x % 14 - 7) ** 2 + (y % 18 - 9) ** 2 < 25) * 0.5
    return torch.from_numpy((0.2 + disks + 0.2 * (np.sin(x / 3 + y / 9) > 0)).astype(np.float32))[None]


def draws(shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def psnr(image, truth):
    return -10 * float((image - truth).square().mean().log10())


def mask(keep):
    return LinearMap(lambda x: keep * x, tuple(keep.shape), tuple(keep.shape), lambda y: keep * y)


def images(problem, **options):
    return [stage.image for stage in plug_and_play_stages(problem, **options)]


def test_half_of_the_pixels_tell_the_others_better_than_interpolation_does():
    truth = scene()
    keep = (draws(truth.shape) > 0).float()
    first, *_, last = images(Problem(keep * truth, keep, operator=mask(keep)))
    y, x = np.nonzero(keep[0].numpy())
    grid = np.indices((SIZE, SIZE))
    from scipy.interpolate import griddata

    linear = griddata((y, x), truth[0].numpy()[y, x], tuple(grid), "linear")
    linear = np.where(np.isnan(linear), 0.4, linear)
    assert psnr(last, truth) > max(psnr(first, truth), psnr(torch.from_numpy(linear)[None], truth)) + 3
    assert float(((last - truth) * keep).abs().max()) < 0.05


def test_a_hole_in_an_image_without_noise_is_not_left_dark():
    ramp = (0.4 + 0.01 * torch.arange(40.0)).expand(1, 40, 40)
    keep = torch.ones_like(ramp).contiguous()
    keep[:, 8:32, 8:32] = 0
    problem = Problem(keep * ramp, keep)
    for image in (next(plug_and_play_stages(problem)).image, least_curved(problem).x):
        assert float((image - ramp).abs().max()) < 0.02


def test_a_blurred_image_is_deblurred_better_than_by_the_best_smooth_image():
    spread = gaussian_psf([1.5, 1.5])
    operator = blurring((1, SIZE, SIZE), spread)
    truth = scene(operator.in_shape[1])
    level = 0.04
    y = operator.apply(truth)
    problem = Problem(y + level * draws(y.shape, 1), torch.ones_like(y), torch.tensor([level]), operator=operator)
    seen = (slice(None), *spread.field_of_view)
    last = images(problem)[-1]
    smooth = [smoothest(problem, (level * 2.0**k / 0.12) ** 2) for k in range(-4, 5)]
    assert psnr(last[seen], truth[seen]) > max(psnr(each[seen], truth[seen]) for each in smooth) + 0.3


def test_entries_without_weight_have_no_say():
    truth = scene(40)
    keep = (draws(truth.shape) > -0.5).float()
    operator = mask(torch.ones_like(truth))
    spoiled = torch.where(keep > 0, truth, 7.0)
    clean = Problem(truth, torch.ones_like(truth), torch.tensor([0.02]), operator=operator)
    whole = Problem(spoiled, torch.ones_like(truth), torch.tensor([0.02]), operator=operator)
    assert torch.equal(images(clean, weights=keep)[-1], images(whole, weights=keep)[-1])


def test_channels_are_denoised_apart_and_colors_where_their_luminance_is_alike():
    one = scene(40)
    color = torch.cat((one, 0.8 * one, 1 - one)) + 0.1 * draws((3, 40, 40), 2)
    apart, together = PilotedEstimate([[0], [1], [2]]), PilotedEstimate([[0, 1, 2]])
    for _ in range(2):
        separate, joint = apart(color, 0.1), together(color, 0.1)
    alone = PilotedEstimate([[0]])
    for _ in range(2):
        single = alone(color[1:2], 0.1)
    assert torch.allclose(separate[1:2], single, atol=1e-5)
    assert not torch.allclose(joint[1:2], single, atol=1e-3)


def test_the_noise_level_is_that_of_each_channel_or_the_least_one():
    two = torch.ones(2, 8, 8)
    assert measured_levels(Problem(two, two, torch.tensor([0.1, 0.3]))).flatten().tolist() == pytest.approx([0.1, 0.3])
    assert measured_levels(Problem(two, two)).unique().tolist() == pytest.approx([0.002])
    coils = Problem(torch.ones(4, 8, 8), torch.ones(4, 8, 8), torch.full((4,), 0.2), operator=_sum_map())
    assert measured_levels(coils).flatten().tolist() == pytest.approx([0.2, 0.2])


def _sum_map():
    return LinearMap(lambda x: x.repeat(2, 1, 1), (2, 8, 8), (4, 8, 8), lambda y: y[:2] + y[2:])


def test_an_operator_must_be_linear():
    one = torch.ones(1, 8, 8)
    square = ForwardModel(torch.square, (1, 8, 8), (1, 8, 8))
    with pytest.raises(ValueError, match="linear"):
        images(Problem(one, one, operator=square))


def test_volumes_and_lines_have_estimates_too():
    line = torch.from_numpy(ndimage.gaussian_filter1d(np.random.default_rng(0).normal(size=90), 4).astype(np.float32))
    keep = (draws((1, 90), 3) > -0.7).float()
    assert psnr(images(Problem(keep * line, keep, operator=mask(keep)))[-1], line[None]) > 35
    volume = scene(24).expand(1, 6, 24, 24)[None, 0].contiguous().view(1, 6, 24, 24)
    keep = (draws(volume.shape, 4) > 0).float()
    first, *_, last = images(Problem(keep * volume, keep, operator=mask(keep)))
    assert psnr(last, volume) > psnr(first, volume) + 3


@pytest.mark.parametrize("is_complex", [False, True])
def test_a_turn_weighs_the_measurement_by_the_noise_of_a_channel(is_complex):
    """Of an operator that is one to one, the image is a mean of the measurement and of the denoised image."""
    parts, level, noise = scene().repeat(1 + is_complex, 1, 1), 0.05, 0.02**2
    size = (1, *parts.shape[1:]) if is_complex else tuple(parts.shape)
    there = (lambda x: torch.complex(*x)[None]) if is_complex else (lambda x: x)
    back = (lambda y: torch.cat((y.real, y.imag))) if is_complex else (lambda y: y)
    operator = LinearMap(there, tuple(parts.shape), size, back)
    measured = parts + 0.02 * draws(parts.shape)
    problem = Problem(there(measured), torch.ones(size), operator=operator)
    start = parts + level * draws(parts.shape, seed=1)
    denoised = non_local_estimate(start, torch.full((len(parts),), level))
    rho = TRUST**2 * noise / (1 + is_complex) / level**2
    turned = plug_in(problem, start, level, noise, problem.weights)
    torch.testing.assert_close(turned, (measured + rho * denoised) / (1 + rho), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("is_noisy", [False, True])
def test_the_noise_of_few_large_pixels_is_believed_only_if_it_predicts_those_held_out(is_noisy, monkeypatch):
    monkeypatch.setattr("napari_convgen.core.regularized.plug_and_play.MAX_DRAWS", 4)
    operator = box_downsampling((1, 28, 28), (2, 2))
    smooth = torch.from_numpy(ndimage.gaussian_filter(draws((56, 56)).numpy(), 6)[None] * 3)
    fine = scene(56) if not is_noisy else smooth
    level = torch.tensor([0.1])
    small = operator.apply(fine)
    small = small + is_noisy * 0.1 * draws(small.shape)
    problem = Problem(small, torch.ones_like(small), operator=operator, noise_level=level)
    assert (without_doubtful_noise(problem, torch.Generator().manual_seed(0)).noise_level is None) == (not is_noisy)
