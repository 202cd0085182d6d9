import numpy as np
import pytest
from scipy import stats

from napari_convgen.core.noise import estimate_noise
from napari_convgen.core.noise.estimation.level import LevelMap
from napari_convgen.core.noise.models.poisson_gaussian import PoissonGaussianNoise, PoissonGaussianStabilizer, _poisson
from napari_convgen.core.noise.stabilizer import Unchanged

N = 200_000


def draw(events, sigma, gain, offset):
    rng = np.random.default_rng(0)
    return offset + gain * rng.poisson(events, N) + sigma * rng.standard_normal(N)


@pytest.mark.parametrize(
    ("sigma", "gain", "offset"), [(0.0, 1.0, 0.0), (0.5, 1.0, -3.0), (4.0, 2.0, 96.0), (30.0, 2.0, 0.0)]
)
@pytest.mark.parametrize("events", [0.3, 1, 3, 10, 40, 80, 500])
def test_it_is_stabilized_and_its_mean_comes_back(events, sigma, gain, offset):
    transform = PoissonGaussianStabilizer(sigma, gain, offset)
    stable = transform.forward(draw(events, sigma, gain, offset))
    if events >= 3 and events + (sigma / gain) ** 2 >= 5:
        assert stable.var() == pytest.approx(1, abs=0.1 if events < 5 else 0.05)
    back = transform.inverse(np.array([stable.mean()]))[0]
    spread = np.sqrt(events + (sigma / gain) ** 2)
    assert (back - offset) / gain == pytest.approx(events, abs=5 * spread / np.sqrt(N) + 1e-3 * events)


@pytest.mark.parametrize("transform", [PoissonGaussianStabilizer(3.0, 2.0, 10.0), PoissonGaussianStabilizer(0, 1, 0)])
@pytest.mark.parametrize("events", [0.5, 2.0, 30.0])
def test_few_events_have_the_variance_of_the_theory_and_the_slope_is_that_of_many_draws(transform, events):
    sigma, gain, offset = transform.sigma, transform.gain, transform.offset
    stable = transform.forward(draw(events, sigma, gain, offset))
    mean = np.array([stable.mean()])
    assert transform.noise_variance(mean)[0] == pytest.approx(stable.var(), rel=0.03)
    step = 0.05 * (events + offset / gain)
    brighter, darker = (transform.forward(draw(events + d, sigma, gain, offset)).mean() for d in (step, -step))
    assert transform.slope(mean)[0] == pytest.approx(2 * gain * step / (brighter - darker), rel=0.15)


@pytest.mark.parametrize("transform", [PoissonGaussianStabilizer(3.0, 2.0, 10.0), PoissonGaussianStabilizer(0, 1, 0)])
def test_errors_of_an_estimate_of_no_events_cancel(transform):
    y = np.linspace(0, 6, 6001)
    at_zero = y[transform.inverse(y) <= transform.offset].max()
    low, high = transform.inverse(at_zero + np.array([-0.1, 0.1])) - transform.offset
    assert low == pytest.approx(-high, rel=0.1)
    assert (np.diff(transform.inverse(np.linspace(-1, 20, 500))) >= 0).all()


@pytest.mark.parametrize("dark", [-18.0, -9.0])
def test_values_below_a_wrong_offset_come_back(dark):
    wrong = PoissonGaussianStabilizer(np.sqrt(20), 1.0, 0.0)
    stable = wrong.forward(draw(dark + 20, 0.0, 1.0, -20.0)).mean()
    assert wrong.inverse(np.array([stable]))[0] == pytest.approx(dark, abs=0.2)


def test_read_noise_in_the_dark_has_no_stretched_tail_and_nothing_is_an_outlier_below():
    transform = PoissonGaussianStabilizer(4.0, 2.0, 100.0)
    stable = transform.forward(draw(0.0, 4.0, 2.0, 100.0))
    assert abs(stats.skew(stable)) < 0.25
    assert stable.min() > stable.mean() - 6 * stable.std()
    lowest = transform.forward(np.array([-1e6, -1e5]))
    assert lowest[0] == lowest[1] > stable.mean() - 8


def camera(sigma, gain, offset, brightest, n=192):
    """An image that is dark but for a bright side."""
    rng, x = np.random.default_rng(0), np.linspace(-1, 1, n)
    events = brightest * np.maximum(x, 0) ** 2 * np.ones((n, 1))
    return offset + gain * rng.poisson(events)[np.newaxis] + sigma * rng.standard_normal((1, n, n))


@pytest.mark.parametrize(("sigma", "gain", "offset"), [(4.0, 2.0, 100.0), (3.0, 1.0, -50.0), (0.8, 0.4, 0.0)])
def test_read_noise_is_told_from_shot_noise(sigma, gain, offset):
    image = camera(sigma, gain, offset, brightest=100)
    model = estimate_noise(image, image < np.inf, kind="poisson-gaussian")
    assert model.gain[0] == pytest.approx(gain, rel=0.1)
    assert model.sigma[0] == pytest.approx(sigma, rel=0.1)
    assert model.offset[0] == pytest.approx(offset, abs=0.25 * sigma)


def test_shot_noise_alone_has_no_read_noise():
    image = camera(0.0, 2.0, 0.0, brightest=100) + 2 * np.random.default_rng(1).poisson(4.0, (192, 192))
    model = estimate_noise(image, image < np.inf, kind="poisson-gaussian")
    assert model.variance(np.array([[8.0]]))[0, 0] == pytest.approx(16, rel=0.1)
    assert model.sigma[0] < 1.5


@pytest.mark.parametrize("read_noise", [0.0, 0.7, 3.0])
def test_a_constant_that_is_added_to_an_image_is_added_to_the_offset_alone(read_noise):
    rng, values = np.random.default_rng(0), np.linspace(2, 60, 80)[:, np.newaxis] * np.ones(80)
    image = rng.poisson(values)[np.newaxis] + read_noise * rng.standard_normal((1, 80, 80))
    models = {c: estimate_noise(image + c, image < np.inf) for c in (-100.0, -20.0, 0.0, 1000.0)}
    stable = {c: model.stabilizers()[0].forward(image + c) for c, model in models.items()}
    back = {c: model.stabilizers()[0].inverse(stable[0.0]) - c for c, model in models.items()}
    for c, model in models.items():
        assert model.kind == "poisson-gaussian"
        assert model.variance(values[np.newaxis] + c) == pytest.approx(models[0.0].variance(values[np.newaxis]))
        assert stable[c] == pytest.approx(stable[0.0])
        assert back[c] == pytest.approx(back[0.0], abs=0.05)


def test_each_channel_has_its_own_transform():
    model = PoissonGaussianNoise((1.0, 2.0), (0.5, 0.0), (3.0, 0.0))
    assert model.stabilizers() == (PoissonGaussianStabilizer(1.0, 0.5, 3.0), Unchanged(2.0))
    assert not model.has_counts


def test_it_has_no_floor():
    y = np.random.default_rng(0).standard_normal((20, 30))
    assert (PoissonGaussianStabilizer(1.0, 2.0, 3.0).signal_share(y, y < 9) == 1).all()


def test_the_probability_of_counts_is_that_of_scipy():
    counts, events = np.arange(60.0), np.array([[0.0], [0.3], [17.2]])
    np.testing.assert_allclose(_poisson(counts, events), stats.poisson.pmf(counts, events), rtol=1e-13)


def test_a_read_noise_that_is_given_stays_where_the_noise_does_not_grow_with_the_signal():
    rng = np.random.default_rng(0)
    image = np.linspace(50, 200, 64) + np.linspace(8, 4, 64) * rng.standard_normal((1, 64, 64))
    noise = estimate_noise(image, np.ones(image.shape, bool), kind="poisson-gaussian", sigma=2.0, is_uniform="yes")
    assert (noise.gain, noise.sigma) == ((0.0,), (2.0,))


def test_no_events_are_counted_where_a_flat_field_has_divided_them():
    level_map = LevelMap((0.1,) * 11, (30.0,), 3.0)
    assert PoissonGaussianNoise((0.0,), (1.0,), (0.0,)).has_counts
    assert not PoissonGaussianNoise((0.0,), (1.0,), (0.0,), level_map=level_map).has_counts
