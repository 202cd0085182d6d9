"""A noisy image that was saved as JPEG, which sets most of the fine part of the noise to 0."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float
from scipy.fft import dctn

from napari_convgen.core.image.looks.planes import blocks_of

SIDE = 8
"""Side of the blocks that JPEG transforms, in pixels."""

N_BLOCKS = 36
"""Least number of blocks of an image that is looked at."""

NEARLY_ZERO = 1.5
"""Largest coefficient that counts as 0: rounding to integers leaves a standard deviation of 0.29, and color of a few times that."""

BANDS = ((8, 0.4, 3.0), (5, 0.4, 4.0), (3, 0.3, 4.0))
"""First frequency of a band, both axes together, the least share of its coefficients that are 0 in the blocks of JPEG, and the least ratio
to the share in blocks between these. At a low quality what is fine is 0 everywhere, and only lower frequencies tell. Checked with the
images of benchmarks/notes.py."""

LUMINANCE = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the brightness, which JPEG stores most finely (ITU-R BT.601)."""

NOTE = (
    "The image was saved as JPEG, which has set {:.0f} % of the fine detail in blocks of 8 × 8 pixels to 0, noise included. The noise that "
    "is left looks weaker than it is, so that much of it is kept. If you can, denoise the image before it is saved as JPEG. If not, choose "
    "noise.kind = 'gaussian' and noise.correlation_length = 1, and give the standard deviation that the noise had before (noise.sigma)."
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
    shares, between = _shares_of_zeros(plane), _shares_of_zeros(plane[half:-half, half:-half])
    is_saved = any(
        share > max(least, ratio * other)
        for share, other, (_, least, ratio) in zip(shares, between, BANDS, strict=True)
    )
    return NOTE.format(100 * shares[0]) if is_saved else ""


def _shares_of_zeros(plane: Float[np.ndarray, "h w"]) -> list[float]:
    """Return the share of coefficients of each band that are nearly 0, in blocks from the first pixel on."""
    waves = np.moveaxis(dctn(blocks_of(plane, SIDE), axes=(1, 2), norm="ortho"), 0, -1)
    frequency = np.add.outer(np.arange(SIDE), np.arange(SIDE))
    ends = [2 * SIDE, *(first for first, _, _ in BANDS)]
    bands = [(frequency >= first) & (frequency < end) for end, first in pairwise(ends)]
    return [float(np.mean(np.abs(waves[band]) < NEARLY_ZERO)) for band in bands]
