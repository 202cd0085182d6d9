import numpy as np
import pytest
from scipy.fft import dctn

from napari_convgen.core.noise.estimation.blocks import Blocks


def test_parts_of_a_block_are_means_over_its_cosine_coefficients():
    image = np.random.default_rng(0).normal(size=(8, 8))
    blocks = Blocks.of(image, np.ones(image.shape, bool))
    energy, frequency = dctn(image, norm="ortho") ** 2, np.add.outer(np.arange(8), np.arange(8))
    assert blocks.spectrum[0] == pytest.approx([energy[frequency == i].mean() for i in range(8, 15)])
    assert blocks.n_fine.tolist() == [7, 6, 5, 4, 3, 2, 1]
    assert blocks.fine[0] == pytest.approx(energy[frequency > 7].mean())
    assert blocks.smooth[0] == pytest.approx(energy[(frequency > 0) & (frequency < 8)].mean())
    assert blocks.mean[0] == pytest.approx(image.mean())


@pytest.mark.parametrize(("shape", "spacing"), [((96, 96), 1), ((96, 96), 2), ((4000,), 1), ((6, 48, 48), 1)])
def test_white_noise_has_the_same_energy_in_all_parts(shape, spacing):
    image = 3 * np.random.default_rng(0).normal(size=shape)
    blocks = Blocks.of(image, np.ones(shape, bool), spacing)
    for part in (blocks.slow, blocks.middle, blocks.smooth, blocks.fine, *blocks.spectrum.T):
        assert part.mean() == pytest.approx(9, rel=0.15)


def test_blocks_with_missing_values_are_left_out():
    image = np.random.default_rng(0).normal(size=(64, 64))
    is_observed = np.ones(image.shape, bool)
    is_observed[20, 30] = False
    image[20, 30] = 1e6
    blocks = Blocks.of(image, is_observed)
    assert len(blocks) == 57**2 - 8**2
    assert blocks.fine.max() < 10


@pytest.mark.parametrize(("shape", "spacing"), [((160, 160), 1), ((160, 160), 2), ((20000,), 1)])
def test_the_third_cumulant_is_that_of_the_noise_and_as_exact_as_it_says(shape, spacing):
    rng = np.random.default_rng(0)
    events, even = (
        Blocks.of(x, np.ones(shape, bool), spacing, has_third=True)
        for x in (rng.poisson(9.0, shape).astype(float), rng.normal(0, 3, shape))
    )
    error = np.sqrt(6 * 9**3 / (even.n_third * len(even) * even.weight))
    assert abs(even.third.mean()) < 3 * error < 6
    assert abs(events.third.mean() - 9) < 3 * error
    assert even.third.var() == pytest.approx(6 * 9**3 / even.n_third, rel=0.1)


def test_blocks_of_four_pixels_tell_nothing_of_the_third_cumulant():
    blocks = Blocks.of(np.random.default_rng(0).normal(size=(2, 3)), np.ones((2, 3), bool), has_third=True)
    assert blocks.n_third == 0
    assert not blocks.third.any()
