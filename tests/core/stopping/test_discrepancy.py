import pytest
import torch

from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome
from napari_convgen.core.stopping.discrepancy import Discrepancy
from napari_convgen.core.stopping.rule import Iterate
from napari_convgen.errors import ConfigError


def show(rule, problem, ratios):
    rule.begin(problem, rule.members(problem, 1, torch.Generator()))
    column = problem.noise_level[:, None, None]
    for step, ratio in ratios.items():
        image = (problem.measurement + column * ratio**0.5)[None]
        value = float(rule.observe(Iterate(step, torch.tensor(0.0), image * 9, image, True)))
        assert value == pytest.approx(ratio)
    return rule.judge(list(ratios))


def test_the_first_snapshot_that_leaves_no_more_than_the_noise_is_kept(two_band_fit):
    problem = two_band_fit(shape=(2, 8, 8), sigma=(0.1, 0.3)).problem
    judgment = show(Discrepancy(), problem, {1: 3.0, 2: 1.1, 3: 0.97, 4: 0.9, 5: 1.2})
    assert judgment.step == 3
    assert judgment.reason.outcome is Outcome.RULE
    assert "0.97" in judgment.reason.sentence


def test_until_then_the_latest_is(two_band_fit):
    judgment = show(Discrepancy(tau=0.9), two_band_fit().problem, {1: 3.0, 2: 1.1, 3: 0.97})
    assert (judgment.step, judgment.reason) == (3, None)


def test_missing_pixels_do_not_count(two_band_fit):
    fit = two_band_fit()
    weights = torch.ones_like(fit.truth)
    weights[:, 3:9] = 0
    problem = Problem(torch.where(weights > 0, fit.problem.measurement, 1e5), weights, fit.sigma)
    rule = Discrepancy("iterate")
    rule.begin(problem, rule.members(problem, 1, torch.Generator()))
    value = rule.observe(Iterate(1, torch.tensor(0.0), fit.problem.measurement[None], fit.truth[None], True))
    assert float(value) == 0


def test_it_stops_near_the_best_step(two_band_fit):
    fit = two_band_fit(sigma=0.3)
    members, _, judgment = fit.run(Discrepancy("iterate", tau=0.98))
    assert fit.excess(judgment.step, members) < 1.3


def test_an_image_with_less_than_the_noise_left_is_objected_to(two_band_fit):
    rule = Discrepancy()
    show(rule, two_band_fit().problem, {1: 3.0, 2: 0.9, 3: 0.6})
    assert rule.veto(2) is None
    assert "less than 85 %" in rule.veto(3)


def test_without_a_noise_level_it_says_so(two_band_fit):
    problem = two_band_fit().problem
    with pytest.raises(ConfigError, match="'discrepancy' needs the level of the noise"):
        Discrepancy().members(Problem(problem.measurement, problem.weights), 1, torch.Generator())
