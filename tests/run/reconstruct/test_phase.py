"""The phase of a thin object from images through focus or under an array of lights, with the aberrations of the microscope."""

import itertools
import re
from functools import partial

import numpy as np
import pytest
import torch

from napari_convgen.core.image import Image
from napari_convgen.core.operators.microscopes import led_array, through_focus
from napari_convgen.core.operators.phase import PhaseImaging
from napari_convgen.core.optics.objective import Objective
from napari_convgen.core.phase import refinement
from napari_convgen.core.phase.calibration import N_STEPS, SETTLED, Estimate
from napari_convgen.core.phase.linear import LinearizedPhase
from napari_convgen.core.phase.starts import hold_out
from napari_convgen.core.regularized.choice import regularize
from napari_convgen.core.regularized.plug_and_play import plug_and_play_stages
from napari_convgen.core.regularized.total_variation import TotalVariation
from napari_convgen.core.snapshot import Outcome
from napari_convgen.errors import ConfigError, InputError, ShortMemoryError
from napari_convgen.run.reconstruct.run import ReconstructTask
from napari_convgen.run.setup import forecast
from napari_convgen.run.simulate import simulate

MICRON = "micrometer"
DRY = Objective(0.5, 0.52, 1.0)
ABERRATIONS = np.array([0.4, -0.3, 0.3])


def bumps(size):
    """Return smooth bumps of up to a radian, symmetric in nothing."""
    rows, columns = np.meshgrid(*(np.arange(n) / n for n in size), indexing="ij")
    phase = np.zeros(size)
    for row, column, height, width in ((0.4, 0.45, 0.9, 0.12), (0.62, 0.6, 0.5, 0.05), (0.5, 0.7, -0.3, 0.08)):
        phase += height * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2))
    return phase


def images_of(imaging, phase, aberrations=(), photons=None):
    parameters = torch.tensor([*aberrations, 0.0], dtype=torch.float64)
    images = imaging.joint(torch.from_numpy(phase)[None], parameters)[0].numpy()
    return images if photons is None else np.random.default_rng(0).poisson(photons * images).astype(np.float32)


STACK = through_focus(DRY, (0.2, 0.2), [-3.0, -1.5, 0.0, 1.5, 3.0], (32, 30), 3)
PHASE = bumps(STACK.size)
SEEN = Image(images_of(STACK, PHASE, ABERRATIONS, 400), "ZYX", (1.5, 0.2, 0.2), (MICRON,) * 3)
QUICK = {"n_zernikes": 3, "n_starts": 2, "changes": {"n_threads": 1}}


def test_a_phase_and_aberrations_are_found(monkeypatch):
    monkeypatch.setattr(refinement, "plug_and_play_stages", partial(plug_and_play_stages, n_turns=4))
    task = ReconstructTask(SEEN, problem="phase", reference=PHASE[STACK.view] + 5.0, **QUICK)
    shares = [progress.share for progress in task]
    assert all(later >= earlier for earlier, later in itertools.pairwise(shares))
    assert max(np.diff(shares)) < 0.3  # most of the work is before the only step
    result = task.result()
    truth = PHASE[STACK.view]
    assert result.image.shape == truth.shape
    assert result.image.dtype == np.float32
    assert abs(result.image.mean()) < 1e-5
    assert np.sqrt(np.mean((result.image - (truth - truth.mean())) ** 2)) < 0.1
    assert result.scores(result.image).psnr > 20  # a truth with another mean is as good
    assert np.linalg.norm(result.extras["zernikes"] - ABERRATIONS) < 0.2
    assert result.residual.shape == (1, 5, 32, 30)
    assert np.std(result.residual) == pytest.approx(np.sqrt(400), rel=0.15)
    assert result.measurement_error == pytest.approx(np.sqrt(400), rel=0.2)
    pupil = result.extras["pupil"]
    assert np.isnan(pupil[0, 0])
    assert np.sqrt(np.nanmean(pupil**2)) == pytest.approx(np.linalg.norm(result.extras["zernikes"]), rel=0.2)
    doubts = ("not certain", "not explained", "worse than the best")
    assert not any(doubt in note for note in result.notes for doubt in doubts)
    assert any("5 planes up to 3 micrometers from the focus" in note for note in result.notes)


def test_a_refined_phase_is_better_than_total_variation_and_than_the_denoiser_alone(monkeypatch):
    """The denoiser alone leaves slopes over the whole view as the noise draws them, which no entry can tell that is held out."""
    calibration = ReconstructTask(SEEN, problem="phase", **QUICK).posed.calibration
    truth = torch.from_numpy(PHASE).float()[None]
    near = Estimate(torch.zeros_like(truth), 0.8 * truth, torch.tensor([*ABERRATIONS, 0.0]).float())
    weights = torch.ones(calibration.measurement.shape)
    problem = LinearizedPhase.of(calibration, near).problem(-0.7, 2.2, weights)
    out = hold_out(problem.forward_model, weights > 0, torch.Generator().manual_seed(0))
    flat = torch.full_like(truth, 0.5)
    *_, total_variation = regularize(problem, (weights * (1 - out))[None], TotalVariation, flat)
    few_turns = partial(plug_and_play_stages, n_turns=6)
    monkeypatch.setattr(refinement, "plug_and_play_stages", few_turns)
    *_, alone = few_turns(problem)
    *_, refined = refinement.refined_stages(problem, weights, out)

    def error(image):
        return float((2.2 * image - truth)[(0, *STACK.view)].std())

    assert error(refined.image) < min(error(total_variation.whole), error(alone.image))


def test_a_forecast_counts_what_is_found_before_the_fit():
    forecast = ReconstructTask(SEEN, problem="phase", **QUICK).forecast()
    assert (
        forecast.total.cpu > 10 * forecast.n_steps * forecast.step.cpu
    )  # a step takes milliseconds, the search seconds
    assert re.search(r"are free\. About [^(]+ s \([^)]+ s of CPU time\), on cpu", str(forecast))


def test_the_wrong_order_of_the_planes_is_noticed():
    """Then the images are those of the conjugate twin: without aberrations nothing could tell, with them the images are not explained."""
    flipped = Image(np.asarray(SEEN.data)[[0, 3, 2, 1, 4]], "ZYX", SEEN.scale, SEEN.units)
    posed = ReconstructTask(flipped, problem="phase", **QUICK).posed
    *_, _ = posed.find_out(lambda: False)
    assert any("not explained" in note for note in posed.notes)


def test_the_step_that_is_kept_of_a_generator_alone_is_doubted():
    changes = {"n_threads": 1, "n_steps": 2, "generator.n_channels": 4}
    task = ReconstructTask(SEEN, "deep-decoder", problem="phase", n_zernikes=3, n_starts=1, changes=changes)
    assert any("the step that is kept can be some decibels worse" in note for note in task.finish().notes)


def test_a_stop_keeps_what_there_is():
    task = ReconstructTask(SEEN, problem="phase", **QUICK)
    progress = iter(task)
    next(progress)
    assert task.preview().shape == (32, 30)
    task.stop()
    for _ in progress:
        pass
    result = task.result()
    assert any("Stopped before the aberrations were found" in note for note in result.notes)
    assert result.reason.outcome is Outcome.USER
    assert "No network was fitted: the image is the first estimate at that moment." in str(result.reason)


def test_lights_from_several_directions_show_a_phase_in_smaller_pixels():
    waves = 0.4 * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1], [1.4, -1], [-1.4, 1]])
    imaging = led_array(DRY, (0.2, 0.2), waves, (16, 16), 0, 2)
    phase = bumps(imaging.size)
    seen = Image(images_of(imaging, phase, (), 2000), "TYX", (1, 0.4, 0.4), ("", MICRON, MICRON))
    posed = ReconstructTask(seen, problem="phase", lights=waves, factor=2, n_zernikes=0, n_starts=2).posed
    *_, (found, _) = posed.find_out(lambda: False)
    truth = phase[imaging.view]
    assert posed.image_shape == found.shape == (32, 32)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.9


def test_under_lights_the_phase_is_refined_and_nothing_is_said_of_what_was_held_out():
    waves = 0.4 * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    imaging = led_array(DRY, (0.2, 0.2), waves, (16, 16), 0, 1)
    images = images_of(imaging, bumps(imaging.size), (), 2000)
    given = {"lights": waves, "n_zernikes": 0, "n_starts": 1, "changes": {"n_threads": 1}}
    task = ReconstructTask(Image(images, "TYX", (1, 0.2, 0.2), ("", MICRON, MICRON)), problem="phase", **given)
    task.finish()
    truth = bumps(imaging.size)[imaging.view]
    assert np.corrcoef(task.result().image.ravel(), truth.ravel())[0, 1] > 0.98
    assert "Nothing of the measurement was held out" not in " ".join(task.result().notes)


def test_a_simulation_is_that_of_the_operator():
    truth = Image(bumps((40, 36)), "YX", (0.2, 0.2), (MICRON, MICRON))
    made = simulate(truth, problem="phase", aberrations=[0.5], n_planes=3, z_step=2.0)
    assert np.asarray(made.measurement.data).shape == (3, 40, 36)
    assert made.measurement.axes == "ZYX"
    assert made.measurement.scale == (2.0, 0.2, 0.2)
    imaging = through_focus(DRY, (0.2, 0.2), [-2.0, 0.0, 2.0], (40, 36), 1)
    around = np.pad(truth.data, [(m, m) for m in imaging.margins], mode="reflect")
    np.testing.assert_allclose(made.measurement.data, images_of(imaging, around, [0.5]), rtol=1e-6)


FOCUS = Image(np.asarray(SEEN.data)[2:3], "ZYX", SEEN.scale, SEEN.units)


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"image": np.asarray(SEEN.data)}, InputError, "along Y, and the image does not know it"),
        ({"image": np.asarray(SEEN.data), "pixel_size": 0.2}, InputError, "Give operator.z_step in micrometers"),
        ({"numerical_aperture": 1.2}, InputError, "below the refractive index 1, got 1.2"),
        ({"wavelength": 0.52}, ConfigError, "operator.wavelength cannot be 0.52"),
        ({"n_zernikes": 34}, ConfigError, "operator.n_zernikes cannot be 34"),
        ({"image": FOCUS}, InputError, "The phase is not visible: the farthest plane is 0 micrometers"),
        (
            {"image": FOCUS, "depths": [3.0]},
            ConfigError,
            "The image cannot tell any aberration. Set operator.n_zernikes to 0",
        ),
        (
            {"z_step": 900.0},
            InputError,
            "the images are 6.4 wide. Check that the distances of the planes are in micrometers",
        ),
        ({"depths": [-4000.0, -2000.0, 0.0, 2000.0, 4000.0]}, InputError, "The farthest plane is 4e+03 micrometers"),
        ({"depths": np.arange(5.0), "lights": np.full((5, 2), 0.1)}, InputError, "Both depths and lights are given"),
        ({"depths": ["far"] * 5}, InputError, "planes from the focus must be an array of numbers, got text"),
        ({"depths": 1j * np.ones(5)}, InputError, "planes from the focus must be real numbers, got complex128"),
        ({"lights": [["a", "b"]] * 5}, InputError, "directions of the lights must be an array of numbers, got text"),
        (
            {"lights": 0.9 * np.eye(2)[np.array([0, 1, 0, 1, 0])], "pixel_size": 0.18},
            InputError,
            "all lights are beyond the aperture, from sin θ = 0.9 on",
        ),
        ({"pixel_size": 0.6}, InputError, "Pixels are too coarse for the aperture"),
        ({"depths": [1.0, 2.0]}, InputError, "expected 5 finite numbers in micrometers"),
        ({"lights": np.zeros((4, 2))}, InputError, "expected (5, 2), got (4, 2)"),
        ({"lights": np.full((5, 2), 20.0)}, InputError, "Give sines, not angles"),
        ({"lights": np.zeros((5, 2))}, InputError, "The phase is not visible"),
        ({"changes": {"operator.kind": "led-array"}}, InputError, "Give lights"),
        ({"image": np.ones((3, 8, 8))}, InputError, "16 rows and columns at least"),
        ({"image": np.ones((2, 3, 20, 20))}, InputError, "expected (images, rows, columns)"),
        ({"image": Image(-np.asarray(SEEN.data), "ZYX", SEEN.scale, SEEN.units)}, InputError, "mean is above 0"),
        ({"image": Image(0 * SEEN.data + 1, "ZYX", SEEN.scale, SEEN.units)}, InputError, "images are constant"),
    ],
)
def test_what_shows_no_phase_is_refused_before_anything_starts(given, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        ReconstructTask(**{"image": SEEN, "problem": "phase", "n_zernikes": 3} | given)


def test_more_aberrations_than_the_images_tell_well_are_noted():
    def notes(n_zernikes):
        return " ".join(ReconstructTask(SEEN, problem="phase", n_zernikes=n_zernikes).posed.notes)

    assert "hardly determine 33 aberrations: the predicted error of all together is" in notes(33)
    assert "hardly" not in notes(1)


def test_equal_planes_are_as_many_images_as_were_measured():
    truth = Image(bumps((24, 20)), "YX", (0.2, 0.2), (MICRON,) * 2)
    made = simulate(truth, problem="phase", depths=[3.0, 3.0]).measurement
    assert made.data.shape == (2, 24, 20)
    np.testing.assert_array_equal(made.data[0], made.data[1])
    ReconstructTask(made, problem="phase", depths=[3.0, 3.0], n_zernikes=0, pixel_size=0.2)


def test_a_measurement_too_large_for_the_memory_is_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr(forecast, "free_bytes", lambda device: 100_000)
    monkeypatch.setattr(PhaseImaging, "_pupils", property(lambda self: pytest.fail("pupils were computed")))
    with pytest.raises(ShortMemoryError, match="are free on cpu"):
        ReconstructTask(SEEN, problem="phase", n_zernikes=3)


def test_a_phase_without_aberrations_is_improved_until_it_has_settled():
    seen = Image(images_of(STACK, PHASE, (0, 0, 0), 400), "ZYX", (1.5, 0.2, 0.2), (MICRON,) * 3)
    posed = ReconstructTask(seen, problem="phase", n_zernikes=0, changes={"n_threads": 1}).posed
    calibration = posed.calibration
    start = calibration.start(torch.Generator().manual_seed(0))
    *others, before, after = calibration.improve(start, torch.ones_like(calibration.measurement))
    has_settled = float((after.image - before.image).square().mean().sqrt()) < SETTLED
    assert has_settled or len(others) + 2 == N_STEPS


def test_the_search_for_the_instrument_is_named():
    first = next(iter(ReconstructTask(SEEN, problem="phase", **QUICK)))
    assert str(first).startswith("Finding the phase and the aberrations: ")
