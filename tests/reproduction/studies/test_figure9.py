import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction.nets import Trace
from napari_convgen.reproduction.report import record
from napari_convgen.reproduction.studies import figure9
from napari_convgen.reproduction.study import Setting

QUICK = Setting(False, torch.device("cpu"))


def fake_fits(distances):
    """Fits that are not made, with the distances of each layer for the image and for noise."""

    class Fits:
        def __init__(self, setting, n):
            self.n, self.n_done = n, 0

        def __call__(self, what, net, target, optimizer, n_steps, **options):
            self.n_done += 1
            assert self.n_done <= self.n
            moved = [[0.0, far, 100.0] for far in distances["noise" in what]]
            return Trace([1, n_steps - 1, n_steps], [1.0, 0.25, 0.1], [], moved, None, target, target, np.nan)

    return Fits


@pytest.mark.parametrize(("noise", "agrees"), [((6.2, 3.1), [True, True]), ((6.2, 2.9), [True, False])])
def test_weights_that_move_three_times_as_far_agree(monkeypatch, noise, agrees):
    monkeypatch.setattr(figure9, "Fits", fake_fits(((2.0, 1.0), noise)))
    findings = figure9.Figure9(QUICK).findings()
    assert [claim.agrees for claim in findings.claims] == agrees
    assert json.dumps(record("fig9", findings, is_full=True, seconds=1, device="cpu", version="1"))
    assert findings.numbers["ratios_at_end"] == [1, 1]
    assert [curve.label for curve in findings.panels[0].curves] == ["layer 1", "output"]
