"""Fill missing pixels, which no classical denoiser takes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

LEAST_WEIGHT = 1e-2
"""Share of a Gaussian window that must lie on observed pixels for their mean to fill its center. Our choice, no benchmark."""

TRUNCATION = 6
"""Radius of the window in standard deviations, where scipy's default is 4. Our choice, no benchmark."""


def fill_missing(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
) -> Float[np.ndarray, "c *spatial"]:
    """Fill missing pixels with a Gaussian-weighted mean of the observed pixels around them.

    Each pixel gets the narrowest window, of 1, 2, 4, … pixels, that has enough observed pixels.

    Parameters
    ----------
    values
        Frame; its values at missing pixels are not used.
    is_observed
        Mask that is True at observed pixels. A channel without any stays as it is.
    """
    return np.stack([_filled(*each) if each[1].any() else each[0] for each in zip(values, is_observed, strict=True)])


def _filled(
    values: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"]
) -> Float[np.ndarray, "*spatial"]:
    observed = np.where(is_observed, values, 0.0)
    filled, is_missing, width = observed.copy(), ~is_observed, 1.0
    while is_missing.any():
        least = LEAST_WEIGHT if width < max(values.shape) else 0.0
        weight = gaussian_filter(is_observed.astype(float), width, truncate=TRUNCATION)
        is_new = is_missing & (weight > least)
        filled[is_new] = gaussian_filter(observed, width, truncate=TRUNCATION)[is_new] / weight[is_new]
        is_missing, width = is_missing & ~is_new, 2 * width
    return filled
