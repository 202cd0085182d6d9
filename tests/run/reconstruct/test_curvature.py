"""A learning rate means about the same for all problems: the mean squared residual is about as curved as that of denoising."""

import math

import numpy as np
import pytest
import torch

from napari_convgen.core.mri.simulation import equispaced, head, scan
from napari_convgen.run.reconstruct.run import ReconstructTask
from napari_convgen.run.simulate import simulate

SIZE = (32, 32)
IMAGE = 200 * np.abs(head(SIZE, 3)) + np.random.default_rng(0).normal(0, 5, SIZE)
MISSING = np.random.default_rng(1).random(SIZE) < 0.5
SCAN = scan(head(SIZE, 3), equispaced(SIZE, 2, 12), n_coils=4, noise=0.01).kspace


@pytest.mark.parametrize(
    ("measure", "problem", "given"),
    [
        (lambda: IMAGE, "inpaint", {"is_missing": MISSING}),
        (lambda: IMAGE, "deblur", {"sigma": 1.5}),
        (lambda: IMAGE, "enlarge", {"factor": 2}),
        (lambda: IMAGE, "enlarge", {"factor": 4}),
        (lambda: IMAGE, "enlarge", {"factor": 2, "weighting": "lanczos"}),
        (lambda: SCAN, "sense", {}),
        (lambda: simulate(IMAGE, problem="sensing").measurement, "sensing", {"n_rows": 32, "n_columns": 32}),
    ],
)
def test_the_loss_is_about_as_curved_as_that_of_denoising(measure, problem, given):
    posed = ReconstructTask(measure(), "deep-decoder", problem=problem, **given).posed
    posed_problem = posed.prepared.problem(posed.scaled)
    operator, weights = posed_problem.forward_model, posed_problem.weights
    norm = operator.norm(weights, torch.Generator().manual_seed(0))
    curvature = norm**2 / float(weights.sum()) * math.prod(operator.in_shape)
    assert 0.24 < curvature < 4.1
