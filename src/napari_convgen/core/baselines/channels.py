"""Denoise a frame channel by channel, or in luminance and color differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from napari_convgen.core.baselines.color import from_opponents, to_opponents

Plane = Float[np.ndarray, "*spatial"]


def denoise_channels(
    denoise: Callable[..., Plane], values: Float[np.ndarray, "c *spatial"], noise_level: Float[np.ndarray, "c"]
) -> Float[np.ndarray, "c *spatial"]:
    """Denoise channel by channel.

    Parameters
    ----------
    denoise
        Function of a channel and the standard deviation of its noise that returns the denoised channel.
    values
        Frame.
    noise_level
        Standard deviation of the noise of each channel. A channel where it is 0 or NaN stays as it is.
    """
    pairs = zip(values, noise_level, strict=True)
    return np.stack([denoise(channel, float(level)) if level > 0 else channel for channel, level in pairs])


def denoise_opponents(
    denoise: Callable[..., Plane],
    values: Float[np.ndarray, "c *spatial"],
    noise_level: Float[np.ndarray, "c"],
    is_color: bool,
) -> Float[np.ndarray, "c *spatial"]:
    """Denoise luminance and color differences of a color image, each on its own; other frames channel by channel.

    Parameters
    ----------
    denoise, values, noise_level
        As for `denoise_channels`.
    is_color
        True if the three channels are red, green and blue.
    """
    if not is_color:
        return denoise_channels(denoise, values, noise_level)
    return from_opponents(denoise_channels(denoise, *to_opponents(values, noise_level)))
