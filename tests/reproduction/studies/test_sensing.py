import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_convgen.reproduction.studies import sensing
from napari_convgen.reproduction.studies.sensing import SHARES, CompressiveSensing, Measured
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


def test_an_image_is_made_of_its_sums_at_a_small_size(monkeypatch):
    monkeypatch.setattr(sensing, "QUICK", (24, 12, 2, 40))
    findings = CompressiveSensing(SETTING).findings()
    errors = findings.numbers["errors"]
    assert len(errors) == len(SHARES)
    assert errors[-1] < 0.4
    assert [panel.title for panel in findings.panels] == ["image", "10 %", "20 %", "33 %", "Fits"]
    json.dumps(findings.numbers)


@pytest.mark.parametrize(("errors", "agree"), [((0.3, 0.2, 0.1), [True, True]), ((0.1, 0.2, 0.3), [False, False])])
def test_claims_are_about_the_errors(errors, agree):
    truth = np.ones((4, 4))
    losses = [np.ones(3)] * 3
    measured = Measured(truth, [truth * (1 + error) for error in errors], losses, 4)
    study = CompressiveSensing(SETTING)
    assert [claim.agrees for claim in study.claims(measured)] == agree
    assert replace(measured, side=8).errors == pytest.approx(errors)
