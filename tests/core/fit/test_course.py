"""A fit can be left, stopped, extended and taken back to an earlier step."""

import numpy as np
import pytest
import torch

from napari_convgen.core.fit.optimizers import Adam, GradientDescent
from napari_convgen.core.snapshot import Outcome
from napari_convgen.core.stopping import HeldOut


def run(fit):
    return [(iterate.step, float(iterate.loss), iterate.output.clone()) for iterate in fit]


def images_of(fit):
    return [(s.step, s.loss, s.iterate.tobytes(), s.average.tobytes()) for s in fit.snapshots]


def state_of_torch():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_rng_state().tolist(),
    )


def test_the_callers_state_is_as_it_was_at_each_pause_and_when_the_iterator_is_left(fit_to, noisy_blob):
    before = state_of_torch()
    fit = fit_to(noisy_blob(), 20, rule=HeldOut(0.1, 1, 0.6, 100, "average"))
    assert state_of_torch() == before
    steps = iter(fit)
    for _ in range(5):
        next(steps)
        assert state_of_torch() == before
    steps.close()
    assert state_of_torch() == before


@pytest.mark.parametrize("n_taken", [1, 7, 30])
def test_a_fit_that_was_left_goes_on_where_it_was(fit_to, noisy_blob, n_taken):
    whole, parts = fit_to(noisy_blob(), 30), fit_to(noisy_blob(), 30)
    run(whole)
    for iterate in parts:
        if iterate.step == n_taken:
            break
    run(parts)
    assert images_of(parts) == images_of(whole)
    assert parts.curves.loss == whole.curves.loss
    assert parts.reason == whole.reason


def test_a_fit_that_has_ended_yields_nothing_more(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 5)
    run(fit)
    assert run(fit) == []
    assert fit.reason.outcome is Outcome.BUDGET


def test_stop_ends_the_fit_with_its_next_step_and_keeps_it(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 500)
    steps = []
    for iterate in fit:
        steps.append(iterate.step)
        if iterate.step == 63:
            fit.stop()
    assert steps[-1] == 64
    assert fit.snapshots.steps[-1] == fit.kept_step == 64
    assert fit.reason.outcome is Outcome.USER
    assert str(fit.reason) == "Stopped by the user at step 64; step 64 is kept."


def test_a_stop_before_the_first_step_names_no_number(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 500)
    fit.stop()
    run(fit)
    assert (fit.step, fit.kept_step) == (1, 1)
    assert str(fit.reason) == "Stopped by the user before the second step; step 1 is kept."


def test_a_stopped_fit_keeps_the_step_that_its_rule_chose(fit_to, listening_rule, noisy_blob):
    rule, _ = listening_rule()
    fit = fit_to(noisy_blob(), 500, rule=rule)
    for iterate in fit:
        if iterate.step == 9:
            fit.stop()
    assert (fit.step, fit.kept_step) == (10, 8)


def test_an_extended_fit_equals_one_with_the_larger_budget(fit_to, noisy_blob):
    extended, whole = fit_to(noisy_blob(), 20), fit_to(noisy_blob(), 45)
    run(extended)
    extended.extend(25)
    assert [step for step, _, _ in run(extended)] == list(range(21, 46))
    run(whole)
    assert extended.n_steps == 45
    assert extended.curves.loss == whole.curves.loss
    assert images_of(extended)[-1] == images_of(whole)[-1]
    assert extended.reason == whole.reason


def test_an_extended_fit_goes_on_whatever_its_rule_or_the_user_said(fit_to, listening_rule, noisy_blob):
    rule, heard = listening_rule(ends_at=5)
    fit = fit_to(noisy_blob(), 60, rule=rule)
    run(fit)
    fit.stop()
    fit.extend(4)
    assert [step for step, _, _ in run(fit)] == [6, 7, 8, 9]
    assert (fit.kept_step, fit.reason.outcome) == (7, Outcome.BUDGET)
    assert heard.observed == list(range(1, 10))


def test_an_extended_fit_can_be_stopped(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 5)
    run(fit)
    fit.extend(100)
    for _ in fit:
        fit.stop()
    assert (fit.step, fit.reason.outcome) == (7, Outcome.USER)


@pytest.mark.parametrize("method", [Adam, GradientDescent])
def test_a_fit_that_went_back_takes_the_same_steps_again(fit_to, noisy_blob, method):
    options = {"momentum": 0.9} if method is GradientDescent else {}
    fit, whole = (fit_to(noisy_blob(), 60, n_seeds=2, method=method, **options) for _ in range(2))
    run(fit)
    run(whole)
    states = fit._states.steps
    target = states[len(states) // 2]
    assert fit.go_back(target + 1 if target + 1 not in states else target) == target
    assert (fit.step, fit.snapshots.steps[-1], len(fit.curves.loss)) == (target, target, target)
    fit.extend(60 - target)
    assert [step for step, _, _ in run(fit)] == list(range(target + 1, 61))
    assert images_of(fit) == images_of(whole)
    assert fit.curves.loss == whole.curves.loss


def test_the_states_kept_lie_around_the_step_that_is_kept(fit_to, listening_rule, noisy_blob):
    rule, _ = listening_rule(keeps=30)
    fit = fit_to(noisy_blob(), 120, rule=rule)
    run(fit)
    assert len(fit._states.steps) <= 16
    steps = np.array(fit._states.steps)
    assert (steps[0], steps[-1]) == (1, 120)
    gaps = np.diff(np.log(steps))
    near = np.abs(np.log(steps[:-1] / 30)) < 0.5
    assert gaps[near].mean() < 0.6 * gaps[~near].mean()
