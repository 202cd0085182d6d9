import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.core.noise.estimation.impulses import find_impulses
from napari_convgen.core.noise.models import GaussianNoise, PoissonGaussianNoise

MODEL = GaussianNoise((5.0,))


def noisy(shape=(96, 96)):
    return 100 + 20 * np.sin(np.indices(shape).sum(0) / 9) + 5 * np.random.default_rng(0).standard_normal(shape)


def find(image, model=MODEL):
    return find_impulses(image[None], np.isfinite(image)[None], model.stabilizers())[0]


@pytest.mark.parametrize("shape", [(96, 96), (4, 48, 48), (2000,)])
def test_salt_and_pepper_are_found_and_nothing_else(shape):
    image = noisy(shape)
    is_hit = np.random.default_rng(1).random(shape) < 0.02
    image[is_hit] = np.random.default_rng(2).choice([0.0, 255.0], is_hit.sum())
    found = find(image)
    assert found[is_hit].mean() > 0.85
    assert found[~is_hit].mean() < 1e-3


def test_points_as_optics_draws_them_are_none():
    image = noisy()
    points = np.zeros_like(image)
    points[8::16, 8::16] = 1
    image += 2000 * ndimage.gaussian_filter(points, 1.0)
    assert not find(image).any()


@pytest.mark.parametrize("line", [np.s_[40, 5:90], np.s_[5:90, 40], (np.arange(5, 90), np.arange(5, 90))])
def test_thin_lines_are_none(line):
    image = noisy()
    image[line] += 100
    assert find(image).sum() <= 4  # their ends, at most


def test_a_few_photons_in_the_dark_are_none():
    image = np.random.default_rng(0).poisson(0.05, (200, 200)).astype(float)
    assert not find(image, PoissonGaussianNoise((0.0,), (1.0,), (0.0,))).any()


def test_missing_values_are_neither_found_nor_in_the_way():
    image = noisy()
    image[np.random.default_rng(1).random(image.shape) < 0.2] = np.nan
    image[50, 50] = 255
    assert np.argwhere(find(image)).tolist() == [[50, 50]]


def test_without_noise_nothing_stands_out():
    assert not find(noisy(), GaussianNoise((0.0,))).any()
