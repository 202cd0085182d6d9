import dataclasses
import math

import pytest
import torch

from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome
from napari_convgen.core.stopping.coupled import CoupledSplit
from napari_convgen.core.stopping.rule import Iterate
from napari_convgen.errors import ConfigError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def begun(problem, n_seeds=1, seed=0, **options):  # the seed of the split must not be that of the noise
    rule = CoupledSplit(**{"output": "iterate"} | options)
    members = rule.members(problem, n_seeds, generator(1000 + seed))
    rule.begin(problem, members)
    return rule, members


def counting_problem(mean=40.0, shape=(1, 24, 24), seed=0, level=None):
    counts = torch.poisson(torch.full(shape, mean, dtype=torch.float64), generator=generator(seed))
    return Problem(
        counts / 100,
        torch.ones_like(counts),
        level,
        counts=counts,
        from_counts=lambda counts, share: counts / share / 100,
    )


@pytest.mark.parametrize("n_seeds", [1, 3])
def test_the_risk_is_unbiased_for_the_image_that_is_kept(two_band_fit, n_seeds):
    step, errors, estimates = 90, [], []
    for seed in range(60):
        fit = two_band_fit(sigma=(0.05, 0.2), shape=(2, 24, 24), seed=seed)
        rule, members = begun(fit.problem, n_seeds, seed)
        estimates.append(float(rule.observe(fit.iterate(step, members))))
        errors.append(fit.error(step, members))
    difference = torch.tensor(estimates) - torch.tensor(errors)
    assert abs(float(difference.mean())) < 3 * float(difference.std()) / math.sqrt(len(difference))
    assert float(difference.std()) < 0.25 * 0.02125  # of the noise's variance


def test_the_deviation_is_that_of_estimates_around_the_error(two_band_fit):
    pulls = []
    for seed in range(60):
        fit = two_band_fit(seed=seed)
        rule, members = begun(fit.problem, seed=seed)
        rule.observe(dataclasses.replace(fit.iterate(90, members), step=1))
        error = rule.judge([1]).error
        pulls.append((error.mse - fit.error(90, members)) / error.deviation)
    assert 0.6 < float(torch.tensor(pulls).std()) < 1.4


def test_the_halves_have_independent_noise_of_the_stated_strength(two_band_fit):
    fit = two_band_fit(shape=(2, 64, 64), sigma=(0.1, 0.3))
    rule, members = begun(fit.problem, a=0.5)
    one, other = ((half - fit.truth) / fit.sigma.view(-1, 1, 1) for half in (members.measurements[0], rule._targets[0]))
    assert float((one * other).mean()) == pytest.approx(0, abs=0.1)
    assert float((one**2).mean()) == pytest.approx(1.25, rel=0.06)
    assert float((other**2).mean()) == pytest.approx(5, rel=0.06)


def test_what_members_differ_by_is_no_error_of_their_mean(two_band_fit):
    fit = two_band_fit()
    rule, _ = begun(fit.problem, 2)
    outputs = torch.stack((fit.truth + 0.5, fit.truth - 0.5))
    value = float(rule.observe(Iterate(1, torch.tensor(0.0), outputs, outputs, True, (0, 1))))
    assert value == pytest.approx(0, abs=0.03)  # each has an error of 0.25


def test_members_have_a_split_each_and_the_seed_decides(two_band_fit):
    problem = two_band_fit().problem
    one, again, other = (begun(problem, 2, seed)[1].measurements for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


def test_events_go_to_either_half_and_none_is_lost():
    problem = counting_problem()
    rule, members = begun(problem, 2)
    fitted, judged = members.measurements * 80, rule._targets * 20
    assert torch.allclose(fitted + judged, problem.counts)
    assert torch.allclose(fitted, fitted.round())
    assert float(fitted.mean()) == pytest.approx(0.8 * 40, rel=0.03)
    noise = (fitted - 32) * (judged - 8) / (32 * 8) ** 0.5
    assert float(noise.mean()) == pytest.approx(0, abs=0.1)


def blurred(images):
    """A fit that averages over three by three pixels of the torus."""
    shifted = [images.roll((dy, dx), (-2, -1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return torch.stack(shifted).mean(0)


def test_the_risk_of_counts_is_unbiased():
    level = torch.tensor([40**0.5 / 100], dtype=torch.float64)
    differences = []
    for seed in range(60):
        problem = counting_problem(seed=seed, level=level)
        rule, members = begun(problem, 2, seed=seed)
        outputs = blurred(members.measurements)
        risk = float(rule.observe(Iterate(1, torch.tensor(0.0), outputs, outputs, True, (0, 1))))
        differences.append(risk - float(((outputs.mean(0) - 0.4) ** 2).mean()))
    differences = torch.tensor(differences)
    assert abs(float(differences.mean())) < 3 * float(differences.std()) / math.sqrt(len(differences))
    assert float(differences.std()) < 5 * float(level**2) * 0.1
    assert rule.judge([1]).error.mse > 0


def test_of_counts_whose_noise_is_not_known_the_error_is_not_estimated():
    problem = counting_problem()
    rule, members = begun(problem)
    y = members.measurements
    rule.observe(Iterate(1, torch.tensor(0.0), y, y, True))
    assert rule.judge([1]).error is None


def test_missing_pixels_count_nowhere(two_band_fit):
    fit = two_band_fit()
    weights = (torch.rand(fit.truth.shape, generator=generator(3)) > 0.3).double()
    problem = Problem(fit.problem.measurement, weights, fit.sigma)
    rule, members = begun(problem)
    assert torch.equal(members.measurements[0] == problem.measurement, weights == 0)
    outputs = fit.outputs(40, members)
    wild = torch.where(weights > 0, outputs, 1e5)
    one, other = (float(rule.observe(Iterate(1, torch.tensor(0.0), x, x, True))) for x in (outputs, wild))
    assert one == pytest.approx(other)


def test_missing_counts_are_not_split():
    problem = counting_problem()
    problem.counts[0, 2:5] = math.nan
    problem.weights[0, 2:5] = 0
    _, members = begun(problem)
    assert torch.equal(members.measurements[0, 0, 2:5], problem.measurement[0, 2:5])
    assert torch.isfinite(members.measurements).all()


@pytest.mark.parametrize("n_seeds", [1, 3])
def test_it_stops_within_half_of_the_least_error_and_says_how_large_that_is(two_band_fit, n_seeds):
    fit = two_band_fit(shape=(1, 48, 48))
    members, _, judgment = fit.run(CoupledSplit("iterate"), n_seeds)
    assert fit.excess(judgment.step, members) < 1.5
    assert judgment.reason.outcome is Outcome.RULE
    assert f"least at step {judgment.step} " in judgment.reason.sentence
    assert abs(judgment.error.mse - fit.error(judgment.step, members)) < 3 * judgment.error.deviation


def test_the_image_that_is_kept_is_the_one_watched(two_band_fit):
    problem = two_band_fit().problem
    rule, members = begun(problem, output="average")
    y = members.measurements
    value = rule.observe(Iterate(1, torch.tensor(0.0), y * 50, y, True))
    assert float(value) == pytest.approx(1.09 * 0.01, rel=0.6)  # the identity's risk


def test_without_counts_or_a_noise_level_it_says_so(two_band_fit):
    problem = two_band_fit().problem
    with pytest.raises(ConfigError, match="'coupled' needs the level of the noise"):
        CoupledSplit().members(Problem(problem.measurement, problem.weights), 1, generator())


def test_correlated_noise_gets_a_warning(two_band_fit):
    fit = two_band_fit()
    fit.problem = Problem(fit.problem.measurement, fit.problem.weights, fit.sigma, correlation_length=2)
    assert "independent" in fit.run(CoupledSplit("iterate"), n_steps=5)[2].warnings[0]
