import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction import least_squares as module
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


def test_descent_ends_at_the_solution():
    rng = np.random.default_rng(0)
    matrix, y = rng.standard_normal((3, 5)), rng.standard_normal(3)
    rate = 1 / np.linalg.norm(matrix, 2) ** 2
    outputs = list(module.gradient_descent(matrix, y, rate, 2000))
    np.testing.assert_allclose(outputs[0], rate * matrix @ matrix.T @ y)
    np.testing.assert_allclose(outputs[-1], y, atol=1e-9)


def test_figure_5_falls_and_rises_and_is_the_closed_form():
    findings = module.figure5(SETTING)
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
    exact = module.least_squares
    monkeypatch.setattr(module, "least_squares", lambda matrix, rate: exact(matrix, 1.001 * rate))
    assert not module.figure5(SETTING).claims[1].agrees


def test_proposition_1_holds():
    findings = module.proposition1(SETTING)
    assert all(claim.agrees for claim in findings.claims)
    for row in findings.numbers["rows"]:
        assert row["error"] <= row["unfitted"] + row["fitted_noise"]
        assert row["fitted_noise_bound"] == pytest.approx(np.sqrt(2 * row["p"] / 100))
    json.dumps(findings.numbers)
