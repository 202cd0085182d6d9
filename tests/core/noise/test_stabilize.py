import numpy as np
import pytest

from napari_convgen.core.noise.model import NoiseModel
from napari_convgen.core.noise.stabilize import PoissonGaussianStabilizer, RicianStabilizer, Unchanged, stabilizers

N = 200_000


def poisson_gaussian(events, sigma, gain, offset):
    rng = np.random.default_rng(0)
    return offset + gain * rng.poisson(events, N) + sigma * rng.standard_normal(N)


@pytest.mark.parametrize(
    ("sigma", "gain", "offset"), [(0.0, 1.0, 0.0), (0.5, 1.0, -3.0), (4.0, 2.0, 96.0), (30.0, 2.0, 0.0)]
)
@pytest.mark.parametrize("events", [0.3, 1, 3, 10, 40, 80, 500])
def test_poisson_gaussian_noise_is_stabilized_and_its_mean_comes_back(events, sigma, gain, offset):
    transform = PoissonGaussianStabilizer(sigma, gain, offset)
    stable = transform.forward(poisson_gaussian(events, sigma, gain, offset))
    if events >= 3 and events + (sigma / gain) ** 2 >= 5:
        assert stable.var() == pytest.approx(1, abs=0.1 if events < 5 else 0.05)
    back = transform.inverse(np.array([stable.mean()]))[0]
    spread = np.sqrt(events + (sigma / gain) ** 2)
    assert (back - offset) / gain == pytest.approx(events, abs=5 * spread / np.sqrt(N) + 1e-3 * events)


@pytest.mark.parametrize("amplitude", [0, 0.3, 0.6, 1, 1.5, 2, 3, 5, 12, 25, 60])
def test_rician_noise_is_stabilized_and_its_bias_is_taken_away(amplitude):
    rng = np.random.default_rng(0)
    magnitude = 3 * np.hypot(amplitude + rng.standard_normal(N), rng.standard_normal(N))
    transform = RicianStabilizer(3.0)
    stable = transform.forward(magnitude)
    assert stable.var() == pytest.approx(1, abs=0.05)
    tolerance = 0.1 if amplitude < 0.5 else 0.01 + 3e-4 * amplitude  # the mean hardly depends on small amplitudes
    assert transform.inverse(np.array([stable.mean()]))[0] / 3 == pytest.approx(amplitude, abs=tolerance)


@pytest.mark.parametrize(
    "transform", [PoissonGaussianStabilizer(1.0, 2.0, 10.0), RicianStabilizer(4.0), Unchanged(2.0)]
)
def test_both_ways_never_fall(transform):
    x = np.linspace(0, 500, 5000)
    assert (np.diff(transform.forward(x)) >= 0).all()
    assert (np.diff(transform.inverse(np.linspace(-5, 200, 5000))) >= 0).all()


def test_a_rician_result_is_never_negative():
    assert RicianStabilizer(4.0).inverse(np.array([-3.0, 0.0]))[0] == 0


def test_each_channel_has_its_own_transform():
    model = NoiseModel("poisson-gaussian", (1.0, 2.0), (0.5, 0.0), (3.0, 0.0))
    assert stabilizers(model) == (PoissonGaussianStabilizer(1.0, 0.5, 3.0), Unchanged(2.0))


@pytest.mark.parametrize(
    "stabilizer",
    [PoissonGaussianStabilizer(3.0, 2.0, 10.0), PoissonGaussianStabilizer(0.0, 1.0, 0.0), RicianStabilizer(4.0)],
)
@pytest.mark.parametrize("strength", [0.5, 2.0, 30.0])
def test_the_variance_in_theory_and_the_slope_of_the_way_back_are_those_of_many_draws(stabilizer, strength):
    rng = np.random.default_rng(0)

    def draw(x):
        if isinstance(stabilizer, RicianStabilizer):
            noise = stabilizer.sigma * rng.normal(size=(2, 200_000))
            return np.hypot(x + noise[0], noise[1])
        events = (x - stabilizer.offset) / stabilizer.gain
        return (
            stabilizer.offset
            + stabilizer.gain * rng.poisson(events, 200_000)
            + stabilizer.sigma * rng.normal(size=200_000)
        )

    is_rician = isinstance(stabilizer, RicianStabilizer)
    clean = stabilizer.sigma * strength if is_rician else stabilizer.offset + stabilizer.gain * strength
    drawn = stabilizer.forward(draw(clean))
    mean = np.array([drawn.mean()])
    assert stabilizer.noise_variance(mean)[0] == pytest.approx(drawn.var(), rel=0.03)
    step = 0.05 * clean
    change = stabilizer.forward(draw(clean + step)).mean() - stabilizer.forward(draw(clean - step)).mean()
    assert stabilizer.slope(mean)[0] == pytest.approx(2 * step / change, rel=0.15)


def test_noise_that_needs_no_transform_has_the_same_variance_and_slope_everywhere():
    y = np.array([0.0, 5.0])
    assert (Unchanged(3.0).noise_variance(y) == 9).all()
    assert (Unchanged(3.0).slope(y) == 1).all()
