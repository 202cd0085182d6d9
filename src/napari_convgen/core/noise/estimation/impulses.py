"""Impulses, pixels without relation to their neighbors: salt and pepper, hot pixels, cosmic rays."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from napari_convgen.core.noise.stabilizer import Stabilizer

THRESHOLD = 6.0
"""Least height of an impulse, in standard deviations of the noise and of its surroundings: with Gaussian noise 2 of 10⁹ pixels reach it."""

ALONE = 0.15
"""Largest height that the middle of its four neighbors has, relative to an impulse: a point that optics has drawn, or a line, has more.
Chosen on the tuning images of benchmarks/noise.py."""

SIDE_BY_SIDE = 0.3
"""Height, relative to an impulse, that at most one of its eight neighbors exceeds. Chosen on the tuning images of benchmarks/noise.py."""

N_PASSES = 2
"""Passes over the image: the second one finds impulses beside those of the first."""

NEAR = 0.8
"""Height, relative to `THRESHOLD`, from which a pixel is looked at closely: below 1, as the median of nine pixels has noise of its own."""

MAD_TO_SIGMA = 1.4826
"""Standard deviation over the median absolute deviation of a normal distribution, 1 / Φ⁻¹(3/4)."""


def find_impulses(
    values: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
    stabilizers: Sequence[Stabilizer],
) -> Bool[np.ndarray, "c *spatial"]:
    """Return where single pixels stand out of the noise and their neighbors do not.

    Parameters
    ----------
    values
        Noisy values, channels first, in the image's units.
    is_observed
        False where a value is missing.
    stabilizers
        Transforms of the channels that make the noise the same everywhere; pixels are compared after them.
    """
    found = np.zeros_like(is_observed)
    for channel, transform in enumerate(stabilizers):
        seen = is_observed[channel]
        if transform.noise_level > 0 and seen.any():
            stable = np.where(seen, transform.forward(np.where(seen, values[channel], 0.0)), np.nan)
            stable = stable / transform.noise_level
            planes = stable.reshape(-1, *stable.shape[-2:]) if stable.ndim > 1 else stable[np.newaxis, np.newaxis]
            marks = [_in_plane(plane) for plane in planes]
            found[channel] = np.stack(marks).reshape(seen.shape)
    return found


def _in_plane(plane: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    found = np.zeros(plane.shape, bool)
    for _ in range(N_PASSES):
        left = np.where(found, np.nan, plane)
        filled = np.where(np.isfinite(left), left, np.nanmedian(left) if np.isfinite(left).any() else 0.0)
        rough = ndimage.median_filter(filled, size=3, mode="mirror")
        ys, xs = np.nonzero(np.isfinite(left) & (np.abs(filled - rough) > NEAR * THRESHOLD))
        if not len(ys):
            break
        padded = np.pad(left, 2, constant_values=np.nan)
        patches = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))[ys, xs]
        is_impulse = _is_impulse(patches)
        found[ys[is_impulse], xs[is_impulse]] = True
    return found


def _is_impulse(patches: Float[np.ndarray, "n 5 5"]) -> Bool[np.ndarray, "n"]:
    """Return True for each patch with an impulse in its middle; values beyond the image or missing are NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of patches without any value to compare
        inner = patches[:, 1:4, 1:4].reshape(-1, 9)
        outer = patches.copy()
        outer[:, 1:4, 1:4] = np.nan
        level = np.nanmedian(outer.reshape(-1, 25), axis=1)
        spread = MAD_TO_SIGMA * np.nanmedian(np.abs(outer.reshape(-1, 25) - level[:, None]), axis=1)
        height = inner[:, 4] - level
        beside = (inner - level[:, None]) / height[:, None]
        is_alone = np.nanmedian(beside[:, 1::2], axis=1) < ALONE
    n_high = (np.delete(beside, 4, axis=1) > SIDE_BY_SIDE).sum(1)
    return np.asarray((np.abs(height) > THRESHOLD * np.maximum(spread, 1)) & is_alone & (n_high <= 1))
