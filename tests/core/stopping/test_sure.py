import dataclasses
import math

import numpy as np
import pytest
import torch

from napari_convgen.core.noise import shaping_filter
from napari_convgen.core.noise.colored import noise_gain, shape_noise
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome
from napari_convgen.core.stopping.rule import Iterate
from napari_convgen.core.stopping.sure import MonteCarloSure
from napari_convgen.errors import ConfigError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def begun(problem, n_seeds=1, seed=0, **options):
    rule = MonteCarloSure(**{"output": "iterate"} | options)
    members = rule.members(problem, n_seeds, generator(seed))
    rule.begin(problem, members)
    return rule, members


def test_twins_start_like_their_members_see_nudged_data_and_are_not_kept(two_band_fit):
    problem = two_band_fit().problem
    _, members = begun(problem, n_seeds=2, n_probes=3)
    assert members.starts == (0, 1, 0, 1, 0)
    assert members.is_kept == (True, True, False, False, False)
    nudges = members.measurements[2:] - problem.measurement
    assert torch.allclose(nudges.abs(), 0.2 * problem.noise_level.view(1, 1, 1, 1).expand_as(nudges))
    assert not torch.equal(nudges[0], nudges[1])


def test_the_estimate_of_a_linear_fit_has_the_exact_divergence_as_its_mean(two_band_fit):
    fit, step = two_band_fit(), 60
    exact = float(fit.gains(step).sum())  # of a circular filter: the trace of its matrix
    n = fit.problem.measurement.numel()
    sure = []
    for seed in range(60):
        rule, members = begun(fit.problem, seed=seed)
        sure.append(float(rule.observe(fit.iterate(step, members))))
    residual = float(((fit.outputs(step, members)[0] - fit.problem.measurement) ** 2).mean())
    s2 = float(fit.sigma[0] ** 2)
    sure = torch.tensor(sure, dtype=torch.float64)
    expected = residual - s2 + 2 * s2 * exact / n
    assert abs(float(sure.mean()) - expected) < 4 * float(sure.std()) / math.sqrt(len(sure))
    assert float(sure.std()) < 0.1 * s2


def test_of_gradient_descent_on_a_dense_least_squares_model_every_probe_together_gives_the_trace():
    # x_t = A w_t, w_t from gradient descent on |A w - y|^2 / 2: x_t = (I - (I - eta A A')^t) y.
    n, t = 16, 7
    a = torch.randn((n, 9), generator=generator(), dtype=torch.float64)
    eta = 1 / float(torch.linalg.matrix_norm(a, 2)) ** 2

    def fitted(y):
        w = torch.zeros(9, dtype=torch.float64)
        for _ in range(t):
            w = w - eta * a.T @ (a @ w - y)
        return a @ w

    smoother = torch.eye(n, dtype=torch.float64) - torch.linalg.matrix_power(
        torch.eye(n, dtype=torch.float64) - eta * a @ a.T, t
    )
    y = torch.randn((1, n), generator=generator(1), dtype=torch.float64)
    problem = Problem(y, torch.ones_like(y), torch.tensor([0.3], dtype=torch.float64))
    rule, members = begun(problem, n_probes=4000)
    outputs = torch.stack([fitted(data[0]) for data in members.measurements[:1]])[:, None]
    # The twins' fits at once: the fit is linear.
    outputs = torch.cat((outputs, outputs + (members.measurements[1:] - y) @ smoother.T))
    value = float(rule.observe(Iterate(1, torch.tensor(0.0), outputs, outputs, True)))
    residual = float(((fitted(y[0]) - y[0]) ** 2).mean())
    expected = residual - 0.09 + 2 * 0.09 * float(smoother.trace()) / n
    assert value == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("n_seeds", [1, 3])
def test_it_is_unbiased_for_the_error_of_the_image_that_is_kept(two_band_fit, n_seeds):
    step, errors, estimates = 80, [], []
    for seed in range(40):
        fit = two_band_fit(sigma=(0.05, 0.2), shape=(2, 24, 24), seed=seed)
        rule, members = begun(fit.problem, n_seeds, seed, n_probes=n_seeds, probe_size=0.01)
        estimates.append(float(rule.observe(fit.iterate(step, members))))
        errors.append(fit.error(step, members))
    difference = torch.tensor(estimates) - torch.tensor(errors)
    assert abs(float(difference.mean())) < 3 * float(difference.std()) / math.sqrt(len(difference))
    assert float(difference.std()) < 0.06 * 0.02125  # of the noise's variance


def test_the_deviation_is_that_of_estimates_around_the_error(two_band_fit):
    pulls = []
    for seed in range(40):
        fit = two_band_fit(seed=seed)
        rule, members = begun(fit.problem, seed=seed)
        rule.observe(dataclasses.replace(fit.iterate(50, members), step=1))
        error = rule.judge([1]).error
        pulls.append((error.mse - fit.error(50, members)) / error.deviation)
    assert 0.5 < float(torch.tensor(pulls).std()) < 1.4


def test_missing_pixels_are_left_out_everywhere(two_band_fit):
    fit = two_band_fit()
    weights = (torch.rand(fit.truth.shape, generator=generator(3)) > 0.3).double()
    problem = Problem(torch.where(weights > 0, fit.problem.measurement, 9e3), weights, fit.sigma)
    rule, members = begun(problem)
    assert torch.equal(members.measurements[0] == members.measurements[1], weights == 0)
    outputs = torch.where(weights > 0, fit.iterate(40, begun(fit.problem)[1]).outputs, 5e4)
    value = float(rule.observe(Iterate(1, torch.tensor(0.0), outputs[:1].repeat(2, 1, 1, 1), outputs, True)))
    residual = ((outputs[0] - problem.measurement) ** 2)[weights > 0].mean()
    assert value == pytest.approx(float(residual) - float(fit.sigma[0]) ** 2, rel=1e-9)


def test_it_stops_within_a_tenth_of_the_least_error_and_says_how_large_that_is(two_band_fit):
    fit = two_band_fit()
    members, _, judgment = fit.run(MonteCarloSure("iterate"))
    assert fit.excess(judgment.step, members) < 1.1
    assert judgment.reason.outcome is Outcome.RULE
    assert f"least at step {judgment.step} " in judgment.reason.sentence
    assert abs(judgment.error.mse - fit.error(judgment.step, members)) < 3 * judgment.error.deviation


def test_the_kept_image_is_watched(two_band_fit):
    problem = two_band_fit().problem
    rule, members = begun(problem, 2, output="average", n_probes=2)
    averages = members.measurements.clone()
    value = rule.observe(Iterate(1, torch.tensor(0.0), averages * 0, averages, True, (0, 1)))
    assert float(value) == pytest.approx(float(problem.noise_level[0]) ** 2)  # the identity's risk


def test_where_all_pixels_have_the_same_noise_the_error_is_the_criterion(two_band_fit):
    fit = two_band_fit(sigma=(0.05, 0.2), shape=(2, 24, 24))
    rule, members = begun(fit.problem, 2, n_probes=2)
    value = float(rule.observe(fit.iterate(5, members)))
    assert rule.judge([5]).error.mse == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(("level", "word"), [(None, "not known"), ([0.0], "above 0"), ([math.nan], "above 0")])
def test_without_a_noise_level_it_says_so(two_band_fit, level, word):
    problem = two_band_fit().problem
    level = None if level is None else torch.tensor(level)
    with pytest.raises(ConfigError, match=word):
        MonteCarloSure().members(Problem(problem.measurement, problem.weights, level), 1, generator())


def test_correlated_noise_without_a_known_spectrum_gets_a_warning(two_band_fit):
    fit = two_band_fit()
    fit.problem = Problem(fit.problem.measurement, fit.problem.weights, fit.sigma, correlation_length=2)
    assert "independent" in fit.run(MonteCarloSure("iterate"))[2].warnings[0]


RED = np.outer(*[np.linspace(1, 0.02, 8) ** 2] * 2)


def with_red_noise(fit, spectrum):
    """The same fit of the same truth, with noise of that spectrum."""
    red = shape_noise(fit.noise[None], noise_gain(RED, fit.noise[None]))[0]
    measurement = fit.problem.measurement - fit.noise + red
    fit.problem = Problem(measurement, fit.problem.weights, fit.sigma, 4, spectrum)
    return fit


def test_of_noise_with_a_spectrum_it_is_unbiased_and_of_noise_taken_for_white_it_is_not(two_band_fit):
    step, differences = 80, {"red": [], "white": []}
    for seed in range(60):
        for name, spectrum in (("red", RED / RED.mean()), ("white", None)):
            fit = with_red_noise(two_band_fit(seed=seed), spectrum)
            rule, members = begun(fit.problem, 2, seed, n_probes=2, probe_size=0.01)
            differences[name].append(float(rule.observe(fit.iterate(step, members))) - fit.error(step, members))
    red, white = (torch.tensor(x) for x in differences.values())
    error = float(red.std()) / math.sqrt(len(red))
    assert abs(float(red.mean())) < 3 * error
    assert float(white.mean()) < -10 * error


def test_probes_have_the_spectrum_of_the_noise_and_its_level_in_each_channel(two_band_fit):
    problem = dataclasses.replace(
        two_band_fit(sigma=(0.05, 0.2), shape=(2, 24, 24)).problem, noise_spectrum=RED / RED.mean()
    )
    _, members = begun(problem, n_probes=200)
    nudges = (members.measurements[1:] - problem.measurement) / 0.2
    assert nudges.std((0, 2, 3)).tolist() == pytest.approx([0.05, 0.2], rel=0.05)
    neighbors = (nudges * nudges.roll(1, -1)).mean((0, 2, 3)) / nudges.var((0, 2, 3))
    expected = np.fft.irfft2(shaping_filter(RED, (24, 24)) ** 2, (24, 24))[0, 1]
    assert neighbors.tolist() == pytest.approx([expected] * 2, abs=0.05)


def test_the_interval_holds_the_steps_that_cannot_be_told_from_the_best(two_band_fit):
    fit = two_band_fit()
    members, _, judgment = fit.run(MonteCarloSure("iterate"))
    first, last = judgment.interval
    assert first <= judgment.step <= last
    assert all(fit.excess(step, members) < 1.3 for step in judgment.interval)
    # Correlated noise leaves less to tell them by.
    fit.problem = dataclasses.replace(fit.problem, correlation_length=6)
    wider = fit.run(MonteCarloSure("iterate"))[2].interval
    assert wider[0] <= first
    assert wider[1] >= last
    assert wider != (first, last)


def test_a_noise_level_is_less_well_known_with_correlated_noise_and_so_is_the_error(two_band_fit):
    fit = two_band_fit()
    fit.problem = dataclasses.replace(fit.problem, is_level_given=False)
    white = fit.run(MonteCarloSure("iterate"), n_steps=40)[2].error
    fit.problem = dataclasses.replace(fit.problem, correlation_length=2)
    correlated = fit.run(MonteCarloSure("iterate"), n_steps=40)[2].error
    assert correlated.mse == white.mse
    assert correlated.deviation > 2 * white.deviation
