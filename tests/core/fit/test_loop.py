import math
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_convgen.core.fit.loop import DescentStep, Fit
from napari_convgen.core.fit.optimizers import Adam, GradientDescent
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.generators.conv_decoder import ConvDecoder
from napari_convgen.core.generators.guided import GuidedNetwork
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome
from napari_convgen.core.stopping import FixedStep, HeldOut, Members
from napari_convgen.core.stopping.ensemble import local_variance

SIZE = (16, 13)


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


@pytest.mark.parametrize("kind", ["guided", "unguided", "conv-decoder"])
def test_members_are_fitted_in_turn_with_the_bits_of_a_fit_together(noisy_blob, kind):
    """Networks that are computed one after the other: the hidden tensors of one are alive at a time."""
    alive, most = weakref.WeakSet(), []

    class Kept(SimpleNamespace):
        __hash__ = object.__hash__

    def keep(x):
        alive.add(kept := Kept(x=x))
        most.append(len(alive))
        return kept

    def step(n_members, is_together=False):
        y = noisy_blob(2).float()
        problem = Problem(y, torch.ones_like(y), noise_level=torch.full((2,), 0.05))
        members = FixedStep().members(problem, n_members, torch.Generator())
        rngs = [torch.Generator().manual_seed(start) for start in members.starts]
        if kind == "conv-decoder":
            net = ConvDecoder(SIZE, 2, n_channels=6, n_layers=3, latent_size=4, rngs=rngs)
        else:
            net = GuidedNetwork(SIZE, 2, n_channels=6, n_fine_channels=5, n_scales=2, rngs=rngs)
            net.prepare(members.measurements, members.weights, torch.full((2,), 0.05), None)
        if kind == "guided":
            net.guide(members.measurements + 0.1)
        optimizer = GradientDescent(net.parameters(), 0.1)
        if is_together:
            images, weights = net(), torch.tensor(1.0) / y.numel()
            (weights * (images - net.targets(members.measurements)) ** 2).sum().backward()
            optimizer.step()
        else:
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.x):
                images, _ = DescentStep(problem, net, optimizer, members)()
        return [images.detach(), *(p.detach() for p in net.parameters())]

    torch.testing.assert_close(step(2), step(2, is_together=True), rtol=0, atol=0)
    n_of_two = max(most)
    most.clear()
    step(1)
    assert n_of_two == max(most)


@pytest.mark.parametrize("has_missing", [False, True])
def test_a_step_of_gradient_descent_equals_one_taken_by_hand(fit_to, noisy_blob, has_missing):
    weights = torch.ones(2, *SIZE)
    weights[0, 3:6, 4] = 1 - has_missing
    fit = fit_to(noisy_blob(2), 1, weights=weights, method=GradientDescent, lr=0.3, dtype=torch.float64)
    before, image = parameters_of(fit), fit.generator().detach()[0]
    loss, gradients = gradient_of_mean_squared_error(fit)
    [(step, seen_loss, seen_image)] = run(fit)
    assert step == 1
    assert seen_loss == pytest.approx(loss, rel=1e-12)
    assert torch.equal(seen_image, image)
    expected = [p - 0.3 * g for p, g in zip(before, gradients, strict=True)]
    torch.testing.assert_close(parameters_of(fit), expected, rtol=1e-12, atol=1e-15)


def test_the_gradient_of_the_loss_equals_finite_differences(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 1, dtype=torch.float64, order="norm-relu")
    _, gradients = gradient_of_mean_squared_error(fit)
    run(fit_copy := fit_to(noisy_blob(), 1, dtype=torch.float64, order="norm-relu", method=GradientDescent, lr=1.0))
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


def test_momentum_is_the_heavy_ball(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 4, method=GradientDescent, lr=0.1, momentum=0.9, dtype=torch.float64)
    expected = parameters_of(fit)
    velocity = [torch.zeros_like(p) for p in expected]
    steps = iter(fit)
    for _ in range(4):
        _, gradients = gradient_of_mean_squared_error(fit)
        velocity = [0.9 * v + g for v, g in zip(velocity, gradients, strict=True)]
        expected = [p - 0.1 * v for p, v in zip(expected, velocity, strict=True)]
        next(steps)
        torch.testing.assert_close(parameters_of(fit), expected, rtol=1e-11, atol=1e-14)


def test_a_fit_draws_the_image(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 150)
    steps = run(fit)
    assert steps[-1][1] < 0.2 * steps[0][1]
    assert fit.reason.outcome is Outcome.BUDGET


@pytest.mark.parametrize("method", [Adam, GradientDescent])
def test_the_loss_of_a_snapshot_equals_the_loss_of_its_own_image(fit_to, noisy_blob, method):
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


def test_the_average_equals_the_naive_recursion(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 60, dtype=torch.float64)
    averages = {}
    for step, _, output in run(fit):
        share = 1 / (1 + 0.08 * (step - 1))
        averages[step] = output if step == 1 else (1 - share) * averages[step - 1] + share * output
    for snapshot in fit.snapshots:
        np.testing.assert_allclose(snapshot.average, averages[snapshot.step], rtol=1e-12)
    assert np.array_equal(fit.snapshots.get(1).average, fit.snapshots.get(1).iterate)


def test_snapshots_are_taken_of_every_step_at_first_of_fewer_later_and_of_the_last(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 133)
    marked = [iterate.step for iterate in fit if iterate.is_snapshot]
    assert marked == fit.snapshots.steps
    assert marked[:40] == list(range(1, 41))
    assert marked[-1] == 133
    gaps = np.diff(marked[:-1])
    assert gaps[-1] > 3
    assert (np.diff(gaps) >= 0).all()


def test_curves_hold_every_step(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 70, rule=HeldOut(0.1, 1, 0.6, 1000, "average"))
    losses = [loss for _, loss, _ in run(fit)]
    assert fit.curves.loss == losses
    assert len(fit.curves.criterion) == 70
    assert np.isfinite(fit.curves.criterion).all()
    assert [s.criterion for s in fit.snapshots] == [fit.curves.criterion[s.step - 1] for s in fit.snapshots]


@pytest.mark.parametrize("keeps", [1, 4])
def test_snapshots_stay_within_the_bound_on_memory_and_the_kept_step_among_them(
    fit_to, listening_rule, noisy_blob, keeps
):
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


def test_pixels_without_weight_have_no_influence(fit_to, noisy_blob):
    weights = torch.ones(1, *SIZE)
    weights[0, 2:5, 3:7] = 0
    one = noisy_blob()
    other = torch.where(weights > 0, one, 0.9)
    fits = [fit_to(y, 10, weights=weights) for y in (one, other)]
    for fit in fits:
        run(fit)
    assert images_of(fits[0]) == images_of(fits[1])


def test_the_same_seed_gives_the_same_bits(fit_to, noisy_blob):
    fits = [fit_to(noisy_blob(), 30, rule=HeldOut(0.1, 1, 0.6, 1000, "average"), seed=s) for s in (3, 3, 4)]
    for fit in fits:
        run(fit)
    one, same, other = map(images_of, fits)
    assert one == same
    assert one != other


def test_a_rule_sees_each_step_once_and_judges_at_each_snapshot(fit_to, listening_rule, noisy_blob):
    rule, heard = listening_rule()
    fit = fit_to(noisy_blob(), 60, rule=rule)
    run(fit)
    assert heard.observed == list(range(1, 61))
    assert [steps[-1] for steps in heard.judged] == fit.snapshots.steps
    assert fit.curves.criterion == [10.0 * step for step in range(1, 61)]
    assert fit.kept_step == 58


def test_a_rule_ends_the_fit_with_its_own_reason(fit_to, listening_rule, noisy_blob):
    rule, _ = listening_rule(ends_at=7)
    fit = fit_to(noisy_blob(), 60, rule=rule)
    assert len(run(fit)) == 7
    assert (fit.kept_step, fit.reason.outcome, str(fit.reason)) == (5, Outcome.RULE, "Enough.")


def test_the_budget_ends_the_fit_and_says_so(fit_to, noisy_blob):
    fit = fit_to(noisy_blob(), 45)
    assert [step for step, _, _ in run(fit)] == list(range(1, 46))
    assert fit.reason.outcome is Outcome.BUDGET
    assert str(fit.reason) == "All 45 steps were taken; step 45 is kept."
    single = fit_to(noisy_blob(), 1)
    run(single)
    assert str(single.reason) == "The only step was taken; step 1 is kept."


def half():
    return 0.25 + 0.5 * (torch.arange(32) >= 16).double().expand(1, 32, 32)


def white_noise():
    return torch.rand((1, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_held_out_pixels_end_a_fit_before_it_draws_the_noise(fit_to):
    clean = half()
    noisy = clean + 0.4 * (white_noise() - 0.5)
    fit = fit_to(noisy, 2000, rule=HeldOut(0.1, 1, 0.4, 100, "iterate"), n_channels=32)
    n_steps = len(run(fit))
    assert fit.reason.outcome is Outcome.RULE
    assert fit.kept_step < n_steps < 2000
    errors = [((fit.snapshots.get(step).iterate - clean.numpy()) ** 2).mean() for step in (fit.kept_step, n_steps)]
    assert errors[0] < errors[1]


def test_members_are_fitted_each_on_its_own(fit_to, noisy_blob):
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


def test_the_generator_is_told_what_it_is_fitted_to_before_the_first_step(fit_to, noisy_blob, monkeypatch):
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


def test_an_iterate_tells_whether_the_generator_was_settled_when_it_drew_it(fit_to, noisy_blob, monkeypatch):
    def update(net, step, averages):
        net.is_settled = step >= 3

    monkeypatch.setattr(DeepDecoder, "is_settled", False)
    monkeypatch.setattr(DeepDecoder, "update", update)
    assert [iterate.is_settled for iterate in fit_to(noisy_blob(), 5)] == [False] * 3 + [True] * 2


def test_only_kept_members_are_in_the_image_and_the_loss(fit_to, listening_rule, noisy_blob):
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


def test_members_with_one_start_and_one_measurement_stay_the_same(fit_to, listening_rule, noisy_blob):
    rule, _ = listening_rule()

    def members(problem, n_seeds, rng):
        plain = FixedStep().members(problem, 2, rng)
        return Members(plain.measurements, plain.weights, (1, 1), (True, True))

    rule.members = members
    for iterate in fit_to(noisy_blob(), 20, rule=rule):
        assert torch.equal(*iterate.outputs)


def test_several_members_give_an_expected_error_and_one_gives_none(fit_to, noisy_blob):
    one, two = fit_to(noisy_blob(), 10), fit_to(noisy_blob(), 10, n_seeds=2)
    for iterate in two:
        variance = local_variance(iterate.averages)
    run(one)
    assert one.snapshots[10].expected_error is None
    np.testing.assert_allclose(two.snapshots[10].expected_error, variance.sqrt().numpy(), rtol=1e-5)
