import numpy as np
import pytest
import torch

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.choice import RATIO, held_out_error, regularize, stop_early
from napari_convgen.core.regularized.fista import fista
from napari_convgen.core.regularized.plug_and_play import plug_in
from napari_convgen.core.regularized.total_variation import TotalVariation


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def problem_of(noise, n=200):
    """Blocks seen through random mixtures of the pixels."""
    blocks = torch.full((1, 12, 12), 0.2)
    blocks[:, 3:9, 4:10] = 0.8
    matrix = draw(n, 144, seed=1) / n**0.5 / 2
    operator = LinearMap(
        lambda x: (matrix @ x.flatten())[None], (1, 12, 12), (1, n), lambda y: (matrix.T @ y[0]).view(1, 12, 12)
    )
    y = operator.apply(blocks) + noise * draw(1, n, seed=2)
    seen = torch.ones(2, 1, n)
    seen[0, :, :30], seen[1, :, 30:60] = 0, 0
    return Problem(y, torch.ones(1, n), operator=operator), blocks, seen


def rms(x):
    return float(x.square().mean().sqrt())


def test_steps_with_momentum_end_where_plain_ones_do():
    problem, _, _ = problem_of(0.05)
    operator, start = problem.forward_model, torch.full((1, 12, 12), 0.5)

    def soft(x, weight):
        return x.sign() * (x.abs() - weight).clamp_min(0)

    plain = start
    for _ in range(5000):
        plain = soft(plain - operator.adjoint(problem.residual(plain)), 0.01)
    found = fista(problem, soft, 0.01, 1.0, problem.weights, start, 500)
    torch.testing.assert_close(found, plain, atol=1e-3, rtol=0)


def test_held_out_entries_choose_a_weight_that_suits_the_noise():
    start, weights = torch.full((1, 12, 12), 0.5), []
    for noise in (0.001, 0.05):
        problem, truth, seen = problem_of(noise)
        *stages, last = regularize(problem, seen, TotalVariation, start)
        assert last.error == min(stage.error for stage in stages)
        assert last.error == pytest.approx(held_out_error(problem, seen, last.members))
        assert rms(last.whole - truth) < rms(stop_early(problem, seen, start).whole - truth)
        weights.append(last.weight)
        at, beyond = (
            fista(problem, TotalVariation(), weight, 1.0, problem.weights, last.whole, 100) - last.whole
            for weight in (last.weight, RATIO * last.weight)
        )
        assert rms(at) < rms(beyond)  # the whole measurement is fitted with the weight that was chosen
    assert weights[0] < weights[1]


def test_the_search_can_be_stopped():
    problem, _, seen = problem_of(0.05)
    assert len(list(regularize(problem, seen, TotalVariation, torch.zeros(1, 12, 12), is_stopping=lambda: True))) == 1


def test_least_squares_end_sooner_with_noise():
    start = torch.full((1, 12, 12), 0.5)
    steps = []
    for noise in (0.0, 0.05):
        problem, truth, seen = problem_of(noise, 400)
        found = stop_early(problem, seen, start)
        steps.append(found.weight)
        assert rms(found.whole - truth) < rms(start - truth)
    assert steps[0] > steps[1]


def test_the_non_local_estimate_and_the_measurement_agree_more_with_each_turn():
    problem, truth, _ = problem_of(0.01)
    noisy = truth + 0.1 * draw(*truth.shape, seed=5)
    turned = plug_in(problem, noisy, 0.1, 1e-4, problem.weights)
    assert rms(turned - truth) < 0.5 * rms(noisy - truth)
    assert np.isfinite(turned.numpy()).all()
