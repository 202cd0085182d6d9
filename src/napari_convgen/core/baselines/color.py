"""Luminance and color differences of a color image, and how its noise divides between them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.ndimage import uniform_filter

from napari_convgen.core.noise.estimation.correlation import correlation_length

OPPONENTS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""Rows that give luminance and two color differences: the opponent color space of CBM3D (Dabov et al., 2007, section V).

They are orthonormal: noise that is independent in red, green and blue stays independent.
"""

FLATTEST_SHARE = 0.25
"""Share of the pixels, those with the smallest slope, from which the noise covariance is estimated. Our choice, no benchmark."""

SMOOTHING_SIDE = 5
"""Side of the box, in pixels, that smooths the image before its slope is taken. Our choice, no benchmark."""


def to_opponents(
    values: Float[np.ndarray, "3 *spatial"], noise_level: Float[np.ndarray, "3"]
) -> tuple[Float[np.ndarray, "3 *spatial"], Float[np.ndarray, "3"]]:
    """Return luminance and color differences, and the standard deviation of the noise of each.

    Where red, green and blue have the same noise, as in a gray image, all of it lies in the luminance.

    Parameters
    ----------
    values
        Red, green and blue.
    noise_level
        Standard deviation of their noise; 0 or NaN for a channel without noise.
    """
    covariance = noise_covariance(values, known_noise_level(noise_level))
    variances = np.einsum("ij,jk,ik->i", OPPONENTS, covariance, OPPONENTS)
    return np.asarray(np.tensordot(OPPONENTS, values, 1)), np.sqrt(np.maximum(variances, 0))


def from_opponents(values: Float[np.ndarray, "3 *spatial"]) -> Float[np.ndarray, "3 *spatial"]:
    """Return red, green and blue from luminance and color differences."""
    return np.asarray(np.tensordot(OPPONENTS.T, values, 1))


def known_noise_level(noise_level: Float[np.ndarray, "c"]) -> Float[np.ndarray, "c"]:
    """Return the noise levels with 0 in place of NaN."""
    return np.asarray(np.where(noise_level > 0, noise_level, 0.0))


def noise_covariance(
    values: Float[np.ndarray, "c *spatial"], noise_level: Float[np.ndarray, "c"]
) -> Float[np.ndarray, "c c"]:
    """Estimate the covariance of the noise between channels, where the standard deviation of each channel is known.

    Differences along the last two axes, between pixels with independent noise, cancel what is smooth. Only the quarter of the
    pixels is used where the mean over the channels changes least. What the differences have beyond the noise is structure,
    which is taken to be the same in all channels.

    Parameters
    ----------
    values
        Frame.
    noise_level
        Standard deviation of the noise of each channel, 0 for a channel without noise.
    """
    distance = correlation_length(values, np.ones(values.shape, bool))
    axes = [axis for axis in range(max(1, values.ndim - 2), values.ndim) if values.shape[axis] > distance + 1]
    smooth = uniform_filter(values.mean(0), SMOOTHING_SIDE)
    differences, slope = values, np.sum([np.abs(np.gradient(smooth, axis=axis - 1)) for axis in axes], axis=0)
    for axis in axes:
        n = values.shape[axis]
        ahead, here = range(distance, n), range(n - distance)
        differences = np.take(differences, ahead, axis) - np.take(differences, here, axis)
        slope = np.take(slope, here, axis - 1)
    flat = differences[:, slope <= np.quantile(slope, FLATTEST_SHARE)]
    covariance = flat @ flat.T / flat.shape[1] / 2 ** len(axes)
    structure = np.sqrt(np.maximum(np.diag(covariance) - noise_level**2, 0))
    most = np.outer(noise_level, noise_level)
    covariance = np.asarray(np.clip(covariance - np.outer(structure, structure), 0, most))
    np.fill_diagonal(covariance, noise_level**2)
    return np.asarray(covariance)
