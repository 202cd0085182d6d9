from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_convgen.core.noise.blocks import Blocks, fine_structure, flat_variance


def flat_blocks(strength, seed):
    """The flat ones of unit noise on a faint texture, the variance of their fine parts, and what of that is not noise."""
    rng = np.random.default_rng(seed)
    texture = gaussian_filter(rng.normal(size=(160, 160)), 0.8)
    noise = rng.normal(size=(160, 160))
    image = noise + strength * np.linspace(0.3, 1, 160) * texture / texture.std()
    blocks, alone = (Blocks.of(x, np.ones(x.shape, bool)) for x in (image, noise))
    variance, flat = flat_variance(blocks.smooth, blocks.fine, blocks.n_fine, blocks.weight)
    return blocks.take(flat), variance, variance - alone.fine[flat].mean()


@pytest.mark.parametrize("strength", [0.4, 0.7])
def test_structure_that_is_taken_for_noise_is_foretold_from_the_frequencies_below(strength):
    found = [flat_blocks(strength, seed) for seed in range(12)]
    true = np.mean([structure for *_, structure in found])
    assert true > 0.003
    assert 0.4 * true < np.mean([fine_structure(flat, variance) for flat, variance, _ in found]) < 2 * true


def test_of_noise_alone_hardly_anything_is_taken_for_structure():
    assert np.mean([fine_structure(*flat_blocks(0, seed)[:2]) for seed in range(12)]) < 0.003


@pytest.mark.parametrize(("smooth", "near"), [(0.0, 0.0), (1e-9, 2.0), (1e9, 1e9), (1.0, 0.1)])
def test_what_is_taken_for_structure_is_within_bounds(smooth, near):
    flat = flat_blocks(0, 0)[0]
    flat = replace(flat, smooth=np.full_like(flat.smooth, smooth), near=np.full_like(flat.near, near))
    assert 0 <= fine_structure(flat, 1.0) <= 0.2
