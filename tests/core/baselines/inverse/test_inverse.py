"""Each classical reconstruction is that of its formula, and its strength is chosen without the truth."""

import math

import numpy as np
import torch

from napari_convgen.core.baselines.inverse.held_out import choose_strength, split
from napari_convgen.core.baselines.inverse.interpolation import biharmonic, lanczos
from napari_convgen.core.baselines.inverse.richardson_lucy import choose_n_steps, richardson_lucy
from napari_convgen.core.operators.blurring import blurring
from napari_convgen.core.operators.identity import identity
from napari_convgen.core.optics.point_spread import gaussian_psf
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.gradient import gradient
from napari_convgen.core.regularized.smoothest import smoothest

DOUBLE = torch.zeros((), dtype=torch.float64)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=source(seed), dtype=torch.float64)


def steps(*size):
    """An image of two levels."""
    y, x = np.indices(size)
    return torch.from_numpy(0.2 + 0.6 * (np.hypot(y - size[0] / 2, x - size[1] / 3) < size[0] / 4))[None]


def test_the_smoothest_image_is_that_of_a_dense_solver():
    operator = blurring((1, 5, 6), gaussian_psf((0.5, 0.4)))
    weights = (torch.rand(operator.out_shape, generator=source(1)) < 0.8).double()
    problem = Problem(weights * draw(*operator.out_shape), weights, operator=operator)
    a, n = operator.matrix(DOUBLE), math.prod(operator.in_shape)
    columns = [gradient(unit.view(operator.in_shape)).flatten() for unit in torch.eye(n).double()]
    d, w = torch.stack(columns, 1), weights.flatten()
    target = a.T @ (w * problem.measurement.flatten())
    for order, penalty in ((1, d.T @ d), (2, d.T @ d @ d.T @ d)):
        expected = torch.linalg.solve(a.T @ (w[:, None] * a) + 0.3 * penalty, target)
        found = smoothest(problem, 0.3, order=order)
        np.testing.assert_allclose(found.flatten().numpy(), expected.numpy(), atol=1e-4)


def test_richardson_and_lucy_take_the_steps_of_their_formula_with_open_borders():
    operator = blurring((1, 8, 9), gaussian_psf((0.6, 0.6)))
    y = operator.apply(steps(*operator.in_shape[1:])) + 0.1
    weights = torch.ones_like(y)
    weights[0, 2, 3] = 0
    a, w, x = operator.matrix(DOUBLE), weights.flatten(), torch.full((math.prod(operator.in_shape),), 1.0).double()
    x = x * (w * y.flatten()).sum() / w.sum()
    for _ in range(7):
        seen = a.T @ w
        x = torch.where(seen > 1e-4, x * (a.T @ (w * y.flatten() / (a @ x))) / seen, x)
    found = richardson_lucy(Problem(y, weights, operator=operator), 7)
    np.testing.assert_allclose(found.flatten().numpy(), x.numpy(), rtol=1e-6)


def test_strengths_and_steps_are_chosen_without_the_truth():
    operator = blurring((1, 32, 32), gaussian_psf((1.0, 1.0)))
    truth = steps(*operator.in_shape[1:])
    y = operator.apply(truth) + 0.05 * draw(*operator.out_shape)
    problem = Problem(y, torch.ones_like(y), operator=operator)

    def error(image):
        return float((image - truth)[:, 4:-4, 4:-4].square().mean())

    strength = choose_strength(problem, smoothest, 10.0, source())
    assert strength < 10
    assert error(smoothest(problem, strength)) < 1.4 * min(error(smoothest(problem, 10**k)) for k in range(-4, 2))
    n = choose_n_steps(problem, source())
    assert error(richardson_lucy(problem, n)) < 1.4 * min(error(richardson_lucy(problem, k)) for k in (1, 5, 20, 80))


def test_what_is_held_out_is_seen_by_no_part_and_groups_stay_together():
    y = draw(2, 10, 12)
    weights = (torch.rand((1, 10, 12), generator=source()) < 0.7).double().expand(2, -1, -1)
    for part, out in split(Problem(y, weights, operator=identity(y.shape)), source()):
        assert torch.equal(part.weights + out, weights)
        assert not (part.weights * out).any()
        assert 0.05 < float(out.sum() / weights.sum()) < 0.15


def test_interpolations_keep_what_they_can():
    y, x = np.mgrid[:20, :24].astype(float)
    ramp = np.stack([y + 2 * x, 5 - y])
    is_missing = np.random.default_rng(0).random(y.shape) < 0.3
    is_missing[[0, -1]] = is_missing[:, [0, -1]] = False
    filled = biharmonic(np.where(is_missing, np.nan, ramp), is_missing)
    np.testing.assert_allclose(filled, ramp, atol=0.3)
    large = lanczos(ramp, 3)
    assert large.shape == (2, 60, 72)
    np.testing.assert_allclose(large[:, 1::3, 1::3][:, 3:-3, 3:-3], ramp[:, 3:-3, 3:-3], atol=1e-4)
