"""The share of the image of the least curvature in that of plug and play."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.plug_and_play import plug_and_play_stages
from napari_convgen.core.regularized.smooth_share import least_curved, smooth_share

SIZE = 56


def posed(truth, seed=0):
    """Leave out half of the pixels."""
    keep = (torch.from_numpy(np.random.default_rng(seed).random((1, SIZE, SIZE))) < 0.5).float()
    operator = LinearMap(lambda x: keep * x, tuple(keep.shape), tuple(keep.shape), lambda y: keep * y)
    return Problem(keep * truth, keep, operator=operator)


def smooth_scene():
    spots = ndimage.gaussian_filter(np.random.default_rng(1).random((1, SIZE, SIZE)) ** 40, (0, 1.3, 1.3))
    return torch.from_numpy((0.1 + 0.8 * spots / spots.max()).astype(np.float32))


def tiled_scene():
    y, x = np.indices((SIZE, SIZE))
    disks = ((x % 14 - 7) ** 2 + (y % 18 - 9) ** 2 < 25) * 0.5
    return torch.from_numpy((0.2 + disks + 0.2 * (np.sin(x / 3 + y / 9) > 0)).astype(np.float32))[None]


def error(image, truth):
    return float((image - truth).square().mean())


@pytest.mark.parametrize(("scene", "low", "high"), [(smooth_scene, 0.5, 1.0), (tiled_scene, 0.0, 0.1)])
def test_the_mixture_is_about_as_good_as_the_better_part(scene, low, high):
    truth = scene()
    problem = posed(truth)
    share = smooth_share(problem)
    assert low <= share <= high
    *_, last = plug_and_play_stages(problem)
    mixture = torch.lerp(last.image, least_curved(problem).x, share)
    assert error(mixture, truth) < 1.05 * min(error(last.image, truth), error(least_curved(problem).x, truth))


def test_nothing_is_mixed_in_where_entries_are_measured_in_groups():
    problem = posed(smooth_scene())
    groups = torch.arange(SIZE)[:, None].expand(SIZE, SIZE)
    grouped = replace(problem, operator=replace(problem.operator, entry_groups=groups))
    assert smooth_share(grouped) == 0
