"""Images after a median filter, as ImageJ's Despeckle: what is left of the noise is spots, which look like structure."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.image.looks.planes import blocks_of, middle_plane

SIDE, LEAST_BLOCKS = 16, 9
"""Side of the blocks, in pixels, in which neighbors of the same value are counted, and least number of blocks. Our choice, no benchmark."""

NOISY = 3.0
"""Least median difference of neighbors, in steps between the values that the image has, in a block that is looked at: with less, many are
the same by chance. Our choice, no benchmark."""

LEAST_NOISY = 0.4
"""Least share of such blocks."""

LEAST_EQUAL, MOST_EQUAL = 0.075, 0.25
"""Least share of neighbors that have the same value in four of five blocks, beyond those by chance, and largest share in half of them. A
median filter leaves 0.11 to 0.21; no other image of benchmarks/notes.py has enough."""

MOST_UNEVEN = 0.12
"""Largest standard deviation of that share over the lines: pixels that were repeated, as in enlarged images, are in some lines alone."""

NOTE = (
    "Many neighbors have exactly the same value, as after a median filter (ImageJ: Despeckle). What it leaves of the noise are spots, "
    "which cannot be told from structure, so that much is kept. Denoise the image as it was before."
)
"""Advice for such an image."""


def median_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a noisy frame after a median filter; empty for others. Arguments are those of `notes_on_looks`."""
    plane = middle_plane(values, is_observed)
    if plane.size < LEAST_BLOCKS * SIDE**2 or not np.isfinite(plane).any():
        return ""
    different = np.unique(plane[np.isfinite(plane)])
    # Values in order: those between, which a stretched histogram leaves out, are no steps.
    order = np.where(np.isfinite(plane), np.searchsorted(different, plane), np.nan)
    at_ends = (order == 0) | (order == len(different) - 1)
    return NOTE if all(_has_equal_neighbors(*each) for each in ((order, at_ends), (order.T, at_ends.T))) else ""


def _has_equal_neighbors(order: Float[np.ndarray, "h w"], at_ends: Bool[np.ndarray, "h w"]) -> bool:
    """Return True if neighbors along the rows are the same much more often than they differ by one step, all over the image."""
    steps = np.abs(np.diff(order, axis=1))
    steps[at_ends[:, 1:] & (steps == 0)] = np.nan  # values that were cut off
    blocks = blocks_of(steps, SIDE).reshape(-1, SIDE**2)
    if len(blocks) < LEAST_BLOCKS:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of blocks and lines without any value
        is_noisy = np.nanmedian(np.where(blocks > 0, blocks, np.nan), 1) >= NOISY
        uneven = np.nanstd(np.nanmean(np.where(np.isfinite(steps), steps == 0, np.nan), 0))
    is_noisy &= np.isfinite(blocks).mean(1) > 0.5
    if is_noisy.mean() < LEAST_NOISY:
        return False
    equal, by_one = ((blocks[is_noisy] == each).mean(1) for each in (0, 1))
    excess = equal - by_one / 2
    return bool(np.quantile(excess, 0.2) > LEAST_EQUAL and np.median(excess) < MOST_EQUAL and uneven < MOST_UNEVEN)
