"""Weights that stand for noise which depends on the signal."""

import numpy as np
import pytest

from napari_convgen.core.noise.models import PoissonGaussianNoise, RicianNoise
from napari_convgen.core.noise.models.rician.rice import rice_mean
from napari_convgen.core.noise.precision import LEAST_VARIANCE, Precision


def test_the_weights_are_the_inverse_variances_and_one_on_average():
    levels = np.where(np.arange(80) < 40, 10.0, 90.0)
    values = np.broadcast_to(levels, (1, 60, 80))
    seen = np.ones(values.shape, bool)
    seen[0, :5] = False
    found = Precision.of(PoissonGaussianNoise(sigma=(2.0,), gain=(1.0,), offset=(0.0,)), values, seen)
    inner = found.weights[0, 10:-10]
    assert inner[:, 10].mean() / inner[:, 70].mean() == pytest.approx((90 + 4) / (10 + 4), rel=1e-3)
    assert found.weights[seen].mean() == pytest.approx(1)
    assert not found.weights[~seen].any()
    assert found.noise.sigma[0] ** 2 == pytest.approx(2 / (1 / 14 + 1 / 94), rel=0.06)


def test_dark_pixels_do_not_outweigh_all_others_and_missing_values_say_nothing():
    values = np.where(np.arange(64) < 32, 0.0, 100.0) * np.ones((1, 32, 64))
    seen = np.ones(values.shape, bool)
    seen[0, 0, 0] = False
    values[0, 0, 0] = np.nan
    found = Precision.of(PoissonGaussianNoise(sigma=(0.0,), gain=(1.0,), offset=(0.0,)), values, seen)
    dark, bright = found.weights[0, 16, 5], found.weights[0, 16, 60]
    assert dark / bright == pytest.approx(2 / LEAST_VARIANCE, rel=0.02)
    assert np.isfinite(found.weights).all()


def test_a_channel_without_noise_has_equal_weights():
    found = Precision.of(
        PoissonGaussianNoise(sigma=(0.0,), gain=(0.0,), offset=(0.0,)), np.ones((1, 8, 8)), np.ones((1, 8, 8), bool)
    )
    assert (found.weights == 1).all()
    assert found.noise.sigma == (0.0,)


def test_the_variance_of_magnitudes_is_that_of_the_amplitude_from_which_noise_raises_them():
    amplitudes = np.where(np.arange(64) < 32, 0.0, 400.0) * np.ones((1, 48, 64))
    real, imaginary = 10 * np.random.default_rng(0).standard_normal((2, 1, 48, 64))
    noise = RicianNoise(sigma=(10.0,))
    found = Precision.of(noise, np.hypot(amplitudes + real, imaginary), np.ones(amplitudes.shape, bool))
    ratio = found.weights[0, :, 5:25].mean() / found.weights[0, :, 40:60].mean()
    assert ratio == pytest.approx(1 / (2 - np.pi / 2), rel=0.1)
    np.testing.assert_allclose(
        noise.clean_of_mean(10 * rice_mean(np.linspace(0.2, 30, 50))[None]), [np.linspace(2, 300, 50)], rtol=2e-3
    )
