import json

import pytest
import torch

from napari_convgen.reproduction import linear_model
from napari_convgen.reproduction.studies import theorem4 as module
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(module, "QUICK_WIDTHS", (64, 512))
    for each in (module, linear_model):
        monkeypatch.setattr(each, "N_STEPS", 40)


def test_theorem_4_is_exact_for_linear_models():
    findings = module.Theorem4(SETTING).findings()
    assert all(claim.agrees for claim in findings.claims)
    for row in findings.numbers["rows"]:
        assert 0 < row["residual_gap"] < 1e-12
        assert 0 < row["distance_gap"] < 1e-12
        assert row["residual_gap_infinite"] > 1e-5
    json.dumps(findings.numbers)


def test_theorem_4_finds_another_step_size_out(monkeypatch):
    exact = module.residual_norms
    monkeypatch.setattr(module, "residual_norms", lambda w, rate, r, steps: exact(w, 1.001 * rate, r, steps))
    assert not module.Theorem4(SETTING).findings().claims[0].agrees
