import json

import torch

from napari_convgen.reproduction.studies import figure11 as module
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


def test_figure_11_counts_the_steps_of_both_targets(monkeypatch):
    monkeypatch.setattr(module, "SMALL", (64, 64))
    monkeypatch.setattr(module, "N_FIT_STEPS", 400)
    findings = module.Figure11(SETTING).findings()
    steps = findings.numbers["steps"]
    curves = {curve.label: curve for curve in findings.panels[1].curves}
    for name in ("step", "noise"):
        first = steps[name]["0.5"]
        assert first is None or (curves[name].y[first - 1] < 0.5 <= curves[name].y[: first - 1].min(initial=1))
    assert steps["step"]["0.5"] < 10
    assert steps["noise"]["0.1"] is None
    assert "more than 400 steps for noise" in findings.claims[1].ours
    json.dumps(findings.numbers)
