"""Lines of k-space are held out as a whole, and those for calibration never."""

import pytest
import torch

from napari_convgen.core.operators.forward_model import NEVER_HELD_OUT
from napari_convgen.core.operators.fourier import calibration_width, fourier
from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping import HeldOut
from napari_convgen.core.stopping.entries import draw_groups
from napari_convgen.errors import InputError

SIZE = (6, 16)
MAPS = torch.ones((2, *SIZE), dtype=torch.complex64)


def sampled_lines(*columns):
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[:, list(columns)] = True
    return mask


MASK = sampled_lines(0, 3, 6, 7, 8, 9, 12, 15)


def test_the_calibration_region_is_found():
    assert calibration_width(MASK, readout_axis=0) == 4
    assert calibration_width(sampled_lines(7, 8, 9), readout_axis=0) == 3
    assert calibration_width(sampled_lines(0, 15), readout_axis=0) == 0
    assert calibration_width(torch.ones(SIZE, dtype=torch.bool), readout_axis=0) == 16
    square = torch.zeros(9, 8, dtype=torch.bool)
    square[3:6, 3:6] = True
    assert calibration_width(square) == 3


def test_lines_are_held_out_together_and_the_calibration_never():
    operator = fourier(MAPS, MASK, readout_axis=0, n_calibration=4)
    groups = operator.entry_groups
    assert groups.shape == SIZE
    assert (groups == groups[:1]).all()
    assert set(groups[0, 6:10].tolist()) == {NEVER_HELD_OUT}
    assert len(groups[0].unique()) == 1 + 12
    sets = draw_groups(MASK.flatten(), groups.flatten(), 0.5, 2, torch.Generator().manual_seed(0))
    for drawn in sets:
        drawn = drawn.view(SIZE)
        assert (drawn == drawn[:1]).all()
        assert drawn.any()
        assert not drawn[:, 6:10].any()
        assert not (drawn & ~MASK).any()
    assert torch.equal(sets[0] | sets[1], (MASK & (groups != NEVER_HELD_OUT)).flatten())


def test_the_stop_by_held_out_data_takes_lines_of_k_space():
    operator = fourier(MAPS, MASK, readout_axis=0, n_calibration=4)
    weights = MASK.float().expand(operator.out_shape).contiguous()
    problem = Problem(torch.zeros(operator.out_shape, dtype=torch.complex64), weights, operator=operator)
    rule = HeldOut(0.25, "auto", 0.5, 50, "average")
    members = rule.members(problem, 2, torch.Generator().manual_seed(0))
    for member, watched in zip(members.weights, members.watched, strict=True):
        assert torch.equal(member + watched, weights)
        assert bool(watched[:, :1].expand_as(watched).eq(watched).all())
        assert not watched[..., 6:10].any()


def test_there_must_be_a_group_to_hold_out():
    mask = sampled_lines(7, 8)
    groups = fourier(MAPS, mask, readout_axis=0, n_calibration=2).entry_groups
    with pytest.raises(InputError, match="No group of the measurement is left to hold out"):
        draw_groups(mask.flatten(), groups.flatten(), 0.1, 1, torch.Generator())


def test_single_points_are_groups_without_a_readout_axis():
    groups = fourier(MAPS, MASK, n_calibration=4).entry_groups
    assert groups.shape == SIZE
    assert (groups == NEVER_HELD_OUT).sum() == 16
    assert len(groups.unique()) == 1 + 6 * 16 - 16
