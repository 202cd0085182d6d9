import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction.nets import Trace
from napari_convgen.reproduction.report import record
from napari_convgen.reproduction.studies import figure10
from napari_convgen.reproduction.study import Setting

QUICK = Setting(False, torch.device("cpu"))
STEPS = [1, 10, 100, 1000]


def fake_fits(losses):
    """Fits that are not made, but have the losses of their kind, over the target's variance."""

    class Fits:
        def __init__(self, setting, n):
            self.n, self.n_done = n, 0

        def __call__(self, what, net, target, optimizer, n_steps, **options):
            self.n_done += 1
            assert self.n_done <= self.n
            kind = next((kind for kind in losses if kind in what), "image")
            scaled = [share * np.var(target) for share in losses[kind]]
            return Trace(STEPS, scaled, [], [], None, target, target, 0.1)

    return Fits


FIGURE10 = {"noise": [1, 0.98, 0.95, 0.9], "image": [2, 0.3, 0.1, 0.05]}


def test_figure_10_agrees_with_curves_like_those_of_the_paper(monkeypatch):
    monkeypatch.setattr(figure10, "Fits", fake_fits(FIGURE10))
    findings = figure10.Figure10(QUICK).findings()
    assert [claim.agrees for claim in findings.claims] == [True, True]
    assert json.dumps(record("fig10", findings, is_full=True, seconds=1, device="cpu", version="1"))
    assert len(findings.numbers["images"]) == len(findings.numbers["noise"]) == 6


@pytest.mark.parametrize(
    ("losses", "agrees"),
    [({"noise": [1, 0.5, 0.3, 0.1]}, [False, False]), ({"image": [2, 1, 0.9, 0.8]}, [False, True])],
)
def test_figure_10_does_not_agree_with_others(monkeypatch, losses, agrees):
    monkeypatch.setattr(figure10, "Fits", fake_fits(FIGURE10 | losses))
    assert [claim.agrees for claim in figure10.Figure10(QUICK).findings().claims] == agrees
