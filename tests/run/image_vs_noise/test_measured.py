"""Fits of what an operator measures of the generator's image."""

import re

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_convgen.config import Config
from napari_convgen.core.image import Image
from napari_convgen.core.mri.simulation import equispaced, head, scan
from napari_convgen.core.operators.microscopes import through_focus
from napari_convgen.core.optics.objective import Objective
from napari_convgen.errors import ConfigError, FitError, InputError
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.run.image_vs_noise.run import CompareFitsTask, compare_fits
from napari_convgen.run.reconstruct.run import ReconstructTask, reconstruct
from napari_convgen.run.simulate import simulate

CONFIG = Config().replace(
    {"generator.n_channels": 8, "generator.n_scales": 2, "n_steps": 20, "n_threads": 1, "noise.kind": "none"}
)


@pytest.fixture(autouse=True)
def _few_aberrations(monkeypatch):
    """Look for the aberrations of a phase in few steps: whatever is found is what is looked at."""
    monkeypatch.setattr("napari_convgen.core.phase.calibration.N_STEPS", 4)


@pytest.fixture
def truth():
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(24, 20)), 2)
    return 200 + 100 * smooth / np.abs(smooth).max()


@pytest.mark.parametrize("problem", ["inpaint", "deblur", "enlarge"])
def test_the_fit_to_the_measurement_is_that_of_a_reconstruction(problem, truth):
    inputs = {
        "inpaint": {"is_missing": np.random.default_rng(1).random((24, 20)) < 0.4},
        "deblur": {"sigma": 0.8},
        "enlarge": {"factor": 2},
    }[problem]
    shape = (48, 40) if problem == "enlarge" else (24, 20)
    clean = ndimage.zoom(truth, 2, order=1) if problem == "enlarge" else truth
    targets = TargetsConfig(added_noise=5.0)
    result = compare_fits(truth, CONFIG, reference=clean, targets=targets, problem=problem, **inputs)
    assert [target.name for target in result.targets] == ["image", "noise", "added noise"]
    image = result["image"]
    assert {snapshot.image.shape for snapshot in image.snapshots} == {shape}
    assert image.values.shape == truth.shape
    assert image.losses[-1] < min(image.losses[0], result["noise"].losses[-1])
    alone = CONFIG.replace({"n_seeds": 1, "stopping.kind": "fixed", "output": "iterate", "n_restarts": 0})
    other = reconstruct(truth, alone, problem=problem, reference=clean, **inputs)
    np.testing.assert_allclose(image.snapshots[-1].image, other.generator_image, rtol=0.02)
    error = np.mean((image.snapshots[-1].image - clean) ** 2) / clean.var()
    assert image.errors[-1] == pytest.approx(error, rel=0.01)


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"problem": "sense"}, InputError, "k-space"),
        ({"problem": "deblur", "psf": -torch.eye(3).numpy()}, InputError, "negative values"),
        ({"problem": "enlarge", "reference": np.ones((24, 20))}, InputError, "expected (48, 40), got (24, 20)"),
        ({"is_missing": np.ones((24, 20))}, ConfigError, "is_missing belongs to a problem. Name the problem"),
    ],
)
def test_what_cannot_be_compared_is_refused(given, error, sentence, truth):
    with pytest.raises(error, match=re.escape(sentence)):
        CompareFitsTask(truth, CONFIG, **given)


SCAN = scan(head((20, 18), 3), equispaced((20, 18), 2, 8), n_coils=3, noise=0.01)
STACK = through_focus(Objective(0.5, 0.52, 1.0), (0.3, 0.3), [-2.0, 0.0, 2.0], (18, 17), 1)
PHASE = np.exp(-(np.square(np.indices(STACK.size) - np.array(STACK.size)[:, None, None] / 2).sum(0)) / 20)


def posed(name):
    """A measurement that is no image, what it needs, and its truth."""
    if name == "sense":
        inputs = {"coil_maps": SCAN.coil_maps, "is_sampled": SCAN.is_sampled}
        return 1e-4 * SCAN.kspace, inputs, 1e-4 * np.abs(SCAN.image)
    if name == "phase":
        images = STACK.joint(torch.from_numpy(PHASE)[None], torch.tensor([0.2, 0.0]).double())[0].numpy()
        counts = np.random.default_rng(0).poisson(900 * images)
        inputs = {"n_zernikes": 1, "n_starts": 1}
        return Image(counts, "ZYX", (2, 0.3, 0.3), ("micrometer",) * 3), inputs, PHASE[STACK.view] + 3
    truth = 100 + 50 * ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(18, 17)), 1.5)
    made = simulate(truth, problem="sensing", measured=0.6, noise=1.0)
    return made.measurement, {"n_rows": 18, "n_columns": 17}, truth


@pytest.mark.parametrize("name", ["sense", "phase", "sensing"])
def test_a_measurement_that_is_no_image_is_fitted_and_noise_of_its_norm(name):
    measurement, inputs, truth = posed(name)
    targets = TargetsConfig(added_noise=1e-5 if name == "sense" else 3.0)
    task = CompareFitsTask(measurement, CONFIG, problem=name, reference=truth, targets=targets, **inputs)
    result = task.finish()
    assert [target.name for target in result.targets] == ["image", "noise", "added noise"]
    image, noise, added = result.targets
    assert image.losses[-1] < min(image.losses[0], noise.losses[-1])
    y = measurement if name == "sense" else np.asarray(measurement.data)
    assert image.values.shape == noise.values.shape == y.shape
    np.testing.assert_allclose(image.values, y, atol=1e-4 * np.abs(y).max())
    seen = y != 0 if name == "sense" else np.full(y.shape, True)
    assert not noise.values[~seen].any()
    assert np.linalg.norm(noise.values) == pytest.approx(np.linalg.norm(y), rel=0.05)
    difference = (added.values - y)[seen]
    parts = [difference.real, difference.imag] if name == "sense" else [difference]
    for part in parts:
        assert np.sqrt(np.mean(part**2)) == pytest.approx(targets.added_noise, rel=0.25)
    alone = CONFIG.replace({"n_seeds": 1, "stopping.kind": "fixed", "output": "iterate", "n_restarts": 0})
    other = reconstruct(measurement, alone, problem=name, reference=truth, **inputs)
    last = image.snapshots[-1].image
    np.testing.assert_allclose(last, other.generator_image, atol=0.03 * np.abs(other.generator_image).max())
    aligned = ReconstructTask(measurement, problem=name, **inputs).posed.aligned(truth)
    shown = np.abs(last) if name == "sense" else last
    assert image.errors[-1] == pytest.approx(np.mean((shown - aligned) ** 2) / aligned.var(), rel=1e-4)
    assert np.isnan(noise.errors).all()


@pytest.mark.parametrize(("shape", "spread"), [("uniform", 3**0.5), ("gaussian", 3.0)])
def test_noise_lies_around_what_a_constant_image_would_measure_or_has_the_norm_of_all(shape, spread):
    measurement, inputs, _ = posed("sense")

    def noise(mean):
        targets = TargetsConfig(noise=shape, mean=mean)
        return CompareFitsTask(measurement, CONFIG, problem="sense", targets=targets, **inputs)._targets[1]

    removed, kept = noise("removed"), noise("kept")
    task = CompareFitsTask(measurement, CONFIG, problem="sense", **inputs)
    image = task._targets[0]
    assert removed.variance == pytest.approx(image.variance)
    assert np.linalg.norm(kept.values) == pytest.approx(np.linalg.norm(image.values))
    peak = np.abs(kept.values.real).max() / kept.values.real[kept.is_observed].std()
    assert peak < spread * 1.1 if shape == "uniform" else peak > 2.5
    flat = task.look.problem().predict(torch.full((2, 20, 18), 0.5)).numpy()
    own, others = (np.vdot(flat, each.values).real for each in (image, removed))
    assert others == pytest.approx(own, rel=1e-4)


def test_a_stop_before_the_aberrations_are_found_leaves_no_result():
    measurement, inputs, _ = posed("phase")
    task = CompareFitsTask(measurement, CONFIG, problem="phase", **inputs)
    task.stop()
    assert [progress.step for progress in task] in ([], [0])
    assert not task.has_result
    with pytest.raises(FitError):
        task.result()


def test_finding_out_about_the_instrument_is_a_share_of_the_work():
    measurement, inputs, _ = posed("phase")
    shares = [progress.share for progress in CompareFitsTask(measurement, CONFIG, problem="phase", **inputs)]
    assert shares == sorted(shares)
    assert any(0 < share <= 0.5 for share in shares)
    assert shares[-1] == 1


def test_the_search_for_the_instrument_is_named():
    measurement, inputs, _ = posed("phase")
    first = next(iter(CompareFitsTask(measurement, CONFIG, problem="phase", **inputs)))
    assert str(first).startswith("Finding the phase and the aberrations: ")


def test_a_forecast_says_that_it_leaves_out_the_search():
    measurement, inputs, _ = posed("phase")
    task = CompareFitsTask(measurement, CONFIG, problem="phase", **inputs)
    assert str(task.forecast()).endswith(", and finding the phase before, which is not counted.")
