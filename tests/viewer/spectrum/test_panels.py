import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_convgen.config import GaussianNoiseConfig
from napari_convgen.core.image import ImageTensor, Layout, Measured
from napari_convgen.core.spectra.descent import Descent
from napari_convgen.core.stopping.linearized import LinearizedDynamics
from napari_convgen.figures.panel import Plot
from napari_convgen.run.denoise.run import denoise
from napari_convgen.run.setup.build import build_noise
from napari_convgen.run.spectrum.result import Spectrum, SpectrumResult
from napari_convgen.run.spectrum.run import spectrum
from napari_convgen.viewer.spectrum.fit_record import FitRecord
from napari_convgen.viewer.spectrum.panels import TOLERANCE, predict_stop, spectrum_panels
from napari_convgen.viewer.spectrum.summary import describe_components, describe_fit, describe_stop, summarize

RANK = 4


def descent(risk, loss=None):
    n = len(risk)
    loss = np.linspace(1, 0.1, n) if loss is None else loss
    as_tensor = lambda values: torch.as_tensor(np.asarray(values, float))  # noqa: E731
    return Descent(as_tensor(10 ** np.arange(n)), as_tensor(loss), as_tensor(np.arange(n)), as_tensor(risk), 0.5, 0.01)


def one(step, predicted, energy=(0.4, 0.6, 0.92, 0.95)):
    vectors = np.eye(64)[:RANK].reshape(RANK, 1, 8, 8)
    return Spectrum(
        step=step,
        singular_values=np.array([4.0, 3.0, 2.0, 1.0]),
        errors=np.full(RANK, 0.25),
        left_vectors=vectors,
        coefficients=np.ones(RANK),
        image_energy=np.array(energy),
        noise_energy=np.arange(1, RANK + 1) / 63,
        sensitivity=np.ones((1, 8, 8)),
        sensitivity_error=np.ones((1, 8, 8)),
        trace=1.0,
        trace_error=0.0,
        tail_ranks=np.array([10.0, 20.0]),
        tail_values=np.array([0.5, 0.2]),
        alignment=9.0,
        noise_alignment=np.array([2.0, 3.0, 4.0]),
        descent=predicted,
        angles=np.linspace(0, step / 100, RANK),
    )


@pytest.fixture
def made(noisy, small):
    """Make a result with given descents; the noise's variance is 0.01 in the generator's units."""

    def make(*predicted):
        layout = Layout.of(noisy.shape, "YX", "frames")
        sigma = 0.1 / 0.9 * float(noisy.max() - noisy.min())
        model = build_noise(Measured.of(noisy, layout), layout, GaussianNoiseConfig(sigma=sigma))
        image = ImageTensor.of(noisy, layout, model)
        spectra = tuple(one(50 * i, each) for i, each in enumerate(predicted))
        return SpectrumResult(spectra, ("norms",), small, image, ("a <note>",), 12.0, "cpu", 1)

    return make


def fit(loss, kept=2, config=None, psnr=None):
    return FitRecord("cells <denoised>", np.array(loss, float), kept, config or {}, psnr or {})


RISK = [1.0, 0.5, 0.1001, 0.1, 0.1001, 0.4]
LOSS = [2.0, 1.0, 0.5, 0.25, 0.125, 0.06]


def test_tolerance_is_that_of_the_rule():
    assert inspect.signature(LinearizedDynamics).parameters["tolerance"].default == TOLERANCE


def test_the_stop_is_where_the_error_is_within_the_tolerance(made):
    stop = predict_stop(made(descent(RISK, LOSS)))
    assert stop.steps == (100, 1000, 10_000)
    assert stop.losses == (0.5, 0.25, 0.125)
    assert stop.end == 100_000
    assert predict_stop(made(descent([1.0, 0.1 + 0.021 * 0.01, 0.1, 0.3], LOSS[:4]))).steps == (100, 100, 100)


def test_what_lies_at_the_end_of_what_is_predicted_is_not_known(made):
    assert predict_stop(made(descent(RISK[:5], LOSS[:5]))).steps == (100, 1000, None)
    stop = predict_stop(made(descent(RISK[:4], LOSS[:4])))
    assert (stop.steps, stop.losses, stop.end) == ((100, None, None), (0.5, None, None), 1000)


def test_a_fit_is_best_where_its_loss_is_the_one_predicted(made):
    stop = predict_stop(made(descent(RISK, LOSS)))
    assert stop.of_fit(fit([1, 0.51, 0.4, 0.6, 0.25, 0.2, 0.12])) == (3, 5, 7)
    assert stop.of_fit(fit([1, 0.4])) == (2, None, None)
    is_open = predict_stop(made(descent(RISK[:5], LOSS[:5])))
    assert is_open.of_fit(fit([0.5, 0.25, 0.01])) == (1, 2, None)


def test_the_rule_linearized_finds_the_same_steps(small):
    """The rule looks at snapshots only, smooths the loss, and has other random signs, so that it is some steps off."""
    y, x = np.mgrid[:16, :16]
    noisy = 100 + 80 * np.sin(x / 5) * np.cos(y / 7) + np.random.default_rng(0).normal(0, 40, x.shape)
    noise = {"noise.kind": "gaussian", "noise.sigma": 40, "generator.n_scales": 2}
    config = small.replace(noise | {"n_steps": 150, "optimizer.learning_rate": 0.02, "backend": "torch"})
    ruled = denoise(noisy, config.replace({"stopping.kind": "linearized"})).frames[0]
    steps = predict_stop(spectrum(noisy, config, rank=2, n_passes=1)).of_fit(fit(ruled.loss))
    assert (ruled.interval[0], ruled.step, ruled.interval[1]) == pytest.approx(steps, rel=0.3)


def test_plots_lie_on_their_tabs(made):
    panels = spectrum_panels(made(descent(RISK), descent(RISK)), 0, None)
    assert {tab: [plot.title for plot in plots] for tab, plots in panels.items()} == {
        "Values": ["Singular values"],
        "Energy": ["Energy in the first vectors", "Length of J'y over that of y"],
        "Descent": ["Predicted gradient descent", "Predicted degrees of freedom"],
        "Fit": [],
        "Change": ["Angles to the vectors' space at step 0"],
    }
    assert all(isinstance(plot, Plot) for plots in panels.values() for plot in plots)


def test_what_is_estimated_and_prediction_is_that_of_the_step_that_is_shown(made):
    result = made(descent(RISK), descent(RISK[::-1]))
    for position, step in enumerate((0, 50)):
        panels = spectrum_panels(result, position, None)
        [values] = panels["Values"]
        assert [curve.label for curve in values.curves if "estimated" in curve.label] == [f"step {step}, estimated"]
        assert len(values.curves) == 3
        error, loss = panels["Descent"][0].curves
        assert (error.label, loss.label) == (f"error, from step {step}", f"loss, from step {step}")
        np.testing.assert_allclose(error.y, RISK if position == 0 else RISK[::-1])


def test_the_interval_around_the_best_step_is_shaded(made):
    [plot, _] = spectrum_panels(made(descent(RISK, LOSS)), 0, None)["Descent"]
    assert (plot.marks, plot.span) == ([("best", 1000.0)], (100.0, 10_000.0))
    [plot, _] = spectrum_panels(made(descent([1, 0.1, 0.5])), 0, None)["Descent"]
    assert (plot.marks, plot.span) == ([("best", 10.0)], (10.0, 10.0))
    [plot, _] = spectrum_panels(made(descent([1, 0.5, 0.5])), 0, None)["Descent"]
    assert plot.span[1] == plot.curves[0].x[-1]  # as far as the prediction goes


def test_the_error_prediction_is_drawn_on_the_fit(made):
    result = made(descent(RISK, LOSS))
    [plot] = spectrum_panels(result, 0, fit([3, 2.0, 0.5, 0.75, 0.25, 0.01], kept=4))["Fit"]
    actual, predicted = plot.curves
    np.testing.assert_array_equal(actual.x, np.arange(1, 7))
    np.testing.assert_allclose(predicted.y, [np.nan, 1.0, 0.1001, 0.30005, 0.1, np.nan])
    assert (plot.marks, plot.span) == ([("best", 5.0), ("kept", 4.0)], (3.0, 6.0))


def test_a_start_that_is_kept_has_no_place_on_a_logarithmic_axis(made):
    [plot] = spectrum_panels(made(None), 0, fit([1, 0.5], kept=0))["Fit"]
    assert (plot.marks, plot.span) == ([], None)


def test_psnr_is_drawn_where_there_is_a_reference(made):
    _, plot = spectrum_panels(made(descent(RISK, LOSS)), 0, fit([1, 0.2], psnr={0: 5.0, 1: 20.0, 2: 22.0}))["Fit"]
    np.testing.assert_array_equal(plot.curves[0].x, [1, 2])
    np.testing.assert_array_equal(plot.curves[0].y, [20, 22])


def test_without_a_noise_level_nothing_is_predicted(made):
    result = made(None)
    panels = spectrum_panels(result, 0, fit([1, 0.5]))
    assert panels["Descent"] == []
    assert [curve.label for curve in panels["Fit"][0].curves] == ["loss of the fit"]
    assert panels["Fit"][0].marks == [("kept", 2.0)]
    assert "not known" in describe_stop(result, 0)
    assert "not known" in describe_fit(result, fit([1]))


def test_a_single_step_has_no_change_and_more_have_their_angles(made):
    assert spectrum_panels(made(descent(RISK)), 0, None)["Change"] == []
    [plot] = spectrum_panels(made(None, None, None), 0, None)["Change"]
    assert [curve.label for curve in plot.curves] == ["step 50", "step 100"]
    assert plot.curves[1].y[-1] == pytest.approx(np.degrees(1.0))


def test_words_of_the_spectrum(made):
    result = made(descent(RISK))
    words = summarize(result.spectra[0], result.notes)
    assert "<b>3.0 times</b>" in words  # 9 against 3 on average
    assert "3 ± 1 in 3 draws" in words
    for cell in (">&nbsp;2<", ">&nbsp;3<", ">&nbsp;&gt; 4<", ">&nbsp;32<", ">&nbsp;57<", ">&nbsp;63<"):
        assert cell in words
    assert "a &lt;note&gt;" in words


def test_what_more_vectors_hold_than_were_found_is_said_once(made):
    result = made(None)
    weak = replace(result.spectra[0], image_energy=np.array([0.1, 0.2, 0.3, 0.4]))
    result = replace(result, spectra=(weak,))
    words = summarize(weak, ())
    assert words.count("&gt; 4") == 1
    assert "colspan=3" in words
    assert "50 %, 90 %, 99 % in more than 4 vectors" in repr(result)


def test_words_of_the_slider():
    spectrum = one(0, None)
    assert "No vector" in describe_components(spectrum, 0)
    assert "It holds 40 % of the image and 1.6 % of white noise" in describe_components(spectrum, 1)
    words = describe_components(spectrum, 3)
    assert "<b>Vector 3</b>: σ = 2 ± 0.2." in words
    assert "The first 3 hold 92 % of the image and 4.8 %" in words


def test_words_of_the_stop(made):
    assert "best after 1,000 steps (100 to 10,000)" in describe_stop(made(descent(RISK, LOSS)), 0)
    assert "(100 on)" in describe_stop(made(descent(RISK[:5], LOSS[:5])), 0)
    assert "after more than the 1,000 steps" in describe_stop(made(descent(RISK[:4], LOSS[:4])), 0)
    assert describe_stop(made(descent(RISK), descent(RISK)), 1).startswith("From step 50")


def test_sentences_about_the_fit(made, small):
    result = made(descent(RISK, LOSS))
    course = fit([0.5, 0.25, 0.1], 1, small.model_dump(), {1: 20.0, 2: 23.0, 3: 21.5})
    words = describe_fit(result, course)
    assert "at step <b>2</b> (1 to 3); it kept step 1" in words
    assert "PSNR 23.00 dB there, 20.00 as kept, 23.00 at best (step 2)" in words
    assert "other settings" not in words
    assert "has not reached the loss" in describe_fit(result, fit([0.5], config=small.model_dump()))
    beyond = made(descent(RISK[:4], LOSS[:4]))
    assert "best later than at step 1 at a lower loss" in describe_fit(beyond, course)
    other = small.replace({"generator.n_channels": 9, "noise.kind": "gaussian"}).model_dump()
    assert "other settings of: generator, noise" in describe_fit(result, fit([0.5], config=other))
