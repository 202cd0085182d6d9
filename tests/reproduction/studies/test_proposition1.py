import json

import numpy as np
import pytest
import torch

from napari_convgen.reproduction.studies.proposition1 import Proposition1
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


def test_proposition_1_holds():
    findings = Proposition1(SETTING).findings()
    assert all(claim.agrees for claim in findings.claims)
    for row in findings.numbers["rows"]:
        assert row["error"] <= row["unfitted"] + row["fitted_noise"]
        assert row["fitted_noise_bound"] == pytest.approx(np.sqrt(2 * row["p"] / 100))
    json.dumps(findings.numbers)
