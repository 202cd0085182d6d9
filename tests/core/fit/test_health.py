"""A fit that diverged or collapsed is recognized, and a sound one is not called so."""

import math

import numpy as np
import pytest
import torch

from napari_convgen.core.fit.optimizers import Adam, GradientDescent
from napari_convgen.core.snapshot import Outcome


def run(fit):
    return [(iterate.step, float(iterate.loss), iterate.output.clone()) for iterate in fit]


@pytest.mark.parametrize(("method", "lr"), [(GradientDescent, 1e38), (Adam, 1e30)])
def test_an_absurd_learning_rate_is_recognized_as_divergence(fit_to, noisy_blob, method, lr):
    fit = fit_to(noisy_blob(), 50, method=method, lr=lr)
    assert len(run(fit)) < 50
    assert fit.reason.outcome is Outcome.DIVERGED
    assert "diverged at step" in str(fit.reason)
    assert len(fit.snapshots)
    assert all(np.isfinite(s.iterate).all() and math.isfinite(s.loss) for s in fit.snapshots)
    assert fit.kept_step in fit.snapshots.steps


def kill_by_zeros(generator):
    generator.convolutions[0].zero_()


def kill_by_negative_weights(generator):
    generator.convolutions[0].copy_(-generator.convolutions[0].abs())


def kill_by_offsets(generator):
    generator.norm_offsets[1].fill_(-100)


@pytest.mark.parametrize(
    ("kill", "order"),
    [(kill_by_zeros, "relu-norm"), (kill_by_negative_weights, "relu-norm"), (kill_by_offsets, "norm-relu")],
)
def test_a_generator_whose_channels_are_all_dead_is_recognized_as_collapsed(fit_to, noisy_blob, kill, order):
    fit = fit_to(noisy_blob(), 1000, order=order)
    with torch.no_grad():
        kill(fit.generator)
    assert fit.generator.dead_fraction() == 1
    n_steps = len(run(fit))
    assert 200 <= n_steps < 250
    assert fit.reason.outcome is Outcome.COLLAPSED
    assert "collapsed" in str(fit.reason)
    assert "dead" in str(fit.reason)


def test_a_fit_at_rest_far_above_the_usual_is_recognized_as_collapsed_without_dead_channels(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 1000, lr=1e-12)
    run(fit)
    assert fit.generator.dead_fraction() < 1
    assert fit.reason.outcome is Outcome.COLLAPSED


def test_a_fit_that_still_falls_is_not_called_collapsed(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 260, lr=1e-4)
    run(fit)
    assert fit.curves.loss[-1] > 0.5 * fit.problem.measurement.var()
    assert fit.reason.outcome is Outcome.BUDGET


def checks():
    return 0.25 + 0.5 * ((torch.arange(32)[:, None] // 8 + torch.arange(32) // 8) % 2).double()[None]


def half():
    return 0.25 + 0.5 * (torch.arange(32) >= 16).double().expand(1, 32, 32)


def white_noise():
    return torch.rand((1, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("draw", [checks, half, white_noise])
def test_a_sound_fit_at_rest_is_not_called_collapsed_whatever_the_image(fit_to, draw):
    fit = fit_to(draw(), 420, n_channels=32)
    for iterate in fit:
        if iterate.step == 150:
            fit.optimizer.learning_rate = 0.0
    assert fit.curves.loss[-1] == fit.curves.loss[-270]
    assert fit.reason.outcome is Outcome.BUDGET


@pytest.mark.parametrize("draw", [checks, half, white_noise])
def test_a_collapsed_fit_is_recognized_whatever_the_image(fit_to, draw):
    fit = fit_to(draw(), 300)
    with torch.no_grad():
        kill_by_zeros(fit.generator)
    run(fit)
    assert fit.reason.outcome is Outcome.COLLAPSED


def test_a_dead_member_makes_the_fit_a_collapsed_one(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 1000, n_seeds=2)
    with torch.no_grad():
        fit.generator.convolutions[0][1] = 0
    run(fit)
    assert fit.reason.outcome is Outcome.COLLAPSED
