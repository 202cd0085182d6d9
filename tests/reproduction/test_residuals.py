import json

import pytest
import torch

from napari_convgen.reproduction import residuals as module
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(module, "QUICK_WIDTHS", (64, 512))
    monkeypatch.setattr(module, "N_STEPS", 40)


def test_theorem_4_is_exact_for_linear_models():
    findings = module.theorem4(SETTING)
    assert all(claim.agrees for claim in findings.claims)
    for row in findings.numbers["rows"]:
        assert 0 < row["residual_gap"] < 1e-12
        assert 0 < row["distance_gap"] < 1e-12
        assert row["residual_gap_infinite"] > 1e-5
    json.dumps(findings.numbers)


def test_theorem_4_finds_another_step_size_out(monkeypatch):
    exact = module.residual_norms
    monkeypatch.setattr(module, "residual_norms", lambda w, rate, r, steps: exact(w, 1.001 * rate, r, steps))
    assert not module.theorem4(SETTING).claims[0].agrees


def test_theorem_5_comes_closer_with_the_width_and_keeps_its_bounds():
    findings = module.theorem5(SETTING)
    *_, bounds = findings.claims
    assert bounds.agrees
    rows = findings.numbers["rows"]
    for narrow, wide in (rows[:2], rows[2:]):
        assert wide["residual_gap"] < narrow["residual_gap"]
        assert wide["jacobian_change"] < narrow["jacobian_change"] < 1
        assert wide["relative_distance"] == pytest.approx(narrow["relative_distance"] / 8**0.5, rel=0.25)
    json.dumps(findings.numbers)


def test_the_linear_models_way_is_made_of_its_gradients():
    kernel = module.normalized(module.triangular((module.N,), module.HALF_WIDTH))
    signal, noise = module.signal_and_noise(module.N, 5, 0.5, 0)
    start = module._start(kernel, signal + noise, 16)
    rate, coefficients = module.step_size(kernel), start.vectors.T @ start.residual
    jacobian = module.module_jacobian(start.generator)
    first, moved = torch.from_numpy(start.residual), torch.zeros(jacobian.in_shape, dtype=torch.float64)
    for _ in range(7):
        residual = first + jacobian.apply(moved).flatten()
        moved = moved - rate * jacobian.adjoint(residual.view(jacobian.out_shape))
    operator = module._operator(kernel)
    decay = (1 - rate * start.weights) ** 7
    way = module._linear_way(kernel, start, module._signs(operator, start.generator), decay, coefficients)
    torch.testing.assert_close(torch.from_numpy(way).flatten(), moved)
