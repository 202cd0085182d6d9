import dataclasses
import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction import methods
from napari_convgen.reproduction.images import photographs, with_noise
from napari_convgen.reproduction.methods import DIP, NARROW, WIDE
from napari_convgen.reproduction.nets import Trace
from napari_convgen.reproduction.report import record
from napari_convgen.reproduction.studies.figure2 import Figure2
from napari_convgen.reproduction.studies.table1 import Table1
from napari_convgen.reproduction.study import Setting

QUICK, FULL = (Setting(is_full, torch.device("cpu")) for is_full in (False, True))


def fake_fits(psnr):
    class Fits:
        def __init__(self, setting, n):
            self.n, self.n_done = n, 0

        def __call__(self, what, net, target, optimizer, n_steps, *, clean, **options):
            self.n_done += 1
            assert self.n_done <= self.n
            value = next(psnr[method] for method in psnr if what.startswith(method + ","))
            return Trace([n_steps], [0], [0], [], None, clean, clean, 10 ** (-value / 10))

    return Fits


def without_bm3d(monkeypatch, psnr):
    monkeypatch.setattr(methods, "Fits", fake_fits(psnr))
    monkeypatch.setattr(methods, "has_bm3d", lambda: False)


@pytest.mark.parametrize("study", [Figure2, Table1])
def test_the_order_of_the_paper_agrees_and_another_does_not(monkeypatch, study):
    without_bm3d(monkeypatch, {DIP: 25.0, NARROW: 27.0, WIDE: 28.0})
    findings = study(QUICK).findings()
    assert [claim.agrees for claim in findings.claims] == [True] * 3
    assert any("not installed" in note for note in findings.notes)
    without_bm3d(monkeypatch, {DIP: 29.0, NARROW: 27.0, WIDE: 26.0})
    assert [claim.agrees for claim in study(QUICK).findings().claims] == [False] * 3


def test_only_the_papers_size_and_images_of_a_folder_are_compared_with_the_published_numbers(monkeypatch, tmp_path):
    without_bm3d(monkeypatch, {DIP: 26.0, NARROW: 27.4, WIDE: 28.0})
    monkeypatch.setattr(methods, "photographs", lambda *args: photographs(QUICK, 64, 1))
    assert len(Table1(FULL).findings().claims) == 3
    folder = dataclasses.replace(FULL, images=tmp_path)
    claims = {claim.paper.partition(":")[0]: claim.agrees for claim in Table1(folder).findings().claims[3:]}
    assert {method: claims[method] for method in (DIP, NARROW, WIDE)} == {DIP: True, NARROW: False, WIDE: True}


def test_means_are_over_the_images(monkeypatch):
    monkeypatch.setattr(methods, "has_bm3d", lambda: False)
    values = iter(np.arange(30.0))

    class Fits(fake_fits({})):
        def __call__(self, what, net, target, optimizer, n_steps, *, clean, **options):
            return Trace([1], [0], [0], [], None, clean, clean, 10 ** (-next(values) / 10))

    monkeypatch.setattr(methods, "Fits", Fits)
    numbers = Table1(QUICK).findings().numbers["noise the same in all channels"]
    assert numbers["mean"][DIP] == pytest.approx(np.mean([0, 3, 6, 9]))
    assert len(numbers["images"]) == 4


def test_bm3d_as_the_paper_had_it_fails_on_shared_noise():
    pytest.importorskip("bm3d")
    clean = photographs(QUICK, 64, 2)[1][1][:, :40, :40]
    noisy = with_noise(clean, 25, np.random.default_rng(0), is_shared=True)
    papers, own = (
        np.mean((denoise(noisy, 25 / 255) - clean) ** 2) for denoise in (methods.papers_bm3d, methods.own_bm3d)
    )
    assert own < 0.8 * papers < 0.8 * np.mean((noisy - clean) ** 2)


@pytest.mark.parametrize(("left", "agrees"), [(0.8, [True, True]), (0.1, [True, False])])
def test_the_decoder_is_compared_with_both_kinds_of_bm3d(monkeypatch, left, agrees):
    without_bm3d(monkeypatch, {DIP: 20.0, NARROW: 21.0, WIDE: 25.0})
    monkeypatch.setattr(methods, "has_bm3d", lambda: True)
    cleans = {}

    def note_clean(image, *args, **options):
        noisy = with_noise(image, *args, **options)
        cleans[noisy.tobytes()] = image
        return noisy

    def leaving(share):
        """A method that leaves that share of the noise: at 20.9 dB, 0.8 makes 22.8 dB and 0.1 makes 40.9 dB."""
        return lambda noisy, level: (1 - share) * cleans[noisy.tobytes()] + share * noisy

    monkeypatch.setattr(methods, "with_noise", note_clean)
    monkeypatch.setattr(methods, "papers_bm3d", leaving(0.8))
    monkeypatch.setattr(methods, "own_bm3d", leaving(left))
    findings = Table1(QUICK).findings()
    assert json.dumps(record("table1", findings, is_full=True, seconds=1, device="cpu", version="1"))
    claims = findings.claims
    assert [claim.agrees for claim in claims[3:5]] == agrees
    assert len(claims) == 6


def test_the_nets_of_the_full_size_have_the_papers_parameters():
    counts = {
        method: sum(p.numel() for p in net.build((64, 64), 3, 0, torch.device("cpu")).parameters())
        for method, (net, _) in methods.full_nets("norm-relu", (1800, 3000, 1500)).items()
    }
    assert counts == {DIP: 2_215_251, NARROW: 100_224, WIDE: 1_580_544}


def test_figure_2_takes_the_astronaut_whatever_the_folder(monkeypatch, tmp_path):
    without_bm3d(monkeypatch, {DIP: 25.0, NARROW: 27.0, WIDE: 28.0})
    findings = Figure2(dataclasses.replace(QUICK, images=tmp_path)).findings()
    assert list(findings.numbers["noise independent"]["images"]) == ["astronaut"]


def test_the_noisy_image_is_scored_as_it_is(monkeypatch):
    without_bm3d(monkeypatch, {DIP: 25.0, NARROW: 27.0, WIDE: 28.0})
    [(_, clean)] = photographs(QUICK, 128, 1)
    noisy = with_noise(clean, 30, np.random.default_rng(0), is_shared=False)
    expected = -10 * np.log10(np.mean((noisy - clean) ** 2))
    assert Figure2(QUICK).findings().numbers["noise independent"]["mean"]["noisy"] == pytest.approx(expected)
