import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from napari_convgen.core.noise.models import GaussianNoise, PoissonGaussianNoise
from napari_convgen.core.quality.residual import Residual, residual_of

GAUSSIAN = GaussianNoise((2.0, 5.0))


def test_of_a_perfect_denoiser_it_is_the_noise():
    rng = np.random.default_rng(0)
    clean = rng.uniform(0, 100, (2, 80, 90))
    noisy = clean + np.array([2.0, 5.0])[:, None, None] * rng.normal(size=clean.shape)
    noisy[0, 3, 4], noisy[1, 50:] = np.nan, 1e9
    is_observed = np.isfinite(noisy)
    is_observed[1, 50:] = False
    found = residual_of(noisy, clean, is_observed, GAUSSIAN)
    assert found.spread == pytest.approx(1, abs=0.02)
    assert found.autocorrelation == pytest.approx(0, abs=0.03)
    half = residual_of(noisy, (noisy + clean) / 2, is_observed, GAUSSIAN)
    assert half.spread == pytest.approx(found.spread / 2, rel=1e-6)


def test_it_is_measured_against_the_noise_of_each_intensity():
    rng = np.random.default_rng(0)
    clean = rng.uniform(5, 500, (1, 90, 90))
    model = PoissonGaussianNoise((1.0,), (2.0,), (3.0,))
    noisy = 3 + 2 * rng.poisson((clean - 3) / 2) + rng.normal(size=clean.shape)
    assert residual_of(noisy, clean, np.ones(clean.shape, bool), model).spread == pytest.approx(1, abs=0.02)


def test_the_autocorrelation_is_that_of_neighbors():
    field = uniform_filter(np.random.default_rng(0).normal(size=(1, 200, 200)), (0, 1, 2))
    one = GaussianNoise((1.0,))
    found = residual_of(field, 0 * field, np.ones(field.shape, bool), one)
    assert found.autocorrelation == pytest.approx((0 + 0.5) / 2, abs=0.02)  # rows independent, columns half alike


def test_without_noise_it_cannot_be_told():
    none = GaussianNoise((0.0,))
    found = residual_of(np.ones((1, 5, 5)), np.ones((1, 5, 5)), np.ones((1, 5, 5), bool), none)
    assert np.isnan([found.spread, found.autocorrelation]).all()


def test_frames_are_pooled():
    pooled = Residual.mean([Residual(1, 0.2), Residual(7, 0.4)])
    assert pooled.spread == pytest.approx(5)
    assert pooled.autocorrelation == pytest.approx(0.3)
