"""A noisy image that was saved as JPEG, which sets most of the fine part of the noise to 0."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.fft import dctn

SIDE = 8
"""Side of the blocks that JPEG transforms, in pixels."""

N_BLOCKS = 36
"""Least number of blocks of an image that is looked at."""

NEARLY_ZERO = 1.5
"""Largest coefficient that counts as 0: rounding to integers leaves a standard deviation of 0.29, and color of a few times that."""

LEAST_ZERO, LEAST_RATIO = 0.4, 3.0
"""Least share of fine coefficients that are 0 in the blocks of JPEG, and least ratio to the share in blocks between these. Checked with the
images of benchmarks/cases.py."""

LUMINANCE = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the brightness, which JPEG stores most finely (ITU-R BT.601)."""

NOTE = (
    "The image was saved as JPEG, which has set {:.0f} % of the fine detail in blocks of 8 × 8 pixels to 0, noise included. The noise that "
    "is left looks weaker than it is, so that much of it is kept. If you can, denoise the image before it is saved as JPEG."
)
"""Advice for such an image."""


def jpeg_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a noisy frame of integers whose blocks lack what is fine; empty for others.

    Arguments are those of `notes_on_looks`. Blocks begin at the first pixel. In a smooth image what is fine is 0 between the blocks too.
    """
    if dtype.kind not in "iu" or values.ndim != 3:
        return ""
    plane = np.tensordot(LUMINANCE, values, 1) if len(values) == 3 else values[0]
    half = SIDE // 2
    if min(plane.shape) < SIDE or plane.size < N_BLOCKS * SIDE**2:
        return ""
    share, between = _share_of_zeros(plane), _share_of_zeros(plane[half:-half, half:-half])
    return NOTE.format(100 * share) if share > max(LEAST_ZERO, LEAST_RATIO * between) else ""


def _share_of_zeros(plane: Float[np.ndarray, "h w"]) -> float:
    """Return the share of coefficients of the upper half of frequencies that are nearly 0, in blocks from the first pixel on."""
    n_rows, n_columns = (n // SIDE for n in plane.shape)
    blocks = plane[: n_rows * SIDE, : n_columns * SIDE].reshape(n_rows, SIDE, n_columns, SIDE)
    waves = dctn(blocks, axes=(1, 3), norm="ortho").transpose(1, 3, 0, 2)
    is_fine = np.add.outer(np.arange(SIDE), np.arange(SIDE)) >= SIDE
    return float(np.mean(np.abs(waves[is_fine]) < NEARLY_ZERO))
