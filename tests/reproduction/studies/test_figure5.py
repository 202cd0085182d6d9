import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction import least_squares
from napari_convgen.reproduction.studies.figure5 import Figure5
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


def test_figure_5_falls_and_rises_and_is_the_closed_form():
    findings = Figure5(SETTING).findings()
    assert all(claim.agrees for claim in findings.claims)
    numbers = findings.numbers
    assert all(0.15 < error < 0.35 for error in numbers["least_errors"])
    assert all(0.5 < error < 0.8 for error in numbers["final_errors"])
    assert all(10 <= step <= 18 for step in numbers["best_steps"])
    assert 0 < numbers["gap"] < 1e-12
    residual, error = findings.panels[1].curves
    assert (np.diff(residual.y) < 0).all()
    assert error.y[numbers["best_steps"][0] - 1] == pytest.approx(numbers["least_errors"][0])
    json.dumps(numbers)


def test_another_step_size_in_the_closed_form_is_found_out(monkeypatch):
    exact = least_squares.least_squares
    monkeypatch.setattr(least_squares, "least_squares", lambda matrix, rate: exact(matrix, 1.001 * rate))
    assert not Figure5(SETTING).findings().claims[1].agrees
