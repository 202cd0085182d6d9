import json

import numpy as np
import pytest
import torch

from napari_convgen.core.theory.kernels import normalized, triangular
from napari_convgen.reproduction.studies.figure6 import Figure6, notebook_weights
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


def test_figure_6_gives_the_printed_weights_and_names_the_slip():
    findings = Figure6(SETTING).findings()
    printed, definition, shown, wider = findings.claims
    assert [claim.agrees for claim in (printed, definition, shown, wider)] == [True, True, False, True]
    assert "1/6 instead of 1/2" in shown.because
    largest = [kernel["largest_dual"] for kernel in findings.numbers["kernels"].values()]
    assert largest == pytest.approx([0.7071, 2.4233, 4.2058, 1.2199, 1.7173, 3.8343], abs=1e-4)
    first = findings.panels[1].curves[1].y
    assert first[0] == pytest.approx(2.4233, abs=1e-4)
    assert (np.diff(first) <= 0).all()
    json.dumps(findings.numbers)


def test_the_notebooks_weights_of_the_identity_are_a_sixth():
    weights = notebook_weights(normalized(triangular((8,), 1)))
    np.testing.assert_allclose(weights, 1 / 6, rtol=1e-5)
    assert (weights < 1 / 6).all()  # by what is taken off the cosine
