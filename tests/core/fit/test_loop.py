import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import GeneratorUnits, Outcome, SnapshotStore, StopReason
from napari_convgen.core.stopping import FixedStep, HeldOut, Judgment, Members
from napari_convgen.core.stopping.ensemble import local_variance

SIZE = (16, 13)


class Copies(GeneratorUnits):
    def restore(self, values):
        return values.copy()


def noisy_blob(n_channels=1):
    y, x = np.mgrid[-1 : 1 : SIZE[0] * 1j, -1 : 1 : SIZE[1] * 1j]
    blob = 0.1 + 0.8 * np.exp(-4 * (x**2 + y**2))
    return torch.from_numpy(blob + 0.05 * np.random.default_rng(0).standard_normal((n_channels, *SIZE)))


def fit_to(
    measurement,
    n_steps,
    *,
    weights=None,
    rule=None,
    method=torch.optim.Adam,
    seed=0,
    max_bytes=math.inf,
    dtype=torch.float32,
    order="relu-norm",
    n_channels=8,
    n_seeds=1,
    **options,
):
    measurement = measurement.to(dtype)
    weights = torch.ones_like(measurement) if weights is None else weights.to(dtype)
    problem, rule = Problem(measurement, weights), rule or FixedStep()
    members = rule.members(problem, n_seeds, torch.Generator().manual_seed(seed))
    generator = DeepDecoder(
        measurement.shape[1:],
        len(measurement),
        n_channels=n_channels,
        n_scales=2,
        rngs=[torch.Generator().manual_seed(100 * seed + start) for start in members.starts],
        order=order,
        norm_init="uniform",
        dtype=dtype,
    )
    optimizer = method(generator.parameters(), **{"lr": 0.01} | options)
    store = SnapshotStore(max_bytes, Copies(), "average")
    return Fit(problem, generator, optimizer, rule, members, store, n_steps)


def run(fit):
    return [(iterate.step, float(iterate.loss), iterate.output.clone()) for iterate in fit]


def parameters_of(fit):
    return [p.detach().clone() for p in fit.generator.parameters()]


def images_of(fit):
    return [(s.step, s.loss, s.iterate.tobytes(), s.average.tobytes()) for s in fit.snapshots]


def gradient_of_mean_squared_error(fit):
    """The loss and its gradient at the generator's present weights, spelled out."""
    is_observed = fit.problem.weights > 0
    errors = (fit.generator()[0] - fit.problem.measurement)[is_observed] ** 2
    loss = errors.sum() / is_observed.sum()
    return loss.item(), torch.autograd.grad(loss, list(fit.generator.parameters()))


def listening_rule(ends_at=math.inf, keeps=None):
    """A rule that keeps one step, or else the one before the last but one, and what it was told."""
    heard = SimpleNamespace(observed=[], judged=[])

    def begin(problem, members):
        heard.members = members

    def observe(iterate):
        heard.observed.append(iterate.step)
        return iterate.loss.new_tensor(10.0 * iterate.step)

    def judge(steps):
        heard.judged.append(list(steps))
        reason = StopReason(Outcome.RULE, "Enough.") if steps[-1] >= ends_at else None
        return Judgment(max(1, steps[-1] - 2) if keeps is None else min(keeps, steps[-1]), reason)

    return SimpleNamespace(members=FixedStep().members, begin=begin, observe=observe, judge=judge), heard


@pytest.mark.parametrize("has_missing", [False, True])
def test_a_step_of_gradient_descent_equals_one_taken_by_hand(has_missing):
    weights = torch.ones(2, *SIZE)
    weights[0, 3:6, 4] = 1 - has_missing
    fit = fit_to(noisy_blob(2), 1, weights=weights, method=torch.optim.SGD, lr=0.3, dtype=torch.float64)
    before, image = parameters_of(fit), fit.generator().detach()[0]
    loss, gradients = gradient_of_mean_squared_error(fit)
    [(step, seen_loss, seen_image)] = run(fit)
    assert step == 1
    assert seen_loss == pytest.approx(loss, rel=1e-12)
    assert torch.equal(seen_image, image)
    expected = [p - 0.3 * g for p, g in zip(before, gradients, strict=True)]
    torch.testing.assert_close(parameters_of(fit), expected, rtol=1e-12, atol=1e-15)


def test_the_gradient_of_the_loss_equals_finite_differences():
    fit = fit_to(noisy_blob(), 1, dtype=torch.float64, order="norm-relu")
    _, gradients = gradient_of_mean_squared_error(fit)
    run(fit_copy := fit_to(noisy_blob(), 1, dtype=torch.float64, order="norm-relu", method=torch.optim.SGD, lr=1.0))
    stepped = parameters_of(fit_copy)
    for parameter, gradient, moved in zip(fit.generator.parameters(), gradients, stepped, strict=True):
        torch.testing.assert_close(parameter.detach() - moved, gradient, rtol=1e-9, atol=1e-14)
        at = int(gradient.abs().argmax())
        losses = []
        for change in (1e-6, -1e-6):
            with torch.no_grad():
                parameter.view(-1)[at] += change
            losses.append(gradient_of_mean_squared_error(fit)[0])
            with torch.no_grad():
                parameter.view(-1)[at] -= change
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(float(gradient.view(-1)[at]), rel=1e-4, abs=1e-9)


def test_momentum_is_the_heavy_ball():
    fit = fit_to(noisy_blob(), 4, method=torch.optim.SGD, lr=0.1, momentum=0.9, dtype=torch.float64)
    expected = parameters_of(fit)
    velocity = [torch.zeros_like(p) for p in expected]
    steps = iter(fit)
    for _ in range(4):
        _, gradients = gradient_of_mean_squared_error(fit)
        velocity = [0.9 * v + g for v, g in zip(velocity, gradients, strict=True)]
        expected = [p - 0.1 * v for p, v in zip(expected, velocity, strict=True)]
        next(steps)
        torch.testing.assert_close(parameters_of(fit), expected, rtol=1e-11, atol=1e-14)


def test_a_fit_draws_the_image():
    fit = fit_to(noisy_blob(), 150)
    steps = run(fit)
    assert steps[-1][1] < 0.2 * steps[0][1]
    assert fit.reason.outcome is Outcome.BUDGET


@pytest.mark.parametrize("method", [torch.optim.Adam, torch.optim.SGD])
def test_the_loss_of_a_snapshot_equals_the_loss_of_its_own_image(method):
    weights = torch.ones(2, *SIZE)
    weights[1, :, 5] = 0
    fit = fit_to(noisy_blob(2), 60, weights=weights, method=method)
    run(fit)
    y, w = fit.problem.measurement.double().numpy(), weights.numpy()
    assert len(fit.snapshots) > 40
    for snapshot in fit.snapshots:
        loss = (w * (snapshot.iterate - y) ** 2).sum() / w.sum()
        assert snapshot.loss == pytest.approx(loss, rel=1e-5)
        assert snapshot.loss == fit.curves.loss[snapshot.step - 1]


def test_the_average_equals_the_naive_recursion():
    fit = fit_to(noisy_blob(), 60, dtype=torch.float64)
    averages = {}
    for step, _, output in run(fit):
        share = 1 / (1 + 0.08 * (step - 1))
        averages[step] = output if step == 1 else (1 - share) * averages[step - 1] + share * output
    for snapshot in fit.snapshots:
        np.testing.assert_allclose(snapshot.average, averages[snapshot.step], rtol=1e-12)
    assert np.array_equal(fit.snapshots.get(1).average, fit.snapshots.get(1).iterate)


def test_snapshots_are_taken_of_every_step_at_first_of_fewer_later_and_of_the_last():
    fit = fit_to(noisy_blob(), 133)
    marked = [iterate.step for iterate in fit if iterate.is_snapshot]
    assert marked == fit.snapshots.steps
    assert marked[:40] == list(range(1, 41))
    assert marked[-1] == 133
    gaps = np.diff(marked[:-1])
    assert gaps[-1] > 3
    assert (np.diff(gaps) >= 0).all()


def test_curves_hold_every_step():
    fit = fit_to(noisy_blob(), 70, rule=HeldOut(0.1, 1, 0.6, 1000, "average"))
    losses = [loss for _, loss, _ in run(fit)]
    assert fit.curves.loss == losses
    assert len(fit.curves.criterion) == 70
    assert np.isfinite(fit.curves.criterion).all()
    assert [s.criterion for s in fit.snapshots] == [fit.curves.criterion[s.step - 1] for s in fit.snapshots]


@pytest.mark.parametrize("keeps", [1, 4])
def test_snapshots_stay_within_the_bound_on_memory_and_the_kept_step_among_them(keeps):
    rule, _ = listening_rule(keeps=keeps)
    room = 10
    fit = fit_to(noisy_blob(), 120, rule=rule, max_bytes=room * 2 * 4 * math.prod(SIZE))
    for iterate in fit:
        assert len(fit.snapshots) <= room
        assert fit.kept_step in fit.snapshots.steps
        if iterate.is_snapshot:
            assert iterate.step in fit.snapshots.steps
    assert fit.kept_step == keeps
    assert len(fit.snapshots) >= room // 2
    assert fit.snapshots.n_dropped > 0


def test_pixels_without_weight_have_no_influence():
    weights = torch.ones(1, *SIZE)
    weights[0, 2:5, 3:7] = 0
    one = noisy_blob()
    other = torch.where(weights > 0, one, 0.9)
    fits = [fit_to(y, 10, weights=weights) for y in (one, other)]
    for fit in fits:
        run(fit)
    assert images_of(fits[0]) == images_of(fits[1])


def test_the_same_seed_gives_the_same_bits():
    fits = [fit_to(noisy_blob(), 30, rule=HeldOut(0.1, 1, 0.6, 1000, "average"), seed=s) for s in (3, 3, 4)]
    for fit in fits:
        run(fit)
    one, same, other = map(images_of, fits)
    assert one == same
    assert one != other


def test_a_rule_sees_each_step_once_and_judges_at_each_snapshot():
    rule, heard = listening_rule()
    fit = fit_to(noisy_blob(), 60, rule=rule)
    run(fit)
    assert heard.observed == list(range(1, 61))
    assert [steps[-1] for steps in heard.judged] == fit.snapshots.steps
    assert fit.curves.criterion == [10.0 * step for step in range(1, 61)]
    assert fit.kept_step == 58


def test_a_rule_ends_the_fit_with_its_own_reason():
    rule, _ = listening_rule(ends_at=7)
    fit = fit_to(noisy_blob(), 60, rule=rule)
    assert len(run(fit)) == 7
    assert (fit.kept_step, fit.reason.outcome, str(fit.reason)) == (5, Outcome.RULE, "Enough.")


def test_the_budget_ends_the_fit_and_says_so():
    fit = fit_to(noisy_blob(), 45)
    assert [step for step, _, _ in run(fit)] == list(range(1, 46))
    assert fit.reason.outcome is Outcome.BUDGET
    assert str(fit.reason) == "All 45 steps were taken; step 45 is kept."


@pytest.mark.parametrize(("method", "lr"), [(torch.optim.SGD, 1e38), (torch.optim.Adam, 1e30)])
def test_an_absurd_learning_rate_is_recognized_as_divergence(method, lr):
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
def test_a_generator_whose_channels_are_all_dead_is_recognized_as_collapsed(kill, order):
    fit = fit_to(noisy_blob(), 1000, order=order)
    with torch.no_grad():
        kill(fit.generator)
    assert fit.generator.dead_fraction() == 1
    n_steps = len(run(fit))
    assert 200 <= n_steps < 250
    assert fit.reason.outcome is Outcome.COLLAPSED
    assert "collapsed" in str(fit.reason)
    assert "dead" in str(fit.reason)


def test_a_fit_at_rest_far_above_the_usual_is_recognized_as_collapsed_without_dead_channels():
    fit = fit_to(noisy_blob(), 1000, lr=1e-12)
    run(fit)
    assert fit.generator.dead_fraction() < 1
    assert fit.reason.outcome is Outcome.COLLAPSED


def test_a_fit_that_still_falls_is_not_called_collapsed():
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
def test_a_sound_fit_at_rest_is_not_called_collapsed_whatever_the_image(draw):
    fit = fit_to(draw(), 700, n_channels=32)
    for iterate in fit:
        if iterate.step == 350:
            fit.optimizer.param_groups[0]["lr"] = 0.0
    assert fit.curves.loss[-1] == fit.curves.loss[-350]
    assert fit.reason.outcome is Outcome.BUDGET


@pytest.mark.parametrize("draw", [checks, half, white_noise])
def test_a_collapsed_fit_is_recognized_whatever_the_image(draw):
    fit = fit_to(draw(), 300)
    with torch.no_grad():
        kill_by_zeros(fit.generator)
    run(fit)
    assert fit.reason.outcome is Outcome.COLLAPSED


def state_of_torch():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_rng_state().tolist(),
    )


def test_the_callers_state_is_as_it_was_at_each_pause_and_when_the_iterator_is_left():
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
def test_a_fit_that_was_left_goes_on_where_it_was(n_taken):
    whole, parts = fit_to(noisy_blob(), 30), fit_to(noisy_blob(), 30)
    run(whole)
    for iterate in parts:
        if iterate.step == n_taken:
            break
    run(parts)
    assert images_of(parts) == images_of(whole)
    assert parts.curves.loss == whole.curves.loss
    assert parts.reason == whole.reason


def test_a_fit_that_has_ended_yields_nothing_more():
    fit = fit_to(noisy_blob(), 5)
    run(fit)
    assert run(fit) == []
    assert fit.reason.outcome is Outcome.BUDGET


def test_stop_ends_the_fit_with_its_next_step_and_keeps_it():
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


def test_a_stopped_fit_keeps_the_step_that_its_rule_chose():
    rule, _ = listening_rule()
    fit = fit_to(noisy_blob(), 500, rule=rule)
    for iterate in fit:
        if iterate.step == 9:
            fit.stop()
    assert (fit.step, fit.kept_step) == (10, 8)


def test_an_extended_fit_equals_one_with_the_larger_budget():
    extended, whole = fit_to(noisy_blob(), 20), fit_to(noisy_blob(), 45)
    run(extended)
    extended.extend(25)
    assert [step for step, _, _ in run(extended)] == list(range(21, 46))
    run(whole)
    assert extended.n_steps == 45
    assert extended.curves.loss == whole.curves.loss
    assert images_of(extended)[-1] == images_of(whole)[-1]
    assert extended.reason == whole.reason


def test_an_extended_fit_goes_on_whatever_its_rule_or_the_user_said():
    rule, heard = listening_rule(ends_at=5)
    fit = fit_to(noisy_blob(), 60, rule=rule)
    run(fit)
    fit.stop()
    fit.extend(4)
    assert [step for step, _, _ in run(fit)] == [6, 7, 8, 9]
    assert (fit.kept_step, fit.reason.outcome) == (7, Outcome.BUDGET)
    assert heard.observed == list(range(1, 10))


def test_an_extended_fit_can_be_stopped():
    fit = fit_to(noisy_blob(), 5)
    run(fit)
    fit.extend(100)
    for _ in fit:
        fit.stop()
    assert (fit.step, fit.reason.outcome) == (7, Outcome.USER)


def test_held_out_pixels_end_a_fit_before_it_draws_the_noise():
    clean = half()
    noisy = clean + 0.4 * (white_noise() - 0.5)
    fit = fit_to(noisy, 2000, rule=HeldOut(0.1, 1, 0.4, 100, "iterate"), n_channels=32)
    n_steps = len(run(fit))
    assert fit.reason.outcome is Outcome.RULE
    assert fit.kept_step < n_steps < 2000
    errors = [((fit.snapshots.get(step).iterate - clean.numpy()) ** 2).mean() for step in (fit.kept_step, n_steps)]
    assert errors[0] < errors[1]


def test_members_are_fitted_each_on_its_own():
    alone = [fit_to(noisy_blob(), 30, seed=seed) for seed in (3, 4)]
    together = fit_to(noisy_blob(), 30, n_seeds=2)
    together.generator.load_state_dict(
        {
            name: torch.cat([fit.generator.state_dict()[name] for fit in alone])
            for name in together.generator.state_dict()
        }
    )
    outputs = [[iterate.output.clone() for iterate in fit] for fit in alone]
    for iterate in together:
        for member, output in zip(iterate.outputs, outputs, strict=True):
            torch.testing.assert_close(member, output[iterate.step - 1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(iterate.output, iterate.outputs.mean(0))
        torch.testing.assert_close(iterate.average, iterate.averages.mean(0))
    expected = [(a + b) / 2 for a, b in zip(*(fit.curves.loss for fit in alone), strict=True)]
    np.testing.assert_allclose(together.curves.loss, expected, rtol=1e-4)
    worst = [max(pair) for pair in zip(*(fit.curves.loss for fit in alone), strict=True)]
    np.testing.assert_allclose(together.curves.worst, worst, rtol=1e-4)


def test_the_generator_is_told_what_it_is_fitted_to_before_the_first_step(monkeypatch):
    met = []
    monkeypatch.setattr(DeepDecoder, "prepare", lambda net, *given: met.append(given))
    fit = fit_to(noisy_blob(), 1, n_seeds=2)
    problem = replace(fit.problem, noise_level=torch.tensor([0.1]), noise_spectrum=np.eye(2))
    Fit(problem, fit.generator, fit.optimizer, fit.rule, fit.members, fit.snapshots, 1)
    assert all(
        word is value
        for word, value in zip(met[0], (fit.members.measurements, fit.members.weights, None, None), strict=True)
    )
    assert all(
        word is value for word, value in zip(met[1][2:], (problem.noise_level, problem.noise_spectrum), strict=True)
    )


def test_an_iterate_tells_whether_the_generator_was_settled_when_it_drew_it(monkeypatch):
    def update(net, step, averages):
        net.is_settled = step >= 3

    monkeypatch.setattr(DeepDecoder, "is_settled", False)
    monkeypatch.setattr(DeepDecoder, "update", update)
    assert [iterate.is_settled for iterate in fit_to(noisy_blob(), 5)] == [False] * 3 + [True] * 2


def test_only_kept_members_are_in_the_image_and_the_loss():
    rule, _ = listening_rule()

    def members(problem, n_seeds, rng):
        plain = FixedStep().members(problem, 3, rng)
        return Members(plain.measurements, plain.weights, plain.starts, (True, False, True))

    rule.members = members
    fit = fit_to(noisy_blob(), 5, rule=rule)
    for iterate in fit:
        torch.testing.assert_close(iterate.output, (iterate.outputs[0] + iterate.outputs[2]) / 2)
        errors = ((iterate.outputs - fit.problem.measurement) ** 2).mean((1, 2, 3))
        assert float(iterate.loss) == pytest.approx(float((errors[0] + errors[2]) / 2), rel=1e-5)


def test_members_with_one_start_and_one_measurement_stay_the_same():
    rule, _ = listening_rule()

    def members(problem, n_seeds, rng):
        plain = FixedStep().members(problem, 2, rng)
        return Members(plain.measurements, plain.weights, (1, 1), (True, True))

    rule.members = members
    for iterate in fit_to(noisy_blob(), 20, rule=rule):
        assert torch.equal(*iterate.outputs)


def test_a_dead_member_makes_the_fit_a_collapsed_one():
    fit = fit_to(noisy_blob(), 1000, n_seeds=2)
    with torch.no_grad():
        fit.generator.convolutions[0][1] = 0
    run(fit)
    assert fit.reason.outcome is Outcome.COLLAPSED


@pytest.mark.parametrize("method", [torch.optim.Adam, torch.optim.SGD])
def test_a_fit_that_went_back_takes_the_same_steps_again(method):
    options = {"momentum": 0.9} if method is torch.optim.SGD else {}
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


def test_the_states_kept_lie_around_the_step_that_is_kept():
    rule, _ = listening_rule(keeps=30)
    fit = fit_to(noisy_blob(), 120, rule=rule)
    run(fit)
    assert len(fit._states.steps) <= 16
    steps = np.array(fit._states.steps)
    assert (steps[0], steps[-1]) == (1, 120)
    gaps = np.diff(np.log(steps))
    near = np.abs(np.log(steps[:-1] / 30)) < 0.5
    assert gaps[near].mean() < 0.6 * gaps[~near].mean()


def test_several_members_give_an_expected_error_and_one_gives_none():
    one, two = fit_to(noisy_blob(), 10), fit_to(noisy_blob(), 10, n_seeds=2)
    for iterate in two:
        variance = local_variance(iterate.averages)
    run(one)
    assert one.snapshots[10].expected_error is None
    np.testing.assert_allclose(two.snapshots[10].expected_error, variance.sqrt().numpy(), rtol=1e-5)
