"""Offsets between halves or quadrants of a camera, which reads them with amplifiers of their own."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.image.looks.planes import middle_plane
from napari_convgen.core.noise.estimation.impulses import MAD_TO_SIGMA

LEAST_SIDE = 64
"""Least number of pixels across a border and along it. Our choice, no benchmark."""

REACH = 2
"""Number of lines on either side whose means are compared; the slope of those before and behind is taken off. Our choice: few,
so that the scene changes little across them."""

SIGNIFICANCE, MOST_ELSEWHERE = 5.0, 1.3
"""Least step across the middle, in standard deviations of the steps at all other lines, and relative to the largest of these. Chosen with
benchmarks/notes.py, so that hardly an image is wrongly taken for one with an offset."""

SPREAD_ERROR = 1.16
"""Relative standard error of the median absolute deviation of n normal values, times the root of n: its efficiency is 37 %."""

N_ERRORS = 3.0
"""Number of standard errors by which the steps of single columns may differ more from each other than is usual at other lines: an offset
adds nothing to these differences, an edge of the scene does. Our choice, checked with benchmarks/notes.py."""


def quadrants_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a frame whose halves or quadrants differ by a constant; empty for others.

    Arguments are those of `notes_on_looks`.
    """
    plane = middle_plane(values, is_observed)
    if min(plane.shape) < LEAST_SIDE:
        return ""
    borders = [name for name, lines in (("upper and lower", plane), ("left and right", plane.T)) if _has_step(lines)]
    if not borders:
        return ""
    return (
        f"There is a step exactly in the middle, between {' and between '.join(f'the {each} half' for each in borders)}, as amplifiers of "
        "a camera leave it. It is kept as it is: correct the image with a dark frame and a flat field first."
    )


def _has_step(lines: Float[np.ndarray, "h w"]) -> bool:
    """Return True if the values step up or down, evenly, at the border in the middle and nowhere else as much.

    The offset is that of all columns, or, of a quadrant, that of the first or of the last half of them.
    """
    blocks = np.mean([lines[i : len(lines) - REACH + 1 + i] for i in range(REACH)], 0)
    slopes = blocks[REACH:] - blocks[:-REACH]
    steps = slopes[REACH:-REACH] - (slopes[: -2 * REACH] + slopes[2 * REACH :]) / 2
    middle, n_columns = len(lines) // 2 - 2 * REACH, lines.shape[1]
    parts = steps, steps[:, : n_columns // 2], steps[:, n_columns // 2 :]
    return any(_stands_out(part, middle) for part in parts)


def _stands_out(steps: Float[np.ndarray, "line column"], middle: int) -> bool:
    """Return True if the step at one line is larger than those at all others, and about the same in all columns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of lines without any value
        usual = np.nanmedian(steps, 1)
        spread = np.nanmedian(np.abs(steps - usual[:, None]), 1)
    heights = np.abs(usual)
    elsewhere = np.delete(heights, np.arange(middle - 2 * REACH, middle + 2 * REACH + 1))
    if np.isnan(heights[middle]) or np.isnan(elsewhere).all():
        return False
    least = max(
        SIGNIFICANCE * MAD_TO_SIGMA * float(np.nanmedian(heights)), MOST_ELSEWHERE * float(np.nanmax(elsewhere))
    )
    is_even = spread[middle] <= (1 + N_ERRORS * SPREAD_ERROR / np.sqrt(steps.shape[1])) * np.nanmedian(spread)
    is_peak = heights[middle] >= np.nanmax(heights[middle - REACH : middle + REACH + 1])
    return bool(heights[middle] > least and is_even and is_peak)
