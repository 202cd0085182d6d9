"""What generators have in common that are shown the measurement itself, an image, and not a random latent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from napari_convgen.core.generators.generator import Generator
from napari_convgen.core.noise.colored import noise_gain, shape_noise
from napari_convgen.errors import InputError

WINDOW = 3
"""Side in pixels of the window that an unknown pixel is filled in from."""

POOLS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
"""Functions that average over a window, by number of spatial axes."""


class ImageInput(Generator):
    """A generator whose input is the noisy image, and that adds noise of the same kind to what it draws from.

    Pixels that are not in a member's loss, missing ones and those held out, are not in its input either: the mean of their neighbors is.
    """

    inputs: Tensor
    is_known: Tensor
    noise_level: Tensor
    _noise_gain: Tensor | None = None

    def take_images(self, shape: Sequence[int], dtype: torch.dtype) -> None:
        """Make room for the members' inputs.

        Parameters
        ----------
        shape
            Number of members, of channels, and the spatial shape.
        dtype
            Type of the images.
        """
        self.register_buffer("inputs", torch.full(tuple(shape), 0.5, dtype=dtype))
        self.register_buffer("is_known", torch.ones_like(self.inputs, dtype=torch.bool), persistent=False)
        self.register_buffer("noise_level", torch.zeros(shape[1], *(1,) * (len(shape) - 2), dtype=dtype))

    @property
    def noise_size(self) -> tuple[int, ...]:
        """Spatial shape of the noise that is added; that of the inputs."""
        return tuple(self.inputs.shape[2:])

    def prepare(
        self,
        measurements: Float[Tensor, "m c *spatial"],
        weights: Float[Tensor, "m c *spatial"],
        noise_level: Float[Tensor, "c"] | None,
        noise_spectrum: Float[np.ndarray, "a b"] | None,
    ) -> None:
        """Take the measurements as inputs, where they are in the members' losses.

        Raises
        ------
        InputError
            The noise level is not known.
        """
        if noise_level is None:
            raise InputError(
                "A guided or taught network needs the noise's level, and it is not known. Set noise.sigma."
            )
        if noise_spectrum is not None:
            self._noise_gain = noise_gain(noise_spectrum, self.inputs[:, :, *map(slice, self.noise_size)])
        self.is_known.copy_(weights > 0)
        self.inputs.copy_(fill_in(measurements, self.is_known))
        self.noise_level.copy_(noise_level.view_as(self.noise_level))

    def as_measured(self, white: Float[Tensor, "m c *spatial"]) -> Float[Tensor, "m c *spatial"]:
        """Give white noise of a standard deviation of 1 the spectrum and the level of the measurement's."""
        return self.noise_level * (white if self._noise_gain is None else shape_noise(white, self._noise_gain))


def fill_in(
    images: Float[Tensor, "m c *spatial"], is_known: Bool[Tensor, "m c *spatial"]
) -> Float[Tensor, "m c *spatial"]:
    """Give each unknown pixel the mean of its known neighbors, ring by ring inwards; 0.5 where a whole channel is unknown."""
    is_thin = min(images.shape[2:]) < WINDOW
    pool = _mean_around if is_thin else partial(POOLS[images.ndim - 2], kernel_size=WINDOW, stride=1, padding=1)
    is_empty = ~is_known.flatten(2).any(2)
    values = torch.where(is_known, images, 0.0)
    values[is_empty] = 0.5
    known = is_known.to(images.dtype)
    known[is_empty] = 1
    while not bool(known.all()):
        around, n_around = pool(values), pool(known)
        is_new = (known == 0) & (n_around > 0)
        values = torch.where(is_new, around / n_around.clamp_min(1e-9), values)
        known = torch.where(is_new, 1.0, known)
    return values


def _mean_around(images: Float[Tensor, "m c *spatial"]) -> Float[Tensor, "m c *spatial"]:
    """Return the mean over a window, zeros beyond the edges, for axes of any length: PyTorch's means need as many pixels as the window."""
    for axis in range(2, images.ndim):
        zero = torch.zeros_like(images.narrow(axis, 0, 1))
        padded = torch.cat((zero, images, zero), axis)
        images = padded.unfold(axis, WINDOW, 1).mean(-1)
    return images
