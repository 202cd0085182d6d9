"""The spectrum of what an operator measures of a generator's image."""

import math
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
from napari_convgen.core.problem import Problem
from napari_convgen.core.spectra.jacobian import module_jacobian
from napari_convgen.errors import ConfigError, FitError, InputError
from napari_convgen.run.reconstruct.run import ReconstructTask
from napari_convgen.run.simulate import simulate
from napari_convgen.run.spectrum import run as module
from napari_convgen.run.spectrum.progress import SpectrumProgress
from napari_convgen.run.spectrum.run import SpectrumTask, spectrum

CONFIG = Config().replace(
    {"generator.n_channels": 6, "generator.n_scales": 2, "device": "cpu", "noise.kind": "gaussian", "noise.sigma": 10}
)
IS_MISSING = np.random.default_rng(1).random((8, 9)) < 0.3
PROBLEMS = {
    "inpaint": {"is_missing": IS_MISSING},
    "deblur": {"psf": np.exp(-np.square(np.indices((3, 5)) - np.array([1, 2])[:, None, None]).sum(0))},
    "enlarge": {"factor": 2},
}


@pytest.fixture(autouse=True)
def _few_aberrations(monkeypatch):
    """Look for the aberrations of a phase in few steps: whatever is found is what is looked at."""
    monkeypatch.setattr("napari_convgen.core.phase.calibration.N_STEPS", 4)


@pytest.fixture(autouse=True)
def few_products(monkeypatch):
    for name in ("N_NOISE_DRAWS", "N_SENSITIVITY_PROBES", "N_TAIL_PRODUCTS"):
        monkeypatch.setattr(module, name, 6)
    monkeypatch.setattr(module, "N_DESCENT_PRODUCTS", 12)


@pytest.fixture
def image():
    blob = ndimage.gaussian_filter(np.pad([[1.0]], ((3, 4), (4, 4))), 1.5)
    return 20 + 2000 * blob + np.random.default_rng(0).normal(0, 10, blob.shape)


def matrix(problem: Problem):
    """The operator, row by row; missing pixels are zero rows."""
    model, weights = problem.forward_model, (problem.weights > 0).double()
    columns = [
        (weights * model.apply(unit.view(model.in_shape))).flatten()
        for unit in torch.eye(int(np.prod(model.in_shape)), dtype=torch.float64)
    ]
    return torch.stack(columns, 1)


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_is_that_of_the_dense_jacobian_of_operator_and_generator(name, image):
    task = SpectrumTask(image, CONFIG, problem=name, rank=10, n_passes=4, **PROBLEMS[name])
    [found] = task.finish().spectra
    generator = task._generator("torch").eval()
    whole = module_jacobian(generator)
    rows = torch.stack([whole.adjoint(unit.view(whole.out_shape)) for unit in torch.eye(int(np.prod(whole.out_shape)))])
    seen = (task._problem.weights > 0).double().flatten()
    product = matrix(task._problem) @ rows.double()
    product = product - seen[:, None] * (product.sum(0) / seen.sum())  # without the mean of the measurement
    left, values, _ = torch.linalg.svd(product, full_matrices=False)
    assert found.singular_values[:6] == pytest.approx(values[:6].numpy(), rel=1e-3)
    vectors = found.left_vectors.reshape(10, -1)
    assert found.left_vectors.shape == (10, 1, 8, 9)
    overlaps = np.abs((vectors[:3] * left[:, :3].numpy().T).sum(1))
    assert overlaps == pytest.approx(1, abs=0.01)
    y = task._problem.measurement.flatten().double()
    y = seen * (y - (seen * y).sum() / seen.sum())
    expected = (left[:, :5].T @ y).square().sum() / y.square().sum()
    assert found.image_energy[4] == pytest.approx(float(expected), abs=0.02)
    residual = task._problem.residual(generator().detach()[0]).flatten().double()
    assert float(found.descent.loss[0]) < float((seen * residual.square()).sum() / seen.sum())
    assert found.descent.best > 0


def test_later_steps_are_those_of_a_fit_to_the_measurement(image):
    start, later = spectrum(image, CONFIG, problem="enlarge", factor=2, rank=4, at_steps=(0, 3)).spectra
    assert (start.step, later.step) == (0, 3)
    assert not np.allclose(start.singular_values, later.singular_values)


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"problem": "sense"}, InputError, "k-space"),
        ({"problem": "phase"}, InputError, "Phase needs a stack of intensities"),
        (
            {"problem": "enlarge", "config": "default"},
            ConfigError,
            "draws from the image, and what was measured is another",
        ),
        ({"problem": "sharpen"}, ConfigError, "There is no problem 'sharpen'"),
        ({"problem": "inpaint"}, InputError, "nothing to fill in"),
        ({"factor": 2}, ConfigError, "factor belongs to a problem. Name the problem"),
        ({"problem": "enlarge", "config": "guided-network"}, ConfigError, "there is a forward operator"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(given, error, sentence, image):
    with pytest.raises(error, match=re.escape(sentence)):
        SpectrumTask(image, **given)


SIZE = (10, 9)
SCAN = scan(head(SIZE, 3), equispaced(SIZE, 2, 6), n_coils=3, noise=0.01)
STACK = through_focus(Objective(0.5, 0.52, 1.0), (0.3, 0.3), [-2.0, 0.0, 2.0], (16, 17), 1)
AUTO = CONFIG.replace({"noise.kind": "auto", "noise.sigma": "auto"})


def seen_through_focus():
    phase = np.exp(-(np.square(np.indices(STACK.size) - np.array(STACK.size)[:, None, None] / 2).sum(0)) / 20)
    images = STACK.joint(torch.from_numpy(phase)[None], torch.tensor([0.2, 0.0]).double())[0].numpy()
    return Image(np.random.default_rng(0).poisson(900 * images), "ZYX", (2, 0.3, 0.3), ("micrometer",) * 3)


def seen_as_sums():
    truth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(10, 9)), 1.5)
    made = simulate(100 + 50 * truth / truth.std(), problem="sensing", measured=0.6, noise=1.0)
    return made.measurement, {"n_rows": 10, "n_columns": 9}


def posed(name):
    """A measurement that is no image, and what it needs."""
    if name == "sensing":
        return seen_as_sums()
    if name == "sense":
        return 1e-4 * SCAN.kspace, {"coil_maps": SCAN.coil_maps, "is_sampled": SCAN.is_sampled}
    return seen_through_focus(), {"n_zernikes": 1, "n_starts": 1}


def real(values):
    return torch.view_as_real(values) if values.is_complex() else values


@pytest.mark.parametrize("name", ["sense", "phase", "sensing"])
def test_of_a_measurement_that_is_no_image_it_is_that_of_its_entries(name):
    """Against the dense Jacobian, without what constant images would measure, and with the images that are measured as vectors."""
    measurement, inputs = posed(name)
    config = AUTO.replace({"noise.sigma": 1e-6}) if name == "sense" else AUTO
    task = SpectrumTask(measurement, config, problem=name, rank=8, n_passes=5, **inputs)
    result = task.finish()
    [found] = result.spectra
    problem = task.look.problem()
    model = problem.forward_model
    seen = (problem.weights > 0)[..., None] if problem.measurement.is_complex() else problem.weights > 0

    def measured(image):
        return (seen * real(model.apply(image.float()))).double().flatten()

    n = int(np.prod(model.in_shape))
    matrix = torch.stack([measured(unit.view(model.in_shape)) for unit in torch.eye(n)], 1)
    whole = module_jacobian(task._generator("torch").eval())
    rows = torch.stack([whole.adjoint(unit.view(whole.out_shape)) for unit in torch.eye(n)]).double()
    n_channels = model.in_shape[0]
    flat = matrix @ torch.eye(n_channels).double().repeat_interleave(n // n_channels, 0)
    flat = flat[:, flat.norm(dim=0) > 1e-2]  # no image shows the mean of a phase
    basis = torch.linalg.qr(flat)[0]

    def centered(values):
        return values - basis @ (basis.T @ values)

    left, values, _ = torch.linalg.svd(centered(matrix @ rows), full_matrices=False)
    assert found.singular_values[:5] == pytest.approx(values[:5].numpy(), rel=2e-3)
    shape = problem.measurement.shape
    assert found.left_vectors.shape == (8, *shape)
    vectors = real(torch.from_numpy(found.left_vectors)).reshape(8, -1).double()
    overlaps = (vectors[:2] * left[:, :2].T).sum(1).abs()
    assert overlaps.numpy() == pytest.approx(1, abs=0.01)
    y = centered((seen * real(problem.measurement)).double().flatten())
    expected = (left[:, :4].T @ y).square().sum() / y.square().sum()
    assert found.image_energy[3] == pytest.approx(float(expected), abs=0.02)
    assert found.noise_energy[0] == pytest.approx(
        1 / (int(seen.expand_as(real(problem.measurement)).sum()) - basis.shape[1])
    )
    diagonal = (matrix @ rows).square().sum(1) if not len(flat.T) else (centered(matrix @ rows)).square().sum(1)
    assert found.trace == pytest.approx(float(diagonal.sum()), rel=0.2)
    assert found.sensitivity.shape == shape
    assert found.sensitivity.sum() == pytest.approx(found.trace, rel=0.01)
    for vector, image in zip(vectors, found.images, strict=True):
        np.testing.assert_allclose(measured(torch.from_numpy(image)), vector, atol=2e-3)
    assert (found.descent is None) == (name == "sensing")  # the noise of sums is not known
    if found.descent is not None:  # a complex entry has half of its noise in each part
        level = float(problem.noise_level[0])
        assert found.descent.noise_variance == pytest.approx(level**2 / (2 if name == "sense" else 1))


@pytest.mark.parametrize("name", ["sense", "phase", "sensing"])
def test_the_projection_is_the_image_that_is_measured_as_the_first_vectors_of_the_measurement(name):
    measurement, inputs = posed(name)
    task = SpectrumTask(measurement, AUTO, problem=name, rank=30, at_steps=(2,), **inputs)
    result = task.finish()
    [found] = result.spectra
    reconstruction = ReconstructTask(measurement, problem=name, **inputs).posed
    image = result.projection(30)
    assert image.shape == reconstruction.image_shape
    assert image.dtype == reconstruction.dtype
    assert result.vector(3).shape[1:] == image.shape
    assert np.linalg.norm(result.vector(3)) == pytest.approx(1)
    values = np.einsum("n,nc...->c...", found.coefficients, found.images) + found.levels[:, None, None]
    np.testing.assert_array_equal(image, task.look.units.restore(values))
    problem = task.look.problem()
    energies = [
        float((problem.weights * problem.residual(torch.from_numpy(each)).abs() ** 2).sum())
        for each in (0 * values + found.levels[:, None, None], values)
    ]
    assert energies[1] == pytest.approx((1 - found.image_energy[-1]) * energies[0], rel=0.02)
    with pytest.raises(ConfigError, match="The measurement is no image"):
        result.remainder(3)
    assert not any("sensitivity" in panel.title for panel in result.panels())
    assert found.step == 2


def test_a_stop_before_the_aberrations_are_found_leaves_no_result():
    measurement, inputs = posed("phase")
    task = SpectrumTask(measurement, CONFIG, problem="phase", rank=3, **inputs)
    first = next(iter(task))
    assert (first.is_finding, first.n_done, first.seconds_left) == (True, 0, math.inf)
    assert str(first).startswith("Finding the phase and the aberrations: ")
    task.stop()
    list(task)
    with pytest.raises(FitError, match="No step has been looked at"):
        task.result()


def test_what_was_changed_of_an_input_is_said(image):
    off_center = np.zeros((5, 5))
    off_center[1, 1] = 1.0
    off_center[1, 2] = 0.5
    task = SpectrumTask(image, CONFIG, problem="deblur", psf=off_center, rank=1)
    assert any("off center" in note for note in task.look.notes())


def test_the_time_left_counts_products_from_their_own_start():
    at = {"step": 0, "doing": "alignment", "n_done": 5, "n_total": 10, "before": 0.5}
    progress = SpectrumProgress(**at, seconds=23.0, seconds_before=13.0)
    assert (progress.seconds_left, progress.share) == (10.0, 0.75)


def test_a_forecast_says_that_it_leaves_out_the_search():
    measurement, inputs = posed("phase")
    task = SpectrumTask(measurement, CONFIG, problem="phase", rank=3, **inputs)
    assert str(task.forecast()).endswith(", and finding the phase before, which is not counted.")
