"""How far the noise of neighbors is alike."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

MAX_LENGTH = 3
"""Correlations over more pixels than this are not told from structure."""

FIRST_RISE, FURTHER_RISE = 1.6, 1.3
"""Growth of the differences from one distance to the next that means correlation: at distance 1, and beyond."""


def correlation_length(image: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> int:
    """Return the distance in pixels from which on the noise of two pixels is independent; 1 for white noise.

    Differences along the last two axes, taken one after the other, cancel what is smooth. Their mean square does not
    depend on the distance where noise is white; where neighbors' noise is alike it grows until the pixels are far enough
    apart. The tenth with the strongest structure is left out.

    Parameters
    ----------
    image
        Channels first, any units.
    is_observed
        False where a value is missing.
    """
    values = np.where(is_observed, image, np.nan)
    axes = range(max(1, values.ndim - 2), values.ndim)
    longest: int = min(MAX_LENGTH, min(values.shape[axis] for axis in axes) // 2 - 1)
    strengths = [_difference(values, axes, distance) for distance in range(1, longest + 2)]
    for distance in range(1, longest + 1):
        here, next_one = strengths[distance - 1], strengths[distance]
        if not next_one > here * (FIRST_RISE if distance == 1 else FURTHER_RISE):
            return distance
    return max(1, longest)


def _difference(values: Float[np.ndarray, "c *spatial"], axes: range, distance: int) -> float:
    for axis in axes:
        n = values.shape[axis]
        values = np.take(values, range(distance, n), axis) - np.take(values, range(n - distance), axis)
    squares = values[np.isfinite(values)] ** 2
    return float(np.minimum(squares, np.quantile(squares, 0.9)).mean()) if squares.size else 0.0
