import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction.studies import phase
from napari_convgen.reproduction.studies.phase import Measured, PhaseDecoder
from napari_convgen.reproduction.study import Setting
from napari_convgen.samples import CELLS_ABERRATIONS

SETTING = Setting(is_full=False, device=torch.device("cpu"))


def test_a_phase_and_aberrations_are_found_at_a_small_size(monkeypatch):
    monkeypatch.setattr(phase, "QUICK", (32, 12, 60, 1))
    study = PhaseDecoder(SETTING)
    measured = study.measure()
    assert measured.truth.mean() == pytest.approx(0, abs=1e-12)
    assert measured.in_focus.mean() == pytest.approx(1, rel=1e-6)
    assert measured.calibrated.shape == measured.ignored.shape == (32, 32)
    assert measured.aberrations.shape == (len(CELLS_ABERRATIONS),)
    assert measured.aberration_error < np.linalg.norm(CELLS_ABERRATIONS)
    assert measured.error(measured.calibrated) < measured.error(measured.ignored)
    titles = [panel.title for panel in study.panels(measured)]
    assert titles == ["image in focus", "phase", "aberrations found", "aberrations ignored", "Aberrations"]
    json.dumps(study.numbers(measured))


@pytest.mark.parametrize(
    ("error", "calibrated", "ignored", "agree"),
    [(0.1, 0.1, 0.3, [True, True]), (0.4, 0.1, 0.3, [False, True]), (0.1, 0.3, 0.1, [True, False])],
)
def test_claims_are_about_the_aberrations_and_the_phases(error, calibrated, ignored, agree):
    truth = np.zeros((4, 4))
    off = np.where(np.indices((4, 4)).sum(0) % 2, 1.0, -1.0)  # a root mean square of 1 and a mean of 0
    found = np.array(CELLS_ABERRATIONS)
    found[0] += error
    measured = Measured(truth, calibrated * off + 5.0, ignored * off, found, truth)
    study = PhaseDecoder(SETTING)
    assert [claim.agrees for claim in study.claims(measured)] == agree
    numbers = study.numbers(measured)
    assert numbers["aberration_error"] == pytest.approx(error)
    assert numbers["phase_error"] == pytest.approx(calibrated)
