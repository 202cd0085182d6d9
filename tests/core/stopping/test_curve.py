import math

import pytest
import torch

from napari_convgen.core.stopping.curve import Curve


def curve_of(values):
    curve = Curve()
    for step, value in enumerate(values, 1):
        curve.add(step, torch.tensor(float(value)))
    return curve


def test_values_are_averaged_over_nine_steps_and_over_fewer_at_the_ends():
    curve = curve_of(range(1, 21))
    assert curve.smoothed(10) == pytest.approx(10)
    assert curve.smoothed(1) == pytest.approx(3)
    assert curve.smoothed(20) == pytest.approx(18)


def test_steps_without_a_value_do_not_count():
    assert curve_of([math.nan, 2, math.nan, 4]).smoothed(1) == pytest.approx(3)
    assert curve_of([math.nan]).smoothed(1) == math.inf


def test_the_least_is_taken_among_the_steps_given():
    curve = curve_of([(step - 30) ** 2 for step in range(1, 61)])
    assert curve.least([10, 28, 40]) == 28


def test_steps_that_come_again_replace_those_that_were():
    curve = curve_of([5.0] * 30)
    curve.smoothed(30)
    for step in range(11, 13):
        curve.add(step, torch.tensor(1.0))
    assert curve.smoothed(12) == pytest.approx((5 * 3 + 2) / 5)
