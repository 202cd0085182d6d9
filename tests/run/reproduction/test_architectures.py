import numpy as np
import pytest
import torch

from napari_convgen.run.reproduction import architectures
from napari_convgen.run.reproduction.nets import Trace
from napari_convgen.run.reproduction.study import Setting

QUICK, FULL = (Setting(is_full, torch.device("cpu")) for is_full in (False, True))


def fake_fits(half_steps, distances=((1.0,), (5.0,))):
    """Fits that are not made: the steps to half the loss by architecture and target, and the distances of image and noise."""

    class Fits:
        def __init__(self, setting, n):
            self.n, self.n_done = n, 0

        def __call__(self, what, net, target, optimizer, n_steps, **options):
            self.n_done += 1
            assert self.n_done <= self.n
            kind, _, name = what.partition(")")
            half = half_steps[kind]["noise" in name]
            moved = [[far] * 2 for far in distances["noise" in name]]
            return Trace([1, n_steps], [1.0, 0.1], [], moved, half, target, target, np.nan)

    return Fits


AS_PUBLISHED = {"i": (15, 2000), "ii": (15, 400), "iii": (20, 60), "iv": (20, 50)}


@pytest.mark.parametrize(("study", "n_claims"), [(architectures.figure4, 4), (architectures.figure8, 10)])
def test_curves_like_those_of_the_paper_agree_but_for_a_ratio_that_does_not_fall(monkeypatch, study, n_claims):
    monkeypatch.setattr(architectures, "Fits", fake_fits(AS_PUBLISHED))
    findings = study(QUICK)
    assert len(findings.claims) == n_claims
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
    assert [curve.label for curve in findings.panels[0].curves] == ["layer 1", "output"]


def test_the_nets_have_about_as_many_parameters_for_each_pixel_as_in_the_paper():
    for size in architectures._SIZES.values():
        for kind, widths in size.widths.items():
            for factor, n_channels in zip(architectures.FACTORS, widths, strict=False):
                net = architectures._net(kind, n_channels, size.n_scales)
                n = sum(p.numel() for p in net.build((64, 64), 1, 0, torch.device("cpu")).parameters())
                assert 0.95 * factor <= n / size.sides[kind] ** 2 <= 1.4 * factor
