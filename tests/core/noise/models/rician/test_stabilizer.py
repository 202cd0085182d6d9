import numpy as np
import pytest

from napari_convgen.core.noise.models import RicianNoise
from napari_convgen.core.noise.models.rician import RicianStabilizer
from napari_convgen.core.noise.stabilizer import Unchanged

N = 200_000


def draw(amplitude):
    rng = np.random.default_rng(0)
    return np.hypot(amplitude + rng.standard_normal(N), rng.standard_normal(N))


@pytest.mark.parametrize("amplitude", [0, 0.3, 0.6, 1, 1.5, 2, 3, 5, 12, 25, 60])
def test_it_is_stabilized_and_its_bias_is_taken_away(amplitude):
    transform = RicianStabilizer(3.0)
    stable = transform.forward(3 * draw(amplitude))
    assert stable.var() == pytest.approx(1, abs=0.05)
    tolerance = 0.1 if amplitude < 0.5 else 0.01 + 3e-4 * amplitude  # the mean hardly depends on small amplitudes
    assert transform.inverse(np.array([stable.mean()]))[0] / 3 == pytest.approx(amplitude, abs=tolerance)


@pytest.mark.parametrize("amplitude", [0.5, 2.0, 30.0])
def test_the_variance_and_the_slope_are_those_of_many_draws(amplitude):
    transform = RicianStabilizer(4.0)
    stable = transform.forward(4 * draw(amplitude))
    mean = np.array([stable.mean()])
    assert transform.noise_variance(mean)[0] == pytest.approx(stable.var(), rel=0.03)
    higher, lower = (transform.forward(4 * draw(share * amplitude)).mean() for share in (1.05, 0.95))
    assert transform.slope(mean)[0] == pytest.approx(0.4 * amplitude / (higher - lower), rel=0.15)


def test_a_result_is_never_negative():
    assert RicianStabilizer(4.0).inverse(np.array([-3.0, 0.0]))[0] == 0


def test_a_channel_without_noise_is_left_as_it_is():
    assert RicianNoise((4.0, 0.0)).stabilizers() == (RicianStabilizer(4.0), Unchanged(0.0))
