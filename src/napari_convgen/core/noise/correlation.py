"""How far the noise of neighbors is alike."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.blocks import Blocks
from napari_convgen.core.noise.curve import Curve

SPACINGS = (1, 2, 3, 4, 6)
"""Distances between pixels that are tried."""

CORRELATED, SURELY_CORRELATED = 1.7, 4.0
"""Ratio of slower to faster noise, neighbor beside neighbor, that may mean correlation, and that cannot mean texture."""

KEPT = 0.3
"""Of what that ratio is above 1 at most so much is left at twice the distance: more is texture."""

WHITE = 1.35
"""Ratio up to which noise is white."""

SLOW_SHARE = 0.05
"""Of the blocks, the flattest, that the ratio is taken from."""

N_LEAST = 40
"""Blocks that a ratio is taken from at least; images too small for that are taken for white."""


def correlation_length(image: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> int:
    """Return the distance in pixels from which on the noise of two pixels is independent: 1 for white noise, 6 at most.

    In the flattest blocks of an image, those with the least energy in the very lowest frequencies, white noise has the same
    energy in lower and higher frequencies. Where lower ones have more, pixels are taken at wider distances until it is so.

    Parameters
    ----------
    image
        Channels first, any units.
    is_observed
        False where a value is missing.
    """
    ratios: list[float] = []
    for spacing in SPACINGS:
        ratio = max(_redness(x, seen, spacing) for x, seen in zip(image, is_observed, strict=True))
        ratios.append(ratio)
        if spacing == 1 and ratio < CORRELATED:
            return 1
        if spacing == 2 and ratios[0] < SURELY_CORRELATED and ratio - 1 > KEPT * (ratios[0] - 1):
            return 1
        if ratio < WHITE:
            return spacing
    return SPACINGS[int(np.argmin(ratios))]


def _redness(image: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"], spacing: int) -> float:
    """Energy of the noise in lower frequencies over that in higher ones; 1 where there is too little to tell."""
    blocks = Blocks.of(image, is_observed, spacing)
    if len(blocks) * blocks.weight < N_LEAST or not blocks.middle.any():
        return 1.0
    curve = Curve.of(blocks)
    if not curve.variance.any():
        return 1.0
    variance = np.maximum(np.interp(blocks.mean, curve.mean, curve.variance), 1e-3 * curve.variance.max())
    n = max(1, int(SLOW_SHARE * len(blocks)))
    flat = np.argpartition(blocks.slow / variance, n - 1)[:n]
    fine = (blocks.fine / variance)[flat].mean()
    return float((blocks.middle / variance)[flat].mean() / fine) if fine > 0 else 1.0
