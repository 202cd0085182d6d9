import numpy as np
import pytest

from napari_convgen.core.noise.stabilizer import StableNoise, Unchanged


def test_noise_that_needs_no_transform_has_the_same_variance_and_slope_everywhere():
    y = np.array([0.0, 5.0])
    assert (Unchanged(3.0).noise_variance(y) == 9).all()
    assert (Unchanged(3.0).slope(y) == 1).all()
    assert (Unchanged(3.0).signal_share(y, y < 9) == 1).all()
    assert Unchanged(3.0).noise_level == 3


def test_measured_variances_are_interpolated():
    stable = StableNoise((0.0, 2.0), (0.5, 0.9), 0.8)
    assert stable.variance_at(np.array([-1.0, 0.0, 1.0, 3.0])) == pytest.approx(np.array([0.5, 0.5, 0.7, 0.9]))
