import math

import pytest
import torch

from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome
from napari_convgen.core.stopping.rule import Iterate
from napari_convgen.core.stopping.windowed_variance import RunningVariance, WindowedVariance


def problem_of(shape=(2, 6, 7), noise_level=None):
    y = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Problem(y, torch.ones_like(y), noise_level)


def observed(rule, problem, images, first=1):
    averages = torch.zeros_like(images[0])
    return [
        float(rule.observe(Iterate(step, torch.tensor(0.0), image[None], averages[None], True)))
        for step, image in enumerate(images, first)
    ]


def begun(rule, problem):
    rule.begin(problem, rule.members(problem, 1, torch.Generator().manual_seed(0)))
    return rule


def trajectory(problem, n=40):
    steps = torch.randn(
        (n, *problem.measurement.shape), generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    return steps.cumsum(0)


def test_running_sums_equal_the_variance_over_the_window():
    problem, window = problem_of(), 7
    images = trajectory(problem)
    values = observed(begun(WindowedVariance(window), problem), problem, images)
    assert all(math.isnan(value) for value in values[: window - 1])
    for t in range(window - 1, len(images)):
        brute = images[t - window + 1 : t + 1].var(0, correction=0).mean()
        assert values[t] == pytest.approx(float(brute), rel=1e-10)


def test_rounding_does_not_add_up():
    problem = problem_of((1, 8, 8))
    problem = Problem(problem.measurement.float(), problem.weights.float())
    images = problem.measurement + 1e-3 * torch.randn((100, 1, 8, 8), generator=torch.Generator().manual_seed(3))
    images[:20] += 30  # a bad start
    value = observed(begun(WindowedVariance(10), problem), problem, images)[-1]
    assert value == pytest.approx(float(images[-10:].double().var(0, correction=0).mean()), rel=1e-4)


def test_missing_pixels_do_not_count():
    problem = problem_of()
    problem.weights[:, 2:4] = 0
    images = trajectory(problem)
    wild = images.clone()
    wild[:, :, 2:4] *= 1e3
    for rule in (WindowedVariance(5), RunningVariance(start=0)):
        rule.begin(problem, rule.members(problem, 1, torch.Generator()))
        values = observed(rule, problem, images)
        assert observed(begun(rule, problem), problem, wild, 1) == pytest.approx(values, nan_ok=True)


def test_a_large_image_is_watched_at_as_many_pixels_as_the_bound_on_memory_allows(monkeypatch):
    monkeypatch.setattr(WindowedVariance, "MAX_VALUES", 5 * 600)
    problem = problem_of((1, 64, 64))
    rule = begun(WindowedVariance(5), problem)
    assert rule._held.shape == (5, 600)
    images = trajectory(problem, 5)
    value = observed(rule, problem, images)[-1]
    assert value == pytest.approx(float(images.var(0, correction=0).mean()), rel=0.15)


def test_the_running_variance_is_that_of_the_exponentially_weighted_outputs():
    problem, alpha = problem_of(), 0.1
    images = trajectory(problem)
    values = observed(begun(RunningVariance(alpha, start=0), problem), problem, images)
    for t in range(len(images)):
        weights = torch.tensor([(1 - alpha) ** t] + [alpha * (1 - alpha) ** (t - s) for s in range(1, t + 1)]).double()
        weights = weights.view(-1, 1, 1, 1)
        mean = (weights * images[: t + 1]).sum(0)
        assert values[t] == pytest.approx(float((weights * (images[: t + 1] - mean) ** 2).sum(0).mean()), rel=1e-6)


def test_the_running_window_can_grow_with_the_step():
    problem, share = problem_of(), 0.5
    values = observed(begun(RunningVariance(share=share, start=2), problem), problem, trajectory(problem, 4))
    mean, running = torch.zeros_like(problem.measurement), 0.0
    for t, image in enumerate(trajectory(problem, 4), 1):
        alpha = 1 / (1 + share * t)
        if t == 1:
            mean = image
        running = (1 - alpha) * (running + alpha * float(((image - mean) ** 2).mean()))
        mean = mean + alpha * (image - mean)
    assert math.isnan(values[1])
    assert values[-1] == pytest.approx(running)


@pytest.mark.parametrize("rule", [WindowedVariance(5), RunningVariance(start=3)])
def test_going_back_starts_a_new_window(rule):
    problem = problem_of()
    images = trajectory(problem)
    fresh = observed(begun(rule, problem), problem, images[5:15], 6)
    begun(rule, problem)
    observed(rule, problem, images[20:35], 1)
    assert observed(rule, problem, images[5:15], 6) == pytest.approx(fresh, nan_ok=True)


def test_of_known_noise_only_steps_with_about_its_energy_left_count():
    level = torch.full((1,), 0.1, dtype=torch.float64)
    problem = problem_of((1, 20, 20), level)
    rule = begun(WindowedVariance(2), problem)
    energy = [2.0, 2.0, 2.0, 1.1, 0.9, 0.8001, 0.5, 0.5]  # least variance where it is too large, and too small
    observed(rule, problem, [problem.measurement + 0.1 * e**0.5 for e in energy])
    assert rule.judge(list(range(1, 9))).step == 6
    assert rule.judge([1, 2, 3]).step == 3  # none counts: the latest
    free = begun(WindowedVariance(2, energy_range=None), problem)
    observed(free, problem, [problem.measurement + 0.1 * e**0.5 for e in energy])
    assert free.judge(list(range(1, 9))).step == 2


@pytest.mark.parametrize(
    "rule", [WindowedVariance(10, min_patience=30), RunningVariance(0.2, start=20, min_patience=30)]
)
def test_it_stops_in_the_valley_between_structure_and_noise(two_band_fit, rule):
    fit = two_band_fit(sigma=0.3)
    members, _, judgment = fit.run(rule)
    assert fit.excess(judgment.step, members) < 1.5
    assert judgment.reason.outcome is Outcome.RULE
    assert f"least at step {judgment.step} " in judgment.reason.sentence
