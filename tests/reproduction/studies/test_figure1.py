import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction.nets import Trace
from napari_convgen.reproduction.report import record
from napari_convgen.reproduction.studies import figure1
from napari_convgen.reproduction.study import Setting

QUICK, FULL = (Setting(is_full, torch.device("cpu")) for is_full in (False, True))
STEPS = [1, 10, 100, 1000]


def fake_fits(losses, errors=None):
    """Fits that are not made, but have the losses, over the target's variance, and the errors of their kind."""

    class Fits:
        def __init__(self, setting, n):
            self.n, self.n_done = n, 0

        def __call__(self, what, net, target, optimizer, n_steps, **options):
            self.n_done += 1
            assert self.n_done <= self.n
            kind = next((kind for kind in losses if kind in what), "image")
            scaled = [share * np.var(target) for share in losses[kind]]
            return Trace(STEPS, scaled, errors or [0.1] * 4, [], None, target, target, 0.1)

    return Fits


FIGURE1 = {"clean": [4, 0.05, 0.01, 0], "noisy": [4, 1, 0.5, 0.1], "noise": [4, 1, 0.9, 0.8]}
DIP = [0.1, 0.01, 0.005, 0.01]


def test_figure_1_agrees_with_curves_like_those_of_the_paper(monkeypatch):
    monkeypatch.setattr(figure1, "Fits", fake_fits(FIGURE1, DIP))
    findings = figure1.Figure1(QUICK).findings()
    assert len(findings.claims) == 4
    assert all(claim.agrees for claim in findings.claims)
    assert "not within 1000 steps" in findings.claims[0].ours
    assert findings.numbers["deep decoder, noisy"]["best_step"] == 100


@pytest.mark.parametrize(
    ("losses", "errors", "agrees"),
    [
        ({"noise": [4, 0.05, 0.01, 0]}, DIP, [False, True]),  # as soon as the image
        ({"noise": [4, 1, 0.05, 0]}, DIP, [True, True]),  # ten times as late
        ({"clean": [4, 1, 0.9, 0.8]}, DIP, [False, True]),
        ({}, [0.1, 0.02, 0.01, 0.005], [True, False]),  # no rise
        ({}, [0.001, 0.02, 0.03, 0.05], [True, False]),  # no fall
    ],
)
def test_figure_1_does_not_agree_with_others(monkeypatch, losses, errors, agrees):
    monkeypatch.setattr(figure1, "Fits", fake_fits(FIGURE1 | losses, errors))
    assert [claim.agrees for claim in figure1.Figure1(QUICK).findings().claims] == 2 * agrees


def test_figure_1_in_full_size_compares_losses_with_those_stored(monkeypatch):
    monkeypatch.setattr(figure1, "Fits", fake_fits(FIGURE1, DIP))
    findings = figure1.Figure1(FULL).findings()
    assert len(findings.claims) == 7
    assert json.dumps(record("fig1", findings, is_full=True, seconds=1, device="cpu", version="1"))
    ours = {claim.paper: claim for claim in findings.claims}[
        "deep decoder, noise: a loss of 0.0089 after the last step"
    ]
    assert not ours.agrees
