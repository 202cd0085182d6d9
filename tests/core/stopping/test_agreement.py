import pytest
import torch

from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome
from napari_convgen.core.stopping.agreement import SeedAgreement
from napari_convgen.core.stopping.rule import Iterate, plain_members
from napari_convgen.errors import ConfigError


def observed(rule, problem, images, n_kept=None):
    rule.begin(problem, plain_members(problem, len(images)))
    kept = tuple(range(n_kept or len(images)))
    return float(rule.observe(Iterate(1, torch.tensor(0.0), images * 7, images, True, kept)))


def images(n, problem):
    return torch.rand((n, *problem.measurement.shape), generator=torch.Generator().manual_seed(1)).double()


def test_of_two_members_it_is_a_quarter_of_their_mean_squared_difference(two_band_fit):
    problem = two_band_fit().problem
    a, b = pair = images(2, problem)
    assert observed(SeedAgreement(), problem, pair) == pytest.approx(float(((a - b) ** 2).mean() / 4))


def test_of_more_members_it_is_the_variance_of_their_mean_and_those_not_kept_do_not_count(two_band_fit):
    problem = two_band_fit().problem
    some = images(5, problem)
    expected = float(some[:4].var(0, correction=1).mean() / 4)
    assert observed(SeedAgreement(), problem, some, n_kept=4) == pytest.approx(expected)


def test_missing_pixels_do_not_count(two_band_fit):
    fit = two_band_fit()
    weights = torch.ones_like(fit.truth)
    weights[:, 3:9] = 0
    problem = Problem(fit.problem.measurement, weights)
    pair = images(2, problem)
    pair[0, :, 3:9] = 1e6
    assert observed(SeedAgreement(), problem, pair) == pytest.approx(
        float(((pair[0] - pair[1]) ** 2)[weights > 0].mean() / 4)
    )


def test_it_stops_near_the_best_step(two_band_fit):
    fit = two_band_fit()
    rule = SeedAgreement("iterate")
    members = rule.members(fit.problem, 3, torch.Generator())
    rule.begin(fit.problem, members)
    steps = list(range(1, 260))
    apart = images(3, fit.problem) - 0.5  # starts differ, and are forgotten
    for step in steps:
        outputs = fit.outputs(step, members) + apart * 0.8**step
        rule.observe(Iterate(step, torch.tensor(0.0), outputs, outputs, True, (0, 1, 2)))
    judgment = rule.judge(steps)
    assert fit.excess(judgment.step, members) < 1.3
    assert judgment.reason.outcome is Outcome.RULE


def test_one_member_cannot_agree(two_band_fit):
    with pytest.raises(ConfigError, match="n_seeds must be at least 2, got 1"):
        SeedAgreement().members(two_band_fit().problem, 1, torch.Generator())
