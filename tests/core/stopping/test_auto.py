import dataclasses

import pytest
import torch

from napari_convgen.core.stopping import ErrorEstimate
from napari_convgen.core.stopping.auto import AutomaticStop
from napari_convgen.core.stopping.discrepancy import Discrepancy
from napari_convgen.core.stopping.held_out import HeldOut


@pytest.fixture
def fit(two_band_fit):
    return two_band_fit()


def rule():
    return AutomaticStop(HeldOut(0.1, "auto", 0.4, 100, "average"))


def test_held_out_pixels_decide_and_the_free_rules_vote(fit):
    automatic, alone = rule(), HeldOut(0.1, "auto", 0.4, 100, "average")
    _, criteria, judgment = fit.run(automatic, n_seeds=2)
    _, criteria_alone, judgment_alone = fit.run(alone, n_seeds=2)
    assert criteria == pytest.approx(criteria_alone, nan_ok=True)
    assert judgment.step == judgment_alone.step
    assert judgment.reason == judgment_alone.reason
    assert judgment.interval == judgment_alone.interval
    assert judgment.error == judgment_alone.error
    assert set(judgment.votes) == {"held-out", "running-variance", "discrepancy", "whiteness", "agreement"}
    assert judgment.votes["held-out"] == judgment.step


@pytest.mark.parametrize(
    ("changes", "n_seeds", "missing"),
    [
        ({"noise_level": None}, 2, {"discrepancy"}),
        ({"correlation_length": 3}, 2, {"whiteness"}),
        ({}, 1, {"agreement"}),
    ],
)
def test_a_rule_whose_assumptions_do_not_hold_has_no_vote(fit, changes, n_seeds, missing):
    fit.problem = dataclasses.replace(fit.problem, **changes)
    _, _, judgment = fit.run(rule(), n_seeds=n_seeds)
    assert set(judgment.votes) == {"held-out", "running-variance", "discrepancy", "whiteness", "agreement"} - missing


def test_a_noise_level_that_is_too_high_is_said(fit):
    fit.problem = dataclasses.replace(fit.problem, noise_level=torch.as_tensor([0.3], dtype=torch.float64))
    _, _, judgment = fit.run(rule(), n_seeds=2)
    assert any("noise level is too high" in warning for warning in judgment.warnings)


@pytest.mark.parametrize(("least_share", "is_known"), [(0.0, True), (2.0, False)])
def test_the_error_is_not_known_where_the_residual_speaks_against_the_image(fit, monkeypatch, least_share, is_known):
    judge = HeldOut.judge
    told = ErrorEstimate(1.0, 0.1)
    monkeypatch.setattr(HeldOut, "judge", lambda self, steps: dataclasses.replace(judge(self, steps), error=told))
    monkeypatch.setattr(Discrepancy, "LEAST_SHARE", least_share)
    _, _, judgment = fit.run(rule(), n_seeds=2)
    assert judgment.error == (told if is_known else None)
    assert any("cannot be told" in warning for warning in judgment.warnings) != is_known
