"""Wrapped phase: angles that jump by their whole range where they leave it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

SPAN = 0.95
"""Least span of the angles, in periods."""

TOLERANCE = 0.003
"""Distance, in periods, by which rounding may move an angle out of its range: 0.02 radians, or one of 360 degrees."""

JUMP = 0.8
"""Least difference between neighbors across a jump, in periods: noise takes away from a whole one. Our choice, no benchmark."""

MIN_JUMPS, JUMP_SHARE = 8, 2e-4
"""Least number of jumps, and share of all neighbors: a line of jumps across a frame of 1024 × 1024 pixels has 5 of 10,000."""

PERIODS = (2 * math.pi, 360.0, *(2.0**n for n in (10, 12, 13, 14, 16)))
"""A turn in radians, in degrees, and in the integers that scanners and cameras write. Not in 8 bits: many images of all kinds have their
whole range."""

HALF_TURN = (0.35, 0.65)
"""Differences of neighbors, in periods, of which there are few where a phase is smooth: it jumps by a whole period or hardly at all."""

LEAST_RATIO = 0.1
"""Least number of jumps relative to that of differences of about half a turn. It is above 1 for a smooth phase, and 0.13 for angles that
are noise alone; edges of other images differ by half of the range far more often than by all of it. Our choice, no benchmark."""

MOST_AT_ENDS, LEAST_BETWEEN = 0.02, 0.15
"""Largest share of values at the very ends of the range, and least share in its middle half: dark and bright areas of other images are
at the ends, angles anywhere. Our choice, no benchmark."""

NOTE = (
    "The image looks like a wrapped phase: its values span a whole turn, and neighbors differ by nearly as much. Across these jumps it "
    "cannot be denoised. Denoise the real and the imaginary part as two channels, cos(phase) and sin(phase) of the phase in radians, times "
    "the magnitude if there is one, and take the angle of the result."
)
"""Advice for such an image."""


def phase_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a frame with the range of a phase, and neighbors that differ by nearly all of it; empty for others.

    Arguments are those of `notes_on_looks`. Radians are no integers.
    """
    seen = values[is_observed]
    if dtype.kind == "b" or not seen.size:
        return ""
    low, high = float(seen.min()), float(seen.max())
    for period in _periods(low, high, dtype.kind == "f"):
        turns = (values - low) / period
        if _has_jumps(turns, is_observed) and (period == 2 * math.pi or _is_spread_out(turns[is_observed])):
            return NOTE
    return ""


def _periods(low: float, high: float, is_float: bool) -> Iterator[float]:
    """Yield the periods of angles that are from 0 on, or around 0, and have nearly the whole range."""
    for period in PERIODS if is_float else PERIODS[1:]:
        margin = TOLERANCE * period
        least = 0.0 if low > -margin else -period / 2
        if low > least - margin and high < least + period + margin and high - low > SPAN * period:
            yield period


def _has_jumps(turns: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> bool:
    """Return True if enough neighbors differ by nearly a whole period, and not far more by half of one."""
    seen = np.where(is_observed, turns, np.nan)
    n_jumps = n_half = 0
    for axis in range(1, turns.ndim):
        steps = np.abs(np.diff(seen, axis=axis))
        n_jumps += int((steps > JUMP).sum())
        n_half += int(((steps > HALF_TURN[0]) & (steps < HALF_TURN[1])).sum())
    return n_jumps >= max(MIN_JUMPS, JUMP_SHARE * int(is_observed.sum()), LEAST_RATIO * n_half)


def _is_spread_out(turns: Float[np.ndarray, "n"]) -> bool:
    """Return True if the values are anywhere in their range, as angles are."""
    at_ends = np.mean((turns == 0) | (turns == turns.max()))
    between = np.mean(np.abs(turns - 0.5) < 0.25)
    return bool(at_ends < MOST_AT_ENDS and between > LEAST_BETWEEN)
