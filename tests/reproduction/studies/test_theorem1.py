import json

import pytest
import torch

from napari_convgen.reproduction.studies import theorem1 as module
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


def test_theorem_1_holds_and_its_stop_is_too_early(monkeypatch):
    monkeypatch.setattr(module, "N_DRAWS", 1)
    monkeypatch.setattr(module, "CHECKED_WIDTH", 60)
    findings = module.Theorem1(SETTING).findings()
    holds, says = findings.claims
    assert holds.agrees
    assert not says.agrees
    rows = {(row["kernel"], row["p"]): row for row in findings.numbers["bounds"]}
    assert rows["triangle, p = 30", 11]["stop"] == pytest.approx(3.14, abs=0.01)
    assert rows["triangle, p = 10", 9]["stop"] < 1
    assert all(0.65 < row["signal_term"] < 0.95 for row in rows.values())
    json.dumps(findings.numbers)
