import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction import architectures
from napari_convgen.reproduction.nets import Trace
from napari_convgen.reproduction.report import record
from napari_convgen.reproduction.study import Setting

QUICK, FULL = (Setting(is_full, torch.device("cpu")) for is_full in (False, True))


def fake_fits(half_steps, distances=((1.0,), (5.0,))):
    """Fits that are not made: the steps to half the loss by architecture and target, and the distances of image and noise."""

    class Fits:
        def __init__(self, setting, n):
            self.n, self.n_done = n, 0

        def __call__(self, what, net, target, optimizer, n_steps, **options):
            self.n_done += 1
            assert self.n_done <= self.n
            half = half_steps.get(what.partition(")")[0], (None, None))["noise" in what]
            moved = [[0.0, far, 100.0] for far in distances["noise" in what]]
            return Trace([1, n_steps - 1, n_steps], [1.0, 0.25, 0.1], [], moved, half, target, target, np.nan)

    return Fits


AS_PUBLISHED = {"i": (15, 2000), "ii": (15, 400), "iii": (20, 60), "iv": (20, 50)}


@pytest.mark.parametrize(("study", "n_claims"), [(architectures.figure4, 4), (architectures.figure8, 10)])
def test_curves_like_those_of_the_paper_agree_but_for_a_ratio_that_does_not_fall(monkeypatch, study, n_claims):
    monkeypatch.setattr(architectures, "Fits", fake_fits(AS_PUBLISHED))
    findings = study(QUICK)
    assert len(findings.claims) == n_claims
    assert json.dumps(record("fig8", findings, is_full=True, seconds=1, device="cpu", version="1"))
    assert all(claim.agrees for claim in findings.claims if "the wider" not in claim.paper)
    assert not any(claim.agrees for claim in findings.claims if "the wider" in claim.paper)
    assert [panel.title[:2] for panel in findings.panels] == ["i)", "ii", "ii", "iv"]


@pytest.mark.parametrize(
    ("kind", "halves"),
    [("i", (15, 1499)), ("ii", (15, 299)), ("iii", (10, 151)), ("iv", (10, None)), ("i", (None, 2000))],
)
def test_other_curves_do_not(monkeypatch, kind, halves):
    monkeypatch.setattr(architectures, "Fits", fake_fits(AS_PUBLISHED | {kind: halves}))
    findings = architectures.figure4(QUICK)
    assert [claim.agrees for claim in findings.claims] == [name != kind for name in architectures.KINDS]


def test_noise_that_is_not_fitted_at_all_takes_longer_than_the_steps(monkeypatch):
    monkeypatch.setattr(architectures, "Fits", fake_fits(AS_PUBLISHED | {"i": (15, None)}))
    claim = architectures.figure4(QUICK).claims[0]
    assert claim.agrees
    assert "more than 2500 steps" in claim.ours


def test_figure_8_has_three_widths_in_full_size(monkeypatch):
    monkeypatch.setattr(architectures, "Fits", fake_fits(AS_PUBLISHED))
    assert len(architectures.figure8(FULL).claims) == 3 * 4 + 2


@pytest.mark.parametrize(("noise", "agrees"), [((6.2, 3.1), [True, True]), ((6.2, 2.9), [True, False])])
def test_weights_that_move_three_times_as_far_agree(monkeypatch, noise, agrees):
    monkeypatch.setattr(architectures, "Fits", fake_fits(AS_PUBLISHED, ((2.0, 1.0), noise)))
    findings = architectures.figure9(QUICK)
    assert [claim.agrees for claim in findings.claims] == agrees
    assert json.dumps(record("fig9", findings, is_full=True, seconds=1, device="cpu", version="1"))
    assert findings.numbers["ratios_at_end"] == [1, 1]
    assert [curve.label for curve in findings.panels[0].curves] == ["layer 1", "output"]


@pytest.mark.parametrize(
    ("kind", "factors"),
    [("i", (1.3, 5.0, 20.1)), ("ii", (1.0, 4.0, 16.1)), ("iii", (1.2, 5.0, 19.9)), ("iv", (1.3, 5.3, 21.2))],
)
def test_the_full_size_has_the_papers_parameters_for_each_pixel(kind, factors):
    size = architectures._SIZES[True]
    words = [architectures._width(size, kind, i) for i in range(3)]
    assert [word.partition("(")[2] for word in words] == [f"{factor:.1f}×)" for factor in factors]
