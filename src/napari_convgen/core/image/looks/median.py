"""Images after a median filter, as ImageJ's Despeckle: what is left of the noise is spots, which look like structure."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.image.looks.planes import blocks_of, middle_plane

SIDE, LEAST_BLOCKS = 16, 9
"""Side of the blocks, in pixels, in which neighbors of the same value are counted, and least number of blocks. Our choice, no benchmark."""

NOISY = 2.0
"""Least median difference of neighbors that differ, in steps between the values of a block that is looked at: with less, many are the
same by chance. Poisson counts have as many steps from a mean of about 2 on. Our choice, no benchmark."""

RESOLUTION = 1e5
"""Number of equal parts of the largest difference in a block to which differences are rounded: those of multiples of a fraction, such
as 1/30, differ by rounding, in float32 too."""

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
    at_ends = (plane == np.nanmin(plane)) | (plane == np.nanmax(plane))
    return NOTE if all(_has_equal_neighbors(*each) for each in ((plane, at_ends), (plane.T, at_ends.T))) else ""


def _has_equal_neighbors(plane: Float[np.ndarray, "h w"], at_ends: Bool[np.ndarray, "h w"]) -> bool:
    """Return True if neighbors along the rows are the same much more often than they differ by one step, all over the image."""
    differences = np.diff(plane, axis=1)
    equal = np.where(np.isfinite(differences), differences == 0, np.nan)
    equal[at_ends[:, 1:] & (equal == 1)] = np.nan  # values that were cut off
    blocks = blocks_of(plane, SIDE)
    if len(blocks) < LEAST_BLOCKS:
        return False
    steps = np.abs(np.diff(np.stack([_order(block) for block in blocks]), axis=2))
    steps[blocks_of(at_ends, SIDE)[:, :, 1:] & (steps == 0)] = np.nan
    steps = steps.reshape(len(steps), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of blocks and lines without any value
        is_noisy = np.nanmedian(np.where(steps > 0, steps, np.nan), 1) >= NOISY
        uneven = np.nanstd(np.nanmean(equal, 0))
    is_noisy &= np.isfinite(steps).mean(1) > 0.5
    if is_noisy.mean() < LEAST_NOISY:
        return False
    by_step = np.array([_most_frequent(block) for block in np.abs(np.diff(blocks[is_noisy], axis=2))])
    excess = (steps[is_noisy] == 0).mean(1) - by_step / 2
    return bool(np.quantile(excess, 0.2) > LEAST_EQUAL and np.median(excess) < MOST_EQUAL and uneven < MOST_UNEVEN)


def _order(block: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return the number of each value in the order of those in a block, NaN where it is missing.

    Values between, which a stretched histogram leaves out, are no steps, and neither are those of other parts of the image: counts that
    were divided by the exposure time of their tile are multiples of another number in each.
    """
    order = np.unique(block, return_inverse=True)[1]
    return np.where(np.isfinite(block), order.reshape(block.shape), np.nan)


def _most_frequent(differences: Float[np.ndarray, "h w"]) -> float:
    """Return the share of the most frequent difference other than 0: that of one step, where values are multiples of a step."""
    different = differences[differences > 0]
    if not different.size:
        return 0.0
    rounded = np.round(different / different.max() * RESOLUTION)
    return float(np.unique(rounded, return_counts=True)[1].max() / differences.size)
