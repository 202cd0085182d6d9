"""The image of fewer sums of its pixels than it has pixels."""

import re

import numpy as np
import pytest
import torch

from napari_convgen import reconstruct, simulate
from napari_convgen.config import Config, for_reconstruction, preset
from napari_convgen.core.image import Image
from napari_convgen.core.operators.sensing import cosine_sensing
from napari_convgen.errors import ConfigError, InputError
from napari_convgen.run.denoise.run import DenoiseTask
from napari_convgen.run.reconstruct.problems import sensing
from napari_convgen.run.reconstruct.run import ReconstructTask
from napari_convgen.run.setup.build import random_source

SIZE = (20, 24)
DECODER = Config().replace(
    {"generator.n_channels": 12, "generator.n_scales": 2, "n_steps": 60, "n_threads": 1, "backend": "torch"}
)
DEFAULT = for_reconstruction(preset("default"), "sensing").replace(
    {"generator.n_channels": 8, "n_steps": 2, "n_threads": 1, "backend": "torch"}
)
QUICK = preset("quick").replace({"noise.kind": "gaussian", "noise.sigma": 1.0, "n_threads": 1, "backend": "torch"})
DRAWN = {"n_rows": SIZE[0], "n_columns": SIZE[1]}


def rms(difference):
    return float(np.sqrt(np.mean(np.square(difference, dtype=np.float64))))


@pytest.fixture(autouse=True)
def few_turns(monkeypatch):
    monkeypatch.setattr(sensing, "TURNS", 12)


@pytest.fixture(scope="module")
def truth():
    y, x = np.indices(SIZE)
    return 300.0 + 100 * ((x - 12) ** 2 + (y - 9) ** 2 < 40) - 60 * (x + y < 12)


@pytest.mark.parametrize("config", ["quick", DEFAULT, DECODER], ids=["quick", "default", "deep-decoder"])
def test_the_presets_make_an_image_that_has_the_sums(config, truth):
    made = simulate(truth, problem="sensing", measured=0.4)
    result = reconstruct(made.measurement, config, problem="sensing", **DRAWN)
    assert (result.image.shape, result.image.dtype, result.layout.axes) == (SIZE, np.float32, "YX")
    assert rms(result.image - truth) < rms(result.extras["first_image"] - truth) < 0.7 * truth.std()
    predicted = simulate(result.image, problem="sensing", measured=0.4).measurement.data
    np.testing.assert_allclose(result.residual, predicted - made.measurement.data, atol=1e-3 * truth.std())
    assert rms(result.residual) < 0.2 * truth.std()
    assert (result.measurement_error is None) == (config == "quick")


def test_sums_are_those_of_the_operator_with_noise_of_their_own(truth):
    rng = random_source(7)
    operator = cosine_sensing((1, *SIZE), 120, rng)
    made = simulate(truth, problem="sensing", matrix_seed=7)
    assert (made.measurement.axes, made.measurement.data.dtype, made.layout.axes) == ("CX", np.float32, "CX")
    expected = operator.apply(torch.from_numpy(truth)[None])
    np.testing.assert_allclose(made.measurement.data, expected, atol=1e-3)
    assert (made.config.operator.n_rows, made.config.operator.n_columns) == SIZE
    noisy = simulate(truth, problem="sensing", matrix_seed=7, noise=5).measurement.data
    assert rms(noisy - made.measurement.data) == pytest.approx(5, rel=0.2)
    again = made.config.replace({"generator.kind": "deep-decoder", "n_steps": 2, "generator.n_channels": 4})
    assert reconstruct(made.measurement, again, problem="sensing").config.operator == made.config.operator


def test_noise_in_the_sums_is_not_fitted_whether_it_is_known_or_not(truth):
    noisy = simulate(truth, problem="sensing", measured=0.6, noise=30).measurement
    known, none = (QUICK.replace({"noise.sigma": sigma}) for sigma in (30.0, 0.1))
    errors = [
        rms(reconstruct(noisy, config, problem="sensing", **DRAWN).image - truth) for config in (none, known, "quick")
    ]
    assert max(errors[1:]) < 0.8 * errors[0]


def test_a_noise_level_counts_whether_its_kind_is_named_or_not(truth):
    sums = simulate(truth, problem="sensing").measurement
    levels = []
    for kind in ("auto", "gaussian"):
        posed = ReconstructTask(
            sums, DECODER.replace({"noise.kind": kind, "noise.sigma": 4.0}), problem="sensing", **DRAWN
        ).posed
        levels.append(float(posed.prepared.problem(posed.scaled).noise_level) * posed.measurement_unit)
    assert levels == pytest.approx([4.0, 4.0])
    with pytest.raises(ConfigError, match=r"The noise of sums of pixels is Gaussian, got noise\.kind = 'rician'"):
        ReconstructTask(sums, DECODER.replace({"noise.kind": "rician"}), problem="sensing", **DRAWN)


def test_patterns_that_are_given_take_the_place_of_drawn_ones(truth):
    patterns = np.random.default_rng(1).integers(0, 2, (200, *SIZE)).astype(np.uint8)
    made = simulate(truth, problem="sensing", patterns=patterns)
    np.testing.assert_allclose(made.measurement.data[0], (patterns * truth).sum((1, 2)), rtol=1e-5)
    result = reconstruct(made.measurement.data[0], QUICK, problem="sensing", patterns=patterns)
    assert rms(result.image - truth) < 0.65 * truth.std()
    np.testing.assert_allclose(
        result.residual[0], (patterns * result.image).sum((1, 2)) - made.measurement.data[0], atol=1.0
    )
    other = QUICK.replace({"noise.sigma": 0.01})
    scaled = reconstruct(0.01 * made.measurement.data[0], other, problem="sensing", patterns=0.01 * patterns)
    np.testing.assert_allclose(scaled.image, result.image, rtol=0.01)


def test_gaussian_weights_channels_and_sums_that_are_missing(truth):
    both = Image(np.stack([truth, truth.max() - 2 * truth]), "CYX")
    config = DECODER.replace({"n_steps": 2})
    made = simulate(both, problem="sensing", matrix="gaussian", measured=0.5).measurement
    made.data[1, 3] = np.nan
    result = reconstruct(made, config, problem="sensing", matrix="gaussian", **DRAWN)
    assert (result.image.shape, result.layout.axes) == ((2, *SIZE), "CYX")
    np.testing.assert_array_equal(np.isnan(result.residual), np.isnan(made.data))
    assert rms(result.image[0] - truth) < truth.std()
    assert "1 missing (NaN) sums were left out." in result.notes


SUMS = np.random.default_rng(3).normal(size=100)
PATTERNS = np.random.default_rng(4).normal(size=(100, 8, 9))


@pytest.mark.parametrize(
    ("sums", "given", "error", "sentence"),
    [
        (SUMS, {}, InputError, "Give n_rows and n_columns, or the patterns"),
        (SUMS, {"n_rows": 20}, InputError, "Give n_rows and n_columns, or the patterns"),
        (SUMS, {"n_rows": 1, "n_columns": 200}, ConfigError, "operator.n_rows cannot be 1"),
        (SUMS, {"n_rows": 9, "n_columns": 9}, ConfigError, "must be from 1 to the 81 pixels, got 100"),
        (SUMS, {"n_rows": 90, "n_columns": 90, "matrix": "gaussian"}, ConfigError, "at most 4096 pixels, got 8100"),
        (SUMS, {"matrix": "fourier", **DRAWN}, ConfigError, "operator.matrix cannot be 'fourier'"),
        (SUMS, {"patterns": PATTERNS[1:]}, InputError, "expected the shape (100, rows, columns), got (99, 8, 9)"),
        (SUMS, {"patterns": PATTERNS[0]}, InputError, "expected the shape (100, rows, columns), got (8, 9)"),
        (SUMS, {"patterns": np.where(PATTERNS > 2, np.nan, PATTERNS)}, InputError, "must be finite real numbers"),
        (SUMS, {"patterns": 1j * PATTERNS}, InputError, "must be finite real numbers"),
        (SUMS, {"patterns": PATTERNS[:1].repeat(100, 0)}, InputError, "All patterns of weights are the same"),
        (SUMS, {"patterns": PATTERNS, "n_rows": 8}, ConfigError, "(patterns) takes the place of operator.n_rows"),
        (SUMS, {"factor": 2, **DRAWN}, ConfigError, "Choose the problem 'enlarge'"),
        (SUMS.reshape(10, 10), DRAWN, InputError, "must be a row of numbers, got the shape (10, 10)"),
        (1j * SUMS, DRAWN, InputError, "must be real numbers, got complex128"),
        (np.where(SUMS > 2, np.inf, SUMS), DRAWN, InputError, "some are infinite"),
        (np.full(100, np.nan), DRAWN, InputError, "got 0 in channel 0"),
        (0 * SUMS, DRAWN, InputError, "not all of them 0"),
    ],
)
def test_what_cannot_be_reconstructed_is_refused(sums, given, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        ReconstructTask(sums, problem="sensing", **given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"measured": 1.5}, "must be above 0 and at most 1, got 1.5"),
        ({"measured": 0.2, "patterns": PATTERNS}, "Leave one of them out"),
        ({"patterns": PATTERNS}, "the size of the truth: expected (20, 24), got (8, 9)"),
        ({"photons": 100}, "Photons need a measurement without negative values"),
        ({"missing": 0.2}, "missing is for the problem 'inpaint'"),
    ],
)
def test_what_cannot_be_simulated_is_refused(given, sentence, truth):
    with pytest.raises(InputError, match=re.escape(sentence)):
        simulate(truth, problem="sensing", **given)


def test_images_are_not_taken_for_sums(truth):
    with pytest.raises(ConfigError, match="'weighted-sums' maps an image to something else"):
        DenoiseTask(truth, preset("deep-decoder").replace({"operator.kind": "weighted-sums"}))
