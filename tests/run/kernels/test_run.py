import csv
import dataclasses

import numpy as np
import pytest

from napari_convgen.core.theory.bounds import worst_terms
from napari_convgen.core.theory.dual_kernel import dual_kernel
from napari_convgen.core.theory.kernels import gaussian, normalized, triangular
from napari_convgen.core.theory.trigonometric import trigonometric_basis
from napari_convgen.errors import ConfigError, InputError
from napari_convgen.figures.files import write_curves
from napari_convgen.figures.panel import Picture
from napari_convgen.run.kernels import panels as kernel_panels
from napari_convgen.run.kernels.run import LAST_STEP, STEPS, KernelChoice, explore
from napari_convgen.samples import fluorescence, mri

SIGMA = 10.0


@pytest.fixture(scope="module")
def clean():
    y, x = np.mgrid[:48, :64]
    return 200 + 60 * np.sin(2 * np.pi * x / 32) * np.cos(2 * np.pi * y / 24)


@pytest.fixture(scope="module")
def noisy(clean):
    return clean + np.random.default_rng(0).normal(0, SIGMA, clean.shape)


@pytest.fixture(scope="module")
def explored(noisy):
    return explore(KernelChoice("triangle", 5), 60, noisy, SIGMA)


def test_kernels_are_those_of_the_paper_where_its_sizes_are_given():
    np.testing.assert_allclose(KernelChoice("triangle", 10).on((300,)), normalized(triangular((300,), 10)), atol=1e-15)
    np.testing.assert_allclose(KernelChoice("Gaussian", 3).on((300,)), normalized(gaussian((300,), 0.01)), atol=1e-15)


def test_a_gaussian_is_as_wide_along_each_side():
    kernel = KernelChoice("Gaussian", 3).on((32, 64))
    np.testing.assert_allclose(kernel[:8, 0], kernel[0, :8], rtol=1e-12)
    assert kernel[3, 0] / kernel[0, 0] == pytest.approx(np.exp(-1))


def test_custom_taps_lie_around_the_origin():
    taps = np.array([[1, 2, 1], [2, 5, 2], [0, 2, 0]], dtype=np.uint8)
    kernel = KernelChoice("custom", taps=taps).on((8, 9))
    np.testing.assert_allclose(np.roll(kernel, (1, 1), (0, 1))[:3, :3], taps / np.linalg.norm(taps), rtol=1e-12)
    np.testing.assert_allclose(
        KernelChoice("custom", taps=taps).on((9,)), KernelChoice("custom", taps=taps[1]).on((9,)), rtol=1e-12
    )


def test_one_row_of_taps_is_used_along_both_axes():
    row = np.array([[1.0, 3.0, 1.0]])
    on_both = KernelChoice("custom", taps=np.outer(row, row)).on((8, 8))
    np.testing.assert_allclose(KernelChoice("custom", taps=row).on((8, 8)), on_both, rtol=1e-12)


@pytest.mark.parametrize("step", [1.0, 20.0, 1e6])
def test_the_denoised_image_is_that_of_the_filter(explored, step):
    prediction = explored.prediction
    slow = explored.image_filter.apply(prediction.image.values[0], step)
    np.testing.assert_allclose(prediction.denoise(step), prediction.image.restore(slow[np.newaxis]), rtol=1e-9)


def test_an_image_of_an_odd_width_is_denoised(noisy):
    explored = explore(KernelChoice("bilinear"), 60, noisy[:, :-1], SIGMA)
    slow = explored.image_filter.apply(explored.prediction.image.values[0], 5)
    denoised = explored.prediction.denoise(5)
    np.testing.assert_allclose(denoised, explored.prediction.image.restore(slow[np.newaxis]), rtol=1e-9)


def test_steps_are_those_that_are_predicted(explored):
    values = explored.prediction.image.values[0]
    np.testing.assert_array_equal(STEPS, explored.image_filter.predict(values, 0.1, LAST_STEP).steps.numpy())


def test_the_predicted_error_is_that_against_the_clean_image(explored, clean, noisy):
    prediction = explored.prediction
    denoised = prediction.denoise(STEPS[prediction.best])
    error = np.sqrt(np.mean((denoised - clean) ** 2)) / SIGMA
    assert prediction.errors[prediction.best] == pytest.approx(error, abs=0.05)
    assert error < 0.5
    assert prediction.errors[-1] == pytest.approx(1, abs=1e-3)
    assert 0 < prediction.freedom[0] < prediction.freedom[-1] <= noisy.size


def test_the_best_step_is_as_good_as_any(explored, clean):
    errors = [np.sqrt(np.mean((explored.prediction.denoise(step) - clean) ** 2)) for step in STEPS]
    assert errors[explored.prediction.best] < 1.05 * min(errors)


@pytest.mark.parametrize("sample", [mri, fluorescence])
def test_predictions_hold_for_the_samples_under_their_own_noise(sample):
    image = sample()
    clean = image.clean.astype(float)

    def error(values):
        return np.sqrt(np.mean((values - clean) ** 2))

    prediction = explore(KernelChoice("triangle", 5), 60, image.noisy).prediction
    errors = [error(prediction.denoise(step)) / error(image.noisy) for step in STEPS]
    assert errors[prediction.best] < 1.01 * min(errors)
    assert prediction.errors[prediction.best] == pytest.approx(
        min(errors), abs=0.05
    )  # theirs is of the stabilized image
    assert prediction.bound.least > 1


def test_noise_is_estimated_unless_it_is_given(noisy):
    estimated = explore(KernelChoice("bilinear"), 60, noisy).prediction
    assert estimated.noise.sigma[0] == pytest.approx(SIGMA, rel=0.1)
    given = explore(KernelChoice("bilinear"), 60, noisy, 25.0).prediction
    assert given.noise.sigma == (25.0,)
    assert given.best < estimated.best


def test_integers_stay_integers(noisy):
    frame = noisy.astype(np.uint8)
    assert explore(KernelChoice("bilinear"), 60, frame).prediction.denoise(5).dtype == np.uint8


def test_terms_of_the_bound_are_those_of_theorem_1(explored):
    bound, image_filter = explored.prediction.bound, explored.image_filter
    weights = np.sort(image_filter.weights.ravel())[::-1]
    values = explored.prediction.image.values
    level = explored.prediction.noise_level
    signal_norm = np.sqrt(np.sum(values**2) / (values.size * level**2) - 1)
    assert bound.n_signal == round(0.05 * bound.n)
    assert bound.at_stop.noise == pytest.approx(np.sqrt(2 * bound.n_signal / bound.n))
    for i in (0, 10, -1):
        expected = worst_terms(weights, image_filter.rate, bound.n_signal, signal_norm, 1.0, bound.steps[i])
        assert (bound.signal[i], bound.noise[i]) == pytest.approx((expected.signal, expected.noise))


def test_the_bound_holds_for_a_signal_that_lies_in_the_functions(explored, clean):
    bound = explored.prediction.bound
    assert bound.outside < 0.02
    errors = [np.sqrt(np.mean((explored.prediction.denoise(step) - clean) ** 2)) / SIGMA for step in bound.steps]
    assert (errors <= bound.signal + bound.noise).all()


def test_energy_outside_of_the_functions_is_found(clean, noisy):
    stripes = noisy + 40 * (-1.0) ** np.arange(64)
    bound = explore(KernelChoice("triangle", 5), 60, stripes, SIGMA).prediction.bound
    assert bound.outside == pytest.approx(1600 / (1600 + clean.var()), abs=0.02)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (KernelChoice("triangle", 2.5), "whole number"),
        (KernelChoice("triangle", 40), "must fit the image"),
        (KernelChoice("Gaussian", 16), "60 samples: .* shortest side, 15, got 16"),
        (KernelChoice("Gaussian", 15), "48 × 64 samples: .* shortest side, 12, got 15"),
        (KernelChoice("custom"), "no taps"),
        (KernelChoice("custom", taps=np.array([1.0, np.nan])), "finite"),
        (KernelChoice("custom", taps=np.ones((2, 3, 4))), "one axis or two"),
        (KernelChoice("custom", taps=np.ones(3, complex)), "real numbers"),
        (KernelChoice("custom", taps=np.ones((3, 100))), "must fit the image"),
    ],
)
def test_kernels_that_cannot_be_used_are_refused(choice, message, noisy):
    with pytest.raises(InputError, match=message):
        explore(choice, 60, noisy)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.full((8, 8), 3.0), "constant"),
        (np.ones((2, 8, 8)), "rows and columns"),
        (np.where(np.eye(8) == 1, np.nan, np.arange(8.0)), r"8 of the image are missing \(NaN\)"),
        (np.where(np.eye(8) == 1, np.inf, 1.0), "infinite"),
    ],
)
def test_images_that_cannot_be_used_are_refused(frame, message):
    with pytest.raises(InputError, match=message):
        explore(KernelChoice("bilinear"), 60, frame)


def test_an_image_without_noise_has_nothing_to_predict():
    flat = np.zeros((32, 32))
    flat[:, 16:] = 1
    with pytest.raises(InputError, match="No noise was found"):
        explore(KernelChoice("bilinear"), 60, flat)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 4}, "8 to 1024 samples"),
        ({"sigma": 0.0}, "positive"),
        ({"sigma": float("nan")}, "positive"),
        ({"signal_share": 1.0}, "between 0 and 1"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        explore(KernelChoice("bilinear"), **options)


def test_without_an_image_there_is_no_prediction():
    explored = explore(KernelChoice("bilinear"), 60)
    assert explored.prediction is None
    assert explored.image_kernel.shape == (60, 60)
    panels = kernel_panels.all_panels(explored, 10.0)
    assert [len(each) for each in panels.values()] == [2, 3, 1, 1, 0]
    assert kernel_panels.prediction_words(explored, 10.0) == kernel_panels.bound_words(explored) == []


def test_plots_show_the_dual_kernel_and_the_filter(explored):
    dual, share, picture = kernel_panels.weight_panels(explored)
    np.testing.assert_allclose(dual.curves[0].y, dual_kernel(explored.signal_kernel)[:31])
    np.testing.assert_allclose(dual.curves[1].y, dual_kernel(explored.image_kernel)[0, :33])
    assert isinstance(picture, Picture)
    assert np.unravel_index(picture.values.argmax(), picture.values.shape) == (24, 32)
    response = kernel_panels.filter_panels(explored, 20.0)[0]
    for one_step, after, n in zip(share.curves, response.curves, (60, 64), strict=True):
        np.testing.assert_allclose(after.y, 1 - (1 - one_step.y) ** 20, rtol=1e-9)
        assert after.x[-1] == 0.5
        assert len(after.x) == n // 2 + 1


def test_the_kernel_is_shown_around_its_origin():
    plot, picture = kernel_panels.kernel_panels(explore(KernelChoice("triangle", 3), 60))
    np.testing.assert_allclose(plot.curves[0].y / plot.curves[0].y.max(), [0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0])
    np.testing.assert_array_equal(plot.curves[0].x, np.arange(-3, 4))
    assert picture.values.shape == (7, 7)


def test_functions_of_the_basis_have_the_weight_of_their_frequency(explored):
    [plot] = kernel_panels.basis_panels(explored, (1, 3))
    np.testing.assert_allclose(plot.curves[1].y, trigonometric_basis(60, is_sorted=True)[:, 2])
    weights = explored.signal_filter.weights
    assert [curve.label for curve in plot.curves] == [
        f"1: 0 periods, σ² = {weights[0]:.3g}",
        f"3: 1 period, σ² = {weights[1]:.3g}",
    ]


@pytest.mark.parametrize("functions", [(), (0,), (61,), tuple(range(1, 8))])
def test_functions_that_are_not_there_are_refused(explored, functions):
    with pytest.raises(InputError, match="from 1 to 60"):
        kernel_panels.basis_panels(explored, functions)


def test_marks_distinguish_the_best_step_from_the_shown_one(explored):
    best = float(STEPS[explored.prediction.best])
    assert kernel_panels.filter_panels(explored, best)[1].marks == [("best", best)]
    assert kernel_panels.filter_panels(explored, 1.0)[1].marks == [("best", best), ("shown", 1.0)]


def test_sentences_state_the_prediction_and_whether_the_bound_promises_anything(explored, noisy):
    words = " ".join(kernel_panels.prediction_words(explored, 1.0))
    assert f"Best step {STEPS[explored.prediction.best]:.0f}: error" in words
    assert "Gaussian noise of standard deviation 10" in words
    assert explored.prediction.bound.least > 1
    assert "promises nothing" in kernel_panels.bound_words(explored)[-1]
    wide = explore(KernelChoice("Gaussian", 9), 60, noisy, SIGMA, 0.005)
    assert ("promises a better one" in kernel_panels.bound_words(wide)[-1]) == (wide.prediction.bound.least < 1)


def test_an_error_whose_square_is_estimated_below_zero_is_unknown(explored):
    prediction = dataclasses.replace(explored.prediction, errors=np.full_like(explored.prediction.errors, np.nan))
    unknown = dataclasses.replace(explored, prediction=prediction)
    words = [*kernel_panels.prediction_words(unknown, 1.0), *kernel_panels.bound_words(unknown)]
    assert sum("unknown" in line for line in words) == 3
    assert not any("nan" in line for line in words)


def test_the_points_of_all_curves_can_be_written(explored, tmp_path):
    panels = [panel for group in kernel_panels.all_panels(explored, 20.0).values() for panel in group]
    write_curves(tmp_path / "all.csv", panels)
    with open(tmp_path / "all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["plot"] for row in rows} == {panel.title for panel in panels if not isinstance(panel, Picture)}


def test_the_mean_is_no_energy_outside_of_functions_that_leave_it_out():
    rows, columns = np.indices((48, 48))
    signal = 100 + 20 * (-1.0) ** (rows + columns) + np.random.default_rng(0).standard_normal((48, 48))
    bound = explore(KernelChoice("custom", taps=np.array([1.0, -1.0])), 60, signal, 1.0, 0.3).prediction.bound
    assert bound.outside < 0.05
