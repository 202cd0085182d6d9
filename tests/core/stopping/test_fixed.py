import math

import torch

from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping import FixedStep, Iterate


def test_a_fixed_step_fits_every_observed_pixel_with_every_member_and_keeps_the_last_step():
    y = torch.rand((1, 8, 9), dtype=torch.float64)
    problem, rule = Problem(y, (y > 0.2).to(y)), FixedStep()
    members = rule.members(problem, 2, torch.Generator())
    rule.begin(problem, members)
    assert all(torch.equal(weights, problem.weights) for weights in members.weights)
    assert all(torch.equal(measurement, y) for measurement in members.measurements)
    assert (members.starts, members.is_kept) == ((0, 1), (True, True))
    assert math.isnan(rule.observe(Iterate(1, torch.tensor(0.0), y[None], y[None], True)))
    judgment = rule.judge([1, 2, 7])
    assert (judgment.step, judgment.reason) == (7, None)
