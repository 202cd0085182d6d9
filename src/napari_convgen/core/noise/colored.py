"""Random noise with a given spectrum, correlated between neighbors as in a measurement."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.noise.estimation.spectrum import shaping_filter


def noise_gain(spectrum: Float[np.ndarray, "a b"], like: Float[Tensor, "m c *spatial"]) -> Float[Tensor, "h w"]:
    """Return the gain at each frequency that gives white noise a spectrum, for noise of some images' size.

    Parameters
    ----------
    spectrum
        Power of the noise at each frequency along the last two axes, or the only one, see `napari_convgen.core.noise.noise_spectrum`.
    like
        Images of the noise's size, type and device.
    """
    size = like.shape[-2:] if like.ndim > 3 else (1, like.shape[-1])
    return like.new_tensor(shaping_filter(spectrum, size))


def shape_noise(noise: Float[Tensor, "m c *spatial"], gain: Float[Tensor, "h w"]) -> Float[Tensor, "m c *spatial"]:
    """Give white noise a spectrum; it wraps around at the edges.

    Parameters
    ----------
    noise
        White noise.
    gain
        Gain at each frequency, see `noise_gain`.
    """
    planes = noise.reshape(-1, gain.shape[0], noise.shape[-1])
    shaped: Tensor = torch.fft.irfft2(gain * torch.fft.rfft2(planes), planes.shape[-2:])
    return shaped.view_as(noise)
