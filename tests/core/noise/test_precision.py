"""Weights that stand for noise which depends on the signal."""

import numpy as np
import pytest

from napari_convgen.core.noise.models.poisson_gaussian import PoissonGaussianNoise
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
