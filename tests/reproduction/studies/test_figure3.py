import json

import numpy as np
import torch

from napari_convgen.reproduction.studies.figure3 import Figure3
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


def test_figure_3_shows_the_functions_that_the_paper_shows():
    findings = Figure3(SETTING).findings()
    assert [claim.agrees for claim in findings.claims] == [True, True]
    j = np.arange(300)
    np.testing.assert_allclose(findings.panels[0].curves[0].y, 300**-0.5)
    for panel, frequency in zip(findings.panels[1:], (1, 5, 20), strict=True):
        np.testing.assert_allclose(
            panel.curves[0].y, np.sqrt(2 / 300) * np.cos(2 * np.pi * frequency * j / 300), atol=1e-12
        )
    json.dumps(findings.numbers)
