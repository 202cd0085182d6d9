"""Random entries of a measurement to leave out of a fit: single ones, groups that are measured together, or squares."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from napari_convgen.core.operators.forward_model import NEVER_HELD_OUT
from napari_convgen.errors import InputError

MIDDLE_SIDE = 3
"""Side in pixels of the middle of a square, which is watched."""

MIN_SQUARE = 5
"""Side in pixels of the smallest square whose middle does not touch its border."""


def square_size(correlation_length: int) -> int:
    """Return the side in pixels of the squares whose middle the noise around hardly reaches; 1 for white noise."""
    return 1 if correlation_length == 1 else max(MIN_SQUARE, 2 * correlation_length - 1)


def draw_entries(
    observed: Bool[Tensor, "n"], fraction: float, n_sets: int, rng: torch.Generator
) -> list[Bool[Tensor, "n"]]:
    """Draw sets of single entries, each with one entry at least but not all; disjoint ones unless there are fewer entries than sets.

    Parameters
    ----------
    observed
        True at entries that can be drawn.
    fraction
        Share of the entries in each set, between 0 and 1.
    n_sets
        Number of sets.
    rng
        Source of chance on the CPU.
    """
    places = observed.nonzero().squeeze(1)
    places = places[torch.randperm(len(places), generator=rng)]
    n = max(1, min(round(fraction * len(places)), len(places) // n_sets, len(places) - 1))
    sets = []
    for i in range(n_sets):
        drawn = torch.zeros_like(observed)
        drawn[places[torch.arange(i * n, (i + 1) * n) % len(places)]] = True
        sets.append(drawn)
    return sets


def draw_groups(
    observed: Bool[Tensor, "n"], groups: Int[Tensor, "n"], fraction: float, n_sets: int, rng: torch.Generator
) -> list[Bool[Tensor, "n"]]:
    """Draw disjoint sets of whole groups of entries, each with one group at least but not all.

    Parameters
    ----------
    observed, fraction, n_sets, rng
        As for `draw_entries`; the share is that of the groups.
    groups
        Group number of each entry; entries of the group `NEVER_HELD_OUT` are in no set.

    Raises
    ------
    InputError
        There is no group to draw.
    """
    numbers = groups[observed & (groups != NEVER_HELD_OUT)].unique()
    if not len(numbers):
        raise InputError(
            "No group of the measurement is left to hold out: all are needed for calibration. Measure more, or choose a stopping rule "
            "that holds nothing out, such as 'fixed'."
        )
    drawn = draw_entries(torch.ones_like(numbers, dtype=torch.bool), fraction, n_sets, rng)
    return [torch.isin(groups, numbers[chosen]) & observed for chosen in drawn]


def draw_squares(
    shape: Sequence[int], size: int, fraction: float, n_sets: int, rng: torch.Generator
) -> tuple[list[Bool[Tensor, "n"]], list[Bool[Tensor, "n"]]]:
    """Draw disjoint sets of squares of a shifted grid.

    Parameters
    ----------
    shape
        Number of pixels along each axis.
    size
        Side of the squares in pixels (cubes in a volume).
    fraction, n_sets, rng
        As for `draw_entries`; the share is that of the squares.

    Returns
    -------
    tuple
        The pixels in the squares of each set, and those in the middle of the squares, `MIDDLE_SIDE` pixels of each axis.
    """
    lot = torch.rand([n // size + 2 for n in shape], generator=rng, dtype=torch.float64)
    middle = torch.ones([], dtype=torch.bool)
    for axis, n in enumerate(shape):
        shift = int(torch.randint(size, (), generator=rng))
        position = torch.arange(n) + shift
        lot = lot.index_select(axis, position // size)
        middle = middle[..., None] & ((position % size - (size - 1) / 2).abs() <= MIDDLE_SIDE // 2)
    left_out = [((lot >= i * fraction) & (lot < (i + 1) * fraction)).flatten() for i in range(n_sets)]
    return left_out, [out & middle.flatten() for out in left_out]
