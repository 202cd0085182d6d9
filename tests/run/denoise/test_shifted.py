import numpy as np
import pytest

from napari_convgen.config import PRESETS, preset
from napari_convgen.core.quality.metrics import psnr
from napari_convgen.run.compare.run import compare
from napari_convgen.run.denoise.run import denoise

SHIFTS = (-100, 1000)
SMALL = {"n_threads": 1, "device": "cpu"}


def few_steps(name):
    few = {"n_steps": 3, "generator.n_lessons": 2}
    if not preset(name).generator.learns_from_guide:
        few |= {"generator.n_channels": 8, "generator.n_scales": 2}
    return preset(name).replace(SMALL | {key: value for key, value in few.items() if preset(name).has(key)})


@pytest.fixture(scope="module")
def clean():
    y, x = np.mgrid[:48, :48] / 48
    spots = [(0.3, 0.35, 60, 0.01), (0.7, 0.7, 30, 0.03), (0.8, 0.2, 8, 0.004)]
    return 2 + sum(height * np.exp(-((x - a) ** 2 + (y - b) ** 2) / width) for a, b, height, width in spots)


@pytest.fixture(scope="module")
def photons(clean):
    return np.random.default_rng(0).poisson(clean).astype(np.float64)


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"best", "paper-narrow"}))  # they differ in their sizes alone
def test_a_constant_that_is_added_comes_back(name, photons, clean):
    before = denoise(photons, few_steps(name)).image
    for shift in SHIFTS:
        shifted = denoise(photons + shift, few_steps(name)).image - shift
        assert abs(psnr(shifted, clean, 60) - psnr(before, clean, 60)) < 0.3
        assert shifted == pytest.approx(before, abs=0.1)


def test_all_methods_draw_what_lies_below_zero_as_bright_as_it_is(photons, clean):
    result = compare(photons - 20, preset("default").replace(SMALL | {"n_steps": 12, "generator.n_lessons": 4}))
    is_dim, is_weak = clean < 2.1, (clean > 5) & (clean < 9)
    for method in result.methods:
        image = method.image + 20
        deviation = photons[is_dim].std()
        assert image[is_dim].mean() == pytest.approx(clean[is_dim].mean(), abs=0.2 * deviation)
        contrast = image[is_weak].mean() - image[is_dim].mean()
        assert contrast == pytest.approx(clean[is_weak].mean() - clean[is_dim].mean(), rel=0.15)
