import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction import architectures
from napari_convgen.reproduction.nets import Trace
from napari_convgen.reproduction.report import record
from napari_convgen.reproduction.studies.figure4 import Figure4
from napari_convgen.reproduction.studies.figure8 import Figure8
from napari_convgen.reproduction.study import Setting

QUICK, FULL = (Setting(is_full, torch.device("cpu")) for is_full in (False, True))


def fake_fits(half_steps):
    """Fits that are not made: the steps to half the loss by architecture and target."""

    class Fits:
        def __init__(self, setting, n):
            self.n, self.n_done = n, 0

        def __call__(self, what, net, target, optimizer, n_steps, **options):
            self.n_done += 1
            assert self.n_done <= self.n
            half = half_steps.get(what.partition(")")[0], (None, None))["noise" in what]
            return Trace([1, n_steps - 1, n_steps], [1.0, 0.25, 0.1], [], [], half, target, target, np.nan)

    return Fits


AS_PUBLISHED = {"i": (15, 2000), "ii": (15, 400), "iii": (20, 60), "iv": (20, 50)}


@pytest.mark.parametrize(("study", "n_claims"), [(Figure4, 4), (Figure8, 10)])
def test_curves_like_those_of_the_paper_agree_but_for_a_ratio_that_does_not_fall(monkeypatch, study, n_claims):
    monkeypatch.setattr(architectures, "Fits", fake_fits(AS_PUBLISHED))
    findings = study(QUICK).findings()
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
    findings = Figure4(QUICK).findings()
    assert [claim.agrees for claim in findings.claims] == [name != kind for name in architectures.KINDS]


def test_noise_that_is_not_fitted_at_all_takes_longer_than_the_steps(monkeypatch):
    monkeypatch.setattr(architectures, "Fits", fake_fits(AS_PUBLISHED | {"i": (15, None)}))
    claim = Figure4(QUICK).findings().claims[0]
    assert claim.agrees
    assert "more than 2500 steps" in claim.ours


def test_figure_8_has_three_widths_in_full_size(monkeypatch):
    monkeypatch.setattr(architectures, "Fits", fake_fits(AS_PUBLISHED))
    assert len(Figure8(FULL).findings().claims) == 3 * 4 + 2


@pytest.mark.parametrize(
    ("kind", "factors"),
    [("i", (1.3, 5.0, 20.1)), ("ii", (1.0, 4.0, 16.1)), ("iii", (1.2, 5.0, 19.9)), ("iv", (1.3, 5.3, 21.2))],
)
def test_the_full_size_has_the_papers_parameters_for_each_pixel(kind, factors):
    descriptions = [architectures.SIZES[True].describe_width(kind, i) for i in range(3)]
    assert [text.partition("(")[2] for text in descriptions] == [f"{factor:.1f}×)" for factor in factors]
