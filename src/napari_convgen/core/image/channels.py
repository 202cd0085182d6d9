"""Whether the channels of a frame show the same structures, so that one generator fits them better than several."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

FINE, COARSE = 2.0, 8.0
"""Standard deviations in pixels of the Gaussians between which structures are compared: the finer one takes most of the noise away, the
coarser one what all images have in common, such as uneven illumination. Our choice, no benchmark."""

LEAST_CORRELATION = 0.5
"""Least correlation of a channel's structures with those of another one, of either sign, that counts as the same. Our choice;
benchmarks/channels.py compares the two ways."""

SEPARATE = "The channels show different structures: each was fitted alone, as a frame. Choose channels = 'joint' to fit them together."
"""Note on an image whose channels do not help each other."""

TOGETHER = (
    "The channels show the same structures: they were fitted together. Choose channels = 'separate' to fit each alone."
)
"""Note on an image whose channels help each other."""

SMALLEST = 1e-9
"""Least weight that is divided by: a bound against division by zero."""


def share_structure(values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> bool:
    """Return True if the structures of each channel are correlated with those of another one; parameters as for `least_correlation`."""
    return len(values) < 2 or least_correlation(values, is_observed) >= LEAST_CORRELATION


def least_correlation(values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> float:
    """Return how far the channel that is least like the others is correlated with the one that is most like it, from 0 to 1.

    Parameters
    ----------
    values
        Noisy values of two channels or more, channels first, in any units.
    is_observed
        False where a value is missing.
    """
    bands = np.stack([_band(x, seen) for x, seen in zip(values, is_observed, strict=True)])
    bands = (bands * is_observed.all(0)).reshape(len(bands), -1)
    bands = bands / np.maximum(np.linalg.norm(bands, axis=1, keepdims=True), SMALLEST)
    correlation = np.abs(bands @ bands.T)
    np.fill_diagonal(correlation, 0)
    return float(correlation.max(1).min())


def _band(
    values: Float[np.ndarray, "*spatial"], is_seen: Bool[np.ndarray, "*spatial"]
) -> Float[np.ndarray, "*spatial"]:
    """Return the structures between the two sizes, with a mean of 0."""
    low, high = np.quantile(values[is_seen], (0.001, 0.999)) if is_seen.any() else (0.0, 0.0)
    filled = np.where(is_seen, np.clip(values, low, high), 0.0)
    fine, coarse = (
        gaussian_filter(filled, width) / np.maximum(gaussian_filter(is_seen.astype(float), width), SMALLEST)
        for width in (FINE, COARSE)
    )
    band = fine - coarse
    return np.asarray(band - band.mean())
