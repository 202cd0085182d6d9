"""Noise that was cut off at the least value: what is negative after a background was subtracted became 0."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.image.looks.planes import blocks_of, middle_plane

SIDE = 8
"""Side, in pixels, of the blocks in which pixels at the least value are counted. Our choice, no benchmark."""

FEW, MANY = 0.1, 0.9
"""Shares of a block's pixels at the least value between which a block is looked at: in the dark, noise is on both sides of it."""

LEAST_MIXED = 0.5
"""Least number of neighbors of which one has the least value, relative to that of pixels in random order: with fewer, it is a shape."""

LEAST_SHARE = 0.02
"""Least share of pixels at the least value. With fewer, little of the image is too bright. Our choice, no benchmark."""

LEAST_STEPS = 3.0
"""Least median distance of a block's other values from the least one, in steps of the values. Counts of few photons are only one or two
steps from 0, and nothing was cut off. Our choice, no benchmark."""

NEAR, LEAST_NEAR = 0.25, 0.04
"""Share of that distance, and the least share of the other values that are as near to the least one as that: of Gaussian noise that was cut
off, 8 to 16 %. Black pixels among brighter ones, and pixels without a photon, have a gap there. Half of the least."""

NOTE = (
    "{:.0f} % of the pixels have the least value, {:.3g}, scattered among others: noise was cut off there, as by a background subtraction "
    "that sets negative values to 0. Dark places come out too bright. If you can, save the image without cutting values off."
)
"""Advice for such an image."""


def cut_off_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a frame whose noise was cut off at its least value; empty for others. Arguments are those of `notes_on_looks`."""
    plane = middle_plane(values, is_observed)
    if not np.isfinite(plane).any():
        return ""
    different = np.unique(plane[np.isfinite(plane)])
    is_least = plane == different[0]
    if len(different) < 2 or is_least.mean() < LEAST_SHARE:
        return ""
    blocks, least = blocks_of(plane, SIDE), blocks_of(is_least, SIDE)
    share = least.mean((1, 2))
    scattered = (share > FEW) & (share < MANY) & np.isfinite(blocks).all((1, 2))
    n_mixed = (least[:, :, 1:] != least[:, :, :-1]).mean((1, 2))[scattered].sum()
    if not n_mixed > LEAST_MIXED * (2 * share * (1 - share))[scattered].sum():
        return ""
    others = np.where(least, np.nan, blocks - different[0])[scattered]
    step = np.diff(different).min()
    if np.nanmedian(others) < LEAST_STEPS * step or not _is_near(others, step):
        return ""
    return NOTE.format(100 * is_least.mean(), different[0])


def _is_near(others: Float[np.ndarray, "n rows columns"], step: float) -> bool:
    """Return True if the distances from the least value, NaN at that, begin without a gap."""
    limit = np.maximum(NEAR * np.nanmedian(others, (1, 2), keepdims=True), step)
    return bool((others <= limit).sum() > LEAST_NEAR * np.isfinite(others).sum())
