import json

import pytest
import torch

from napari_convgen.core.theory.kernels import step_size
from napari_convgen.reproduction.studies import theorem2 as module
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


def test_theorem_2_predicts_the_error_of_a_wide_net(monkeypatch):
    monkeypatch.setattr(module, "N_DRAWS", 1)
    monkeypatch.setattr(module, "QUICK_WIDTHS", (60, 1200))
    monkeypatch.setattr(module, "EVALUATED_WIDTH", 1200)
    findings = module.Theorem2(SETTING).findings()
    least, stopped, _, closer, residual = findings.claims
    assert [claim.agrees for claim in (stopped, closer, residual)] == [True] * 3
    row = findings.numbers["rows"][-1]
    assert row["best_error"] == pytest.approx(row["predicted_error"], rel=0.06)
    assert row["best_step"] == pytest.approx(row["predicted_step"], abs=2)
    assert row["predicted_error"] == pytest.approx(0.0860, abs=1e-4)
    assert "1,200 channels" in least.ours
    json.dumps(findings.numbers)


def test_another_step_size_is_not_predicted(monkeypatch):
    monkeypatch.setattr(module, "N_DRAWS", 1)
    monkeypatch.setattr(module, "QUICK_WIDTHS", (600,))
    monkeypatch.setattr(module, "EVALUATED_WIDTH", 600)
    exact = module.induced_filter
    monkeypatch.setattr(module, "induced_filter", lambda kernel: exact(kernel, step_size(kernel) * 2))
    monkeypatch.setattr(module, "descend", lambda g, y, rate, n, descend=module.descend: descend(g, y, rate / 2, n))
    assert not module.Theorem2(SETTING).findings().claims[1].agrees
