import numpy as np
import pytest

from napari_convgen.core.baselines.color import from_opponents, noise_covariance, to_opponents


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize(("share", "luminance", "difference"), [(0, 1, 1), (0.5, 2**0.5, 0.5**0.5), (1, 3**0.5, 0)])
def test_the_noise_that_channels_share_lies_in_the_luminance(share, luminance, difference, scene):
    clean = scene((96, 96)) * np.array([0.9, 0.6, 0.8])[:, None, None]
    shared = np.sqrt(share) * noise((96, 96), 1) + np.sqrt(1 - share) * noise((3, 96, 96), 2)
    opponents, level = to_opponents(clean + 0.05 * shared, np.full(3, 0.05))
    np.testing.assert_allclose(level / 0.05, [luminance, difference, difference], atol=0.15)
    np.testing.assert_allclose(from_opponents(opponents), clean + 0.05 * shared)


def test_structure_that_channels_share_is_not_taken_for_noise():
    texture = np.random.default_rng(0).normal(size=(96, 96))
    values = 0.1 * texture + 0.05 * noise((3, 96, 96), 1)
    covariance = noise_covariance(values, np.full(3, 0.05))
    np.testing.assert_allclose(covariance, 0.05**2 * np.eye(3), atol=0.1 * 0.05**2)
