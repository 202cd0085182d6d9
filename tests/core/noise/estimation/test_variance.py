from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_convgen.core.noise.estimation.blocks import Blocks
from napari_convgen.core.noise.estimation.variance import flat_variance, noise_variance


def blocks_of(image, spacing=1):
    return Blocks.of(image, np.ones(image.shape, bool), spacing)


def texture(strength, seed, side=192):
    """A texture that is stronger to one side and nowhere flat."""
    values = gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 0.8)
    return strength * np.linspace(0.5, 1.5, side) * values / values.std()


def noise(seed, side=192):
    return np.random.default_rng(100 + seed).normal(size=(side, side))


@pytest.mark.parametrize(
    ("side", "n", "bias", "spread"), [(64, 40, 0.012, 0.04), (96, 24, 0.01, 0.03), (192, 12, 0.012, 0.02)]
)
def test_of_noise_alone_all_is_noise(side, n, bias, spread):
    errors = [noise_variance(blocks_of(noise(seed, side))) - (noise(seed, side) ** 2).mean() for seed in range(n)]
    assert abs(np.mean(errors)) < bias
    assert np.std(errors) < spread


@pytest.mark.parametrize("strength", [0.5, 1, 2])
def test_noise_is_told_from_a_texture_without_flat_places(strength):
    found = [blocks_of(noise(seed) + texture(strength, seed)) for seed in range(8)]
    off = np.mean([noise_variance(blocks) for blocks in found]) - 1
    assert abs(off) < 0.03
    assert np.mean([flat_variance(blocks)[0] for blocks in found]) - 1 > 3 * abs(off)


@pytest.mark.parametrize("decay", [0.2, 0.5])
def test_noise_and_structure_of_the_expected_shape_are_told_apart(decay):
    blocks = blocks_of(noise(0))
    amounts = np.geomspace(0.01, 30, len(blocks))
    spectrum = 2.5 + amounts[:, None] * np.exp(-decay * np.arange(7))
    blocks = replace(blocks, smooth=amounts, spectrum=spectrum)
    assert noise_variance(blocks) == pytest.approx(2.5, rel=1e-6)


@pytest.mark.parametrize("factor", [1e-8, 1e6])
def test_the_variance_is_in_the_units_of_the_image(factor):
    image = noise(0) + texture(1, 0)
    assert noise_variance(blocks_of(factor * image)) == pytest.approx(factor**2 * noise_variance(blocks_of(image)))


def test_an_image_without_noise_has_none():
    assert noise_variance(blocks_of(np.full((192, 192), 3.0))) == 0
    image = np.zeros((96, 96))
    image[:, 48:] = texture(1, 0)[:96, :48]
    assert noise_variance(blocks_of(image)) == 0


@pytest.mark.parametrize("blocks", [blocks_of(noise(0), 2), blocks_of(noise(0)[:20, :20]), blocks_of(noise(0).ravel())])
def test_few_or_small_blocks_and_those_of_pixels_apart_are_judged_by_the_flattest(blocks):
    assert noise_variance(blocks) == flat_variance(blocks)[0]
