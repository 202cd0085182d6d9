import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction import load_study
from napari_convgen.reproduction.studies import figure7
from napari_convgen.reproduction.studies.figure7 import LOW_PASS_RANKS, N_SINGLE, N, _fit_step, _look
from napari_convgen.reproduction.studies.figure7 import _step_decoder as step_decoder
from napari_convgen.reproduction.study import Setting

QUICK = Setting(False, torch.device("cpu"))


def test_a_row_is_an_output_s_gradient_and_the_slip_is_that_of_gradients_never_cleared(monkeypatch):
    monkeypatch.setattr(figure7, "_look", lambda rows: rows)
    rows, accumulated = figure7._look_at_start(0).values()
    net = step_decoder(torch.Generator().manual_seed(0)).double()
    total = torch.zeros(rows.shape[1], dtype=torch.float64)
    for i in range(4):
        net().flatten()[i].backward()  # as in the authors' code
        gradient = torch.cat([p.grad.flatten() for p in net.decoder.convolutions])
        torch.testing.assert_close(accumulated[i], gradient)
        torch.testing.assert_close(rows[i], gradient - total)
        total = gradient


def test_of_trigonometric_vectors_all_energy_is_at_one_low_frequency():
    frequencies = torch.arange(1, 101, dtype=torch.float64)
    phase = 2 * torch.pi * torch.outer(frequencies, torch.arange(N, dtype=torch.float64)) / N
    basis = torch.stack((phase.cos(), phase.sin()), 1).flatten(0, 1).T * (2 / N) ** 0.5
    look = _look(basis * 0.98 ** torch.arange(200, dtype=torch.float64))
    assert look["singular_values"][:200] == pytest.approx(0.98 ** np.arange(200))
    assert look["low_pass"] == pytest.approx([1.0] * len(LOW_PASS_RANKS))
    assert look["purity"] == pytest.approx([1.0] * N_SINGLE)


def test_of_single_samples_energy_is_spread():
    look = _look(torch.diag(0.9 ** torch.arange(N, dtype=torch.float64)))
    assert look["low_pass"] == pytest.approx([p / N for p in LOW_PASS_RANKS])
    assert look["purity"] == pytest.approx([2 / N] * N_SINGLE)


def look(value, purity):
    vectors = [[0.0] * N] * len(figure7.SHOWN_VECTORS)
    values = [value / (i + 1) ** 2 for i in range(N)]
    return {"singular_values": values, "low_pass": [0.8] * 5, "purity": [purity] * N_SINGLE, "vectors": vectors}


@pytest.mark.parametrize(("purity", "is_trigonometric"), [(0.9, True), (0.2, False)])
def test_figure_7_evaluates_what_it_sees(monkeypatch, purity, is_trigonometric):
    monkeypatch.setattr(
        figure7, "_look_at_start", lambda seed: {"step 1": look(400, purity), "accumulated": look(26e3, 0.9)}
    )
    fit = {
        "loss": [0.0267] * 3400 + [0.0026] * 100,
        "error": [0.1] * 44 + [0.0095] + [0.1] * 3455,
        "measurement": [0.0] * N,
        "output": [0.0] * N,
        "looks": {"step 50": look(60, 0.2), "step 3500": look(60, 0.2)},
    }
    monkeypatch.setattr(figure7, "_fit_step", lambda seed: fit)
    findings = load_study("fig7")(QUICK)
    assert [claim.agrees for claim in findings.claims] == [is_trigonometric, True, True, True, True, True]
    assert "26000 to 26000" in findings.claims[4].ours
    json.dumps(findings.numbers, allow_nan=False)
    assert len(findings.panels) == 8


def test_a_fit_goes_down_and_looks_after_the_first_step(monkeypatch):
    monkeypatch.setattr(figure7, "MOMENTS", (1, 10, 20))
    monkeypatch.setattr(figure7, "_look", lambda rows: rows.shape)
    fit = _fit_step(0)
    assert fit["loss"][-1] < 0.1 * fit["loss"][0]
    assert len(fit["error"]) == 20
    assert list(fit["looks"]) == ["step 10", "step 20"]
    assert fit["looks"]["step 10"] == (N, 4 * 64**2)
