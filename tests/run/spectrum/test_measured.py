"""The spectrum of what an operator measures of a generator's image."""

import re

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_convgen.config import Config
from napari_convgen.core.problem import Problem
from napari_convgen.core.spectra.jacobian import module_jacobian
from napari_convgen.errors import ConfigError, InputError
from napari_convgen.run.spectrum import run as module
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
        ({"problem": "sense"}, ConfigError, "is no image to look at. Choose 'inpaint' or 'deblur' or 'enlarge'"),
        ({"problem": "sensing"}, ConfigError, "is no image to look at"),
        ({"problem": "phase"}, ConfigError, "is no image to look at"),
        ({"problem": "sharpen"}, ConfigError, "There is no problem 'sharpen'"),
        ({"problem": "inpaint"}, InputError, "nothing to fill in"),
        ({"factor": 2}, ConfigError, "factor belongs to a problem. Name the problem"),
        ({"problem": "enlarge", "config": "guided-network"}, ConfigError, "there is a forward operator"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(given, error, sentence, image):
    with pytest.raises(error, match=re.escape(sentence)):
        SpectrumTask(image, **given)
