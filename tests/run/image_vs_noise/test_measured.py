"""Fits of what an operator measures of the generator's image."""

import re

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_convgen.config import Config
from napari_convgen.errors import ConfigError, InputError
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.run.image_vs_noise.run import CompareFitsTask, compare_fits
from napari_convgen.run.reconstruct.run import reconstruct

CONFIG = Config().replace(
    {"generator.n_channels": 8, "generator.n_scales": 2, "n_steps": 20, "n_threads": 1, "noise.kind": "none"}
)


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
        ({"problem": "sense"}, ConfigError, "is no image to look at. Choose 'inpaint' or 'deblur' or 'enlarge'"),
        ({"problem": "deblur", "psf": -torch.eye(3).numpy()}, InputError, "negative values"),
        ({"problem": "enlarge", "reference": np.ones((24, 20))}, InputError, "expected (48, 40), got (24, 20)"),
        ({"is_missing": np.ones((24, 20))}, ConfigError, "is_missing belongs to a problem. Name the problem"),
    ],
)
def test_what_cannot_be_compared_is_refused(given, error, sentence, truth):
    with pytest.raises(error, match=re.escape(sentence)):
        CompareFitsTask(truth, CONFIG, **given)
