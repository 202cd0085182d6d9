"""Offsets between halves or quadrants of a camera, which reads them with amplifiers of their own."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.image.looks.planes import middle_plane
from napari_convgen.core.noise.estimation.impulses import MAD_TO_SIGMA

LEAST_SIDE = 64
"""Least number of pixels across a border and along it. Our choice, no benchmark."""

REACH = 6
"""Number of lines on either side whose means are compared; the slope of those before and behind is taken off. Our choice, no benchmark."""

SIGNIFICANCE, MOST_ELSEWHERE = 5.0, 1.3
"""Least step across the middle, in standard deviations of the steps at all other lines, and relative to the largest of these. Chosen with
benchmarks/noise.py, so that no image is wrongly taken for one with an offset."""

N_PARTS, MOST_SPREAD = 16, 0.7
"""Number of parts of the border, and the largest standard deviation of the steps across them, relative to their mean, within a half."""


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
    """Return True if the values step up or down, evenly, at the border in the middle and nowhere else as much."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of parts without any value
        means = np.stack([np.nanmean(part, 1) for part in np.array_split(lines, N_PARTS, axis=1)], 1)
    if not np.isfinite(means).all():
        return False
    sums = np.concatenate([np.zeros((1, N_PARTS)), np.cumsum(means, 0)])
    blocks = (sums[REACH:] - sums[:-REACH]) / REACH
    slopes = blocks[REACH:] - blocks[:-REACH]
    steps = slopes[REACH:-REACH] - (slopes[: -2 * REACH] + slopes[2 * REACH :]) / 2
    middle = len(lines) // 2 - 2 * REACH
    for half in np.split(steps, 2, axis=1):
        usual = np.median(half, 1)
        noise = MAD_TO_SIGMA * float(np.median(np.abs(usual)))
        step = abs(float(usual[middle]))
        spread = MAD_TO_SIGMA * float(np.median(np.abs(half[middle] - usual[middle])))
        elsewhere = np.delete(np.abs(usual), np.arange(middle - 2 * REACH, middle + 2 * REACH + 1))
        if step > max(SIGNIFICANCE * noise, MOST_ELSEWHERE * elsewhere.max()) and spread < MOST_SPREAD * step:
            return step >= float(np.abs(usual[middle - REACH // 2 : middle + REACH // 2 + 1]).max())
    return False
