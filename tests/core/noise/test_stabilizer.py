import numpy as np
import pytest

from napari_convgen.core.noise.models import PoissonGaussianNoise
from napari_convgen.core.noise.stabilizer import Leveled, StableNoise, Unchanged


def test_noise_that_needs_no_transform_has_the_same_variance_and_slope_everywhere():
    y = np.array([0.0, 5.0])
    assert (Unchanged(3.0).noise_variance(y) == 9).all()
    assert (Unchanged(3.0).slope(y) == 1).all()
    assert (Unchanged(3.0).signal_share(y, y < 9) == 1).all()
    assert Unchanged(3.0).noise_level == 3


def test_measured_variances_are_interpolated():
    stable = StableNoise((0.0, 2.0), (0.5, 0.9), 0.8)
    assert stable.variance_at(np.array([-1.0, 0.0, 1.0, 3.0])) == pytest.approx(np.array([0.5, 0.5, 0.7, 0.9]))


@pytest.mark.parametrize("level", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("mean", [5.0, 20.0])
def test_the_inverse_has_no_bias_where_a_flat_field_has_made_the_noise_stronger(level, mean):
    counts = np.random.default_rng(0).poisson(mean / level**2 * np.ones(200_000)) * level**2
    [inner] = PoissonGaussianNoise((0.0,), (1.0,), (0.0,)).stabilizers()
    leveled = Leveled(inner, np.full(counts.shape, level), 10.0)
    stable = np.full(counts.shape, leveled.forward(counts).mean())
    assert leveled.inverse(stable)[0] == pytest.approx(mean, rel=0.05)
    step = 0.1
    slope = (leveled.inverse(stable + step) - leveled.inverse(stable - step))[0] / (2 * step)
    assert leveled.slope(stable)[0] == pytest.approx(slope, rel=0.06)
