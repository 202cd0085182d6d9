"""What holds for noise of every kind."""

import inspect
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_convgen
from napari_convgen.core.noise.models import NOISE_MODELS, GaussianNoise, PoissonGaussianNoise, RicianNoise
from napari_convgen.core.noise.stabilizer import StableNoise

N = 100_000


def draw_gaussian(model, x, rng):
    return x + model.column("sigma", x.ndim) * rng.standard_normal(x.shape)


def draw_poisson_gaussian(model, x, rng):
    sigma, gain, offset = (model.column(name, x.ndim) for name in ("sigma", "gain", "offset"))
    return offset + gain * rng.poisson((x - offset) / gain) + sigma * rng.standard_normal(x.shape)


def draw_rician(model, x, rng):
    real, imaginary = model.column("sigma", x.ndim) * rng.standard_normal((2, *x.shape))
    return np.hypot(x + real, imaginary)


DRAW = {
    "gaussian": draw_gaussian,
    "poisson-gaussian": draw_poisson_gaussian,
    "intensity-dependent": draw_gaussian,
    "rician": draw_rician,
}
"""Draws noisy values of each kind around clean ones."""

FLOATS = {"sigma": st.floats(0.1, 100), "gain": st.floats(0.5, 5), "offset": st.floats(-50, 200)}


def draw_model(data, kind):
    """Draw a model of one channel."""
    model = NOISE_MODELS[kind]
    numbers = data.draw(st.tuples(*(FLOATS.get(name, FLOATS["sigma"]) for name in model.parameters())))
    return model(*((number,) for number in numbers))


def draw_noisy(data, kind):
    """Draw a model, a clean value well above the dark, and noisy values around it."""
    model = draw_model(data, kind)
    [dark], [event] = getattr(model, "offset", (0.0,)), getattr(model, "gain", (0.0,))
    unit = event + float(np.sqrt(model.variance(np.array([[dark]]))[0, 0]))
    clean = dark + unit * data.draw(st.floats(5, 50))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    return model, clean, DRAW[kind](model, np.full((1, N), clean), rng)


every_kind = pytest.mark.parametrize("kind", NOISE_MODELS)


def test_every_kind_is_drawn_here():
    assert DRAW.keys() == NOISE_MODELS.keys()


@every_kind
def test_the_rest_of_the_numerics_asks_the_model_instead_of_comparing_kinds(kind):
    core = Path(napari_convgen.__file__).parent / "core"
    naming = [path for path in core.rglob("*.py") if f'"{kind}"' in path.read_text(encoding="utf-8")]
    assert naming == [Path(inspect.getfile(NOISE_MODELS[kind]))]


@every_kind
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_variance_is_that_of_many_draws(kind, data):
    model, clean, values = draw_noisy(data, kind)
    assert model.variance(np.array([[clean]]))[0, 0] == pytest.approx(values.var(), rel=0.04)


@every_kind
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_stabilized_noise_has_the_level_that_is_promised_and_its_mean_comes_back(kind, data):
    model, clean, values = draw_noisy(data, kind)
    [transform] = model.stabilizers()
    stable = transform.forward(values[0])
    mean = np.array([stable.mean()])
    assert stable.std() == pytest.approx(transform.noise_level, rel=0.05)
    assert transform.noise_variance(mean)[0] == pytest.approx(stable.var(), rel=0.05)
    error = transform.noise_level * transform.slope(mean)[0] / np.sqrt(N)
    assert transform.inverse(mean)[0] == pytest.approx(clean, abs=5 * error, rel=2e-3)


@every_kind
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_slope_is_the_numerical_derivative_of_the_way_back(kind, data):
    model, _, values = draw_noisy(data, kind)
    [transform] = model.stabilizers()
    y = transform.forward(values[0]).mean() + transform.noise_level * np.linspace(-1, 1, 21)
    half = 0.05 * transform.noise_level
    derivative = (transform.inverse(y + half) - transform.inverse(y - half)) / (2 * half)
    np.testing.assert_allclose(transform.slope(y), derivative, rtol=0.1)


@every_kind
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_neither_way_ever_falls(kind, data):
    model = draw_model(data, kind)
    [transform] = model.stabilizers()
    x = np.linspace(0, 500, 2000)
    assert (np.diff(transform.forward(x)) >= 0).all()
    assert (np.diff(transform.inverse(np.linspace(-5, 200, 2000))) >= 0).all()


@every_kind
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_sentence_names_the_kind_and_its_strength(kind, data):
    model = replace(draw_model(data, kind), correlation_length=data.draw(st.integers(2, 6)))
    words = str(model)
    assert words.lower().startswith(f"{kind} noise")
    assert (f"{model.sigma[0]:.3g}" if model.sigma[0] < 100 else f"{model.sigma[0]:.0f}") in words
    assert f"noise correlation length {model.correlation_length} pixels" in words


@every_kind
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_channels_are_joined_in_order(kind, data):
    channels = [replace(draw_model(data, kind), clipped_low=0.1 * i) for i in range(data.draw(st.integers(1, 3)))]
    model = NOISE_MODELS[kind].of_channels(channels, correlation_length=3, is_shared=False)
    assert model.n_channels == len(channels)
    assert model.stabilizers() == tuple(each.stabilizers()[0] for each in channels)
    assert (model.correlation_length, model.clipped_low) == (3, pytest.approx(0.05 * (len(channels) - 1)))


@every_kind
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_counts_come_back_where_the_noise_counts(kind, data):
    model, _, values = draw_noisy(data, kind)
    if not model.has_counts:
        with pytest.raises(TypeError, match=f"'{kind}' counts no events"):
            model.counts(values)
        with pytest.raises(TypeError, match=f"'{kind}' counts no events"):
            model.from_counts(values)
        return
    counts = model.counts(values)
    assert counts.min() >= 0
    np.testing.assert_allclose(model.from_counts(counts)[counts > 0], values[counts > 0], rtol=1e-6, atol=1e-6)


@every_kind
def test_its_own_draws_are_accepted_and_restored_images_reach_down_to_the_dark(kind):
    model = NOISE_MODELS[kind](*((1.0,) for _ in NOISE_MODELS[kind].parameters()))
    values = DRAW[kind](model, np.full((1, N), 1.0), np.random.default_rng(0))
    model.check(values, np.ones(values.shape, bool))
    low = values.min(1)
    assert (model.least(low) <= low).all()


@every_kind
def test_a_report_has_the_kind_and_all_numbers(kind):
    model = NOISE_MODELS[kind](*((1.0, 2.0) for _ in NOISE_MODELS[kind].parameters()))
    model = replace(model, stable=(StableNoise((0.0,), (1.0,), 1.0),) * 2, impulses=0.01)
    report = json.loads(json.dumps(asdict(model)))
    assert (report["kind"], report["sigma"], report["impulses"]) == (kind, [1, 2], 0.01)
    assert set(NOISE_MODELS[kind].parameters()) < set(report)
    assert report["stable"][1] == {"mean": [0], "variance": [1], "level": 1}


@every_kind
def test_a_channel_in_which_nothing_can_be_measured_has_the_noise_that_is_given(kind):
    model = NOISE_MODELS[kind]
    assert model.unmeasured({"sigma": 3.0}).sigma == (3,)
    assert not model.unmeasured({"sigma": "auto"}).has_noise
    assert model.unmeasured({"sigma": 3.0}).has_noise
    everything = dict.fromkeys(model.parameters(), 2.0)
    assert [getattr(model.unmeasured(everything), name) for name in model.parameters()] == [(2.0,)] * len(everything)


@every_kind
def test_all_parameters_have_one_number_a_channel(kind):
    model = NOISE_MODELS[kind]
    if n := len(model.parameters()) - 1:
        with pytest.raises(ValueError, match=r"one number a channel, got sigma: 2, .*: 1"):
            model((1.0, 2.0), *((1.0,),) * n)


def test_variance_of_each_kind():
    x = np.array([[90.0, 100.0, 110.0]])
    assert GaussianNoise((3.0,)).variance(x).tolist() == [[9, 9, 9]]
    assert PoissonGaussianNoise((3.0,), (2.0,), (100.0,)).variance(x).tolist() == [[9, 9, 29]]
    rician = RicianNoise((3.0,))
    assert rician.variance(np.array([[0.0, 300.0]])) == pytest.approx(np.array([[9 * (2 - np.pi / 2), 9]]), rel=1e-3)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            PoissonGaussianNoise((4.1,), (2.31,), (96.0,), clipped_high=0.002),
            "Poisson-Gaussian noise: gain 2.31 per photon, offset 96, read noise 4.1; white; 0.2 % of the pixels saturated",
        ),
        (
            GaussianNoise((25.0, 25.0), is_shared=True, correlation_length=2),
            "Gaussian noise of standard deviation 25, the same in all channels; noise correlation length 2 pixels",
        ),
        (
            RicianNoise((5.0, 7.25), impulses=0.01),
            "Rician noise of standard deviation 5, 7.25; white; 1 % of the pixels are impulses",
        ),
    ],
)
def test_it_says_what_it_is(model, sentence):
    assert str(model) == sentence
