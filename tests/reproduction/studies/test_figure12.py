import json

import pytest
import torch

from napari_convgen.reproduction import load_study
from napari_convgen.reproduction.studies import figure12
from napari_convgen.reproduction.studies.figure12 import SIGNALS
from napari_convgen.reproduction.study import Setting

QUICK = Setting(False, torch.device("cpu"))


def test_figure_12_measures_the_gradient_of_the_convolutions(monkeypatch):
    monkeypatch.setattr(figure12, "SIDE", 32)
    lengths = figure12._lengths("decoder", "uniform", 3, torch.device("cpu"))
    rng = torch.Generator().manual_seed(3)
    net = figure12._net("decoder", "uniform", rng)
    image = torch.from_numpy(figure12.resize(figure12.shepp_logan_phantom(), (32, 32), anti_aliasing=True)).float()
    noise = torch.rand((1, 32, 32), generator=rng)
    for name, signal in zip(SIGNALS, (image, noise, image - image.mean(), noise - noise.mean()), strict=True):
        net.zero_grad()
        net().backward((signal / signal.norm() * 85.78).view(1, 1, 32, 32))
        gradients = [p.grad.norm() for p in (*net.convolutions, net.output_convolution)]
        assert lengths[name] == pytest.approx(float(torch.stack(gradients).norm()), rel=1e-4)


def test_figure_12_has_nets_with_the_scales_of_then(monkeypatch):
    monkeypatch.setattr(figure12, "SIDE", 32)
    for kind in figure12.KINDS:
        for init in figure12.NORM_INITS:
            net = figure12._net(kind, init, torch.Generator().manual_seed(0))
            scales = torch.cat([p.flatten() for name, p in net.named_parameters() if "scale" in name]).detach()
            assert float(scales.std()) == pytest.approx(0 if init == "ones" else 12**-0.5, abs=0.02)


@pytest.mark.parametrize(("skip_removed", "is_told_apart"), [(1200, True), (500, False)])
def test_figure_12_evaluates_the_ratios(monkeypatch, skip_removed, is_told_apart):
    told = {"decoder": (8600, 580, 9000, 900), "skip network": (53000, 15000, 6000, skip_removed)}
    monkeypatch.setattr(
        figure12, "_lengths", lambda kind, init, seed, device: dict(zip(SIGNALS, map(float, told[kind]), strict=True))
    )
    findings = load_study("fig12")(QUICK)
    assert [claim.agrees for claim in findings.claims] == [True, True, is_told_apart]
    json.dumps(findings.numbers, allow_nan=False)
