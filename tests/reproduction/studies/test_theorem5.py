import json

import pytest
import torch

from napari_convgen.core.spectra.jacobian import module_jacobian
from napari_convgen.core.theory.kernels import step_size
from napari_convgen.reproduction import linear_model
from napari_convgen.reproduction.studies import theorem5 as module
from napari_convgen.reproduction.study import Setting

SETTING = Setting(is_full=False, device=torch.device("cpu"))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(module, "QUICK_WIDTHS", (64, 512))
    for each in (module, linear_model):
        monkeypatch.setattr(each, "N_STEPS", 40)


def test_theorem_5_comes_closer_with_the_width_and_keeps_its_bounds():
    findings = module.Theorem5(SETTING).findings()
    *_, bounds = findings.claims
    assert bounds.agrees
    rows = findings.numbers["rows"]
    for narrow, wide in (rows[:2], rows[2:]):
        assert wide["residual_gap"] < narrow["residual_gap"]
        assert wide["jacobian_change"] < narrow["jacobian_change"] < 1
        assert wide["relative_distance"] == pytest.approx(narrow["relative_distance"] / 8**0.5, rel=0.25)
    json.dumps(findings.numbers)


def test_the_linear_models_move_is_made_of_its_gradients():
    problem = linear_model.Problem.make()
    start = linear_model.Start.make(problem, 16)
    rate = step_size(problem.kernel)
    jacobian = module_jacobian(start.generator)
    first, moved = torch.from_numpy(start.residual), torch.zeros(jacobian.in_shape, dtype=torch.float64)
    for _ in range(7):
        residual = first + jacobian.apply(moved).flatten()
        moved = moved - rate * jacobian.adjoint(residual.view(jacobian.out_shape))
    derivatives = linear_model.active(linear_model.circulant(problem.kernel), start.generator)
    decay = (1 - rate * start.weights) ** 7
    move = module.linear_move(problem.kernel, start, derivatives, decay)
    torch.testing.assert_close(torch.from_numpy(move).flatten(), moved)
