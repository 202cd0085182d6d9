"""A skip network that is guided by the noisy image itself, and by its own image of it later on.

References
----------
Pang, Zheng, Quan and Ji, "Recorrupted-to-Recorrupted: Unsupervised Deep Learning for Image Denoising", CVPR 2021, for the first steps.
Liang, Bell, Qu, Wang and Ravishankar, "Analysis of Deep Image Prior and Exploiting Self-Guidance for Image Reconstruction", 2024, for
the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from napari_convgen.core.generators.generator import OutputMap
from napari_convgen.core.generators.input_noise import GaussianNoise
from napari_convgen.core.generators.layers import Start
from napari_convgen.core.generators.skip import Hourglass, HourglassGenerator, Padding
from napari_convgen.core.noise.colored import noise_gain, shape_noise
from napari_convgen.errors import InputError

WINDOW = 3
"""Side in pixels of the window that an unknown pixel is filled in from."""

POOLS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
"""Functions that average over a window, by number of spatial axes."""


class GuidedNetwork(HourglassGenerator):
    r"""An hourglass of learned convolutions whose input is not a random latent, but an image with fresh noise on it.

    With y the measurement, :math:`\sigma` its noise's level and w standard Gaussian noise that is new in each step:

    - At first the input is :math:`y + \alpha \sigma w`, and the output is fitted to :math:`y - \sigma w / \alpha`. The two have
      independent noise, so that on average it is fitted to the clean image, until it has learned the noise in y. What is
      minimized is Stein's unbiased estimate of the squared error, probed with w.
    - After ``guide_step`` steps the running average of its images, the guide, is put in the place of y. The input is the guide with
      :math:`\beta \sigma w` added, and the output is fitted to y: it adds from y what the guide lacks, and the noise on the guide keeps
      it from fitting what is as fine and as faint as the noise of y.

    With `guide`, an estimate that was made before the fit is the guide from the first step on.

    Where the noise is correlated, so is w: it has the spectrum of the measurement's noise.

    Pixels that are not in a member's loss, missing ones and those held out, are not in its input either: the mean of their neighbors is.

    Parameters
    ----------
    size, n_outputs, n_channels, n_fine_channels, n_scales, n_skip_channels, padding, output_map, kernel, features_dtype, spacing, dtype
        Settings of `napari_convgen.core.generators.skip.SkipNetwork`.
    rngs
        Source of chance of each member, for its initial weights and its noise; on the CPU whatever the device.
    recorruption
        Noise :math:`\alpha` on the input of the first steps, in noise levels; 0.5 by default.
    guide_step
        Last step without a guide; 200 by default.
    guide_noise
        Noise :math:`\beta` on the guide, in noise levels; 1.25 by default.
    """

    is_capturable = False  # the step decides what is drawn from

    inputs: Tensor
    noise_level: Tensor

    def __init__(
        self,
        size: Sequence[int],
        n_outputs: int,
        *,
        rngs: Sequence[torch.Generator],
        n_channels: int = 64,
        n_fine_channels: int = 16,
        n_scales: int = 4,
        n_skip_channels: int = 4,
        recorruption: float = 0.5,
        guide_step: int = 200,
        guide_noise: float = 1.25,
        padding: Padding = "zeros",
        output_map: OutputMap = "sigmoid",
        kernel: str = "linear",
        features_dtype: torch.dtype | None = None,
        spacing: Sequence[float] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.recorruption, self.guide_step, self.guide_noise = recorruption, guide_step, guide_noise
        self.noises = nn.ModuleList(GaussianNoise(rng) for rng in rngs)
        self.hourglasses = nn.ModuleList(
            Hourglass(
                size,
                n_outputs,
                n_outputs,
                n_channels=n_channels,
                n_fine_channels=n_fine_channels,
                n_scales=n_scales,
                n_skip_channels=n_skip_channels,
                dropout=0.0,
                padding=padding,
                output_map=output_map,
                kernel=kernel,
                features_dtype=features_dtype or dtype,
                spacing=spacing,
                start=Start(rng, dtype),
            )
            for rng in rngs
        )
        self.register_buffer("inputs", torch.full((len(rngs), n_outputs, *size), 0.5, dtype=dtype))
        self.register_buffer("noise_level", torch.zeros(n_outputs, *(1,) * len(size), dtype=dtype))
        self.is_guided = False
        self._noise_gain: Tensor | None = None
        self._shift = torch.zeros(())

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
            raise InputError("A guided network needs the noise's level, and it is not known. Set noise.sigma.")
        if noise_spectrum is not None:
            self._noise_gain = noise_gain(noise_spectrum, self.inputs)
        self.inputs.copy_(fill_in(measurements, weights > 0))
        self.noise_level.copy_(noise_level.view_as(self.noise_level))

    def guide(self, guides: Float[Tensor, "m c *spatial"], noise_level: Float[Tensor, "c"] | None = None) -> None:
        """Take estimates of the clean image as inputs from the first step on."""
        self.inputs.copy_(guides)
        if noise_level is not None:
            self.noise_level.copy_(noise_level.view_as(self.noise_level))
        self.is_guided = True

    def _images(self) -> Iterator[Float[Tensor, "*spatial c"]]:
        inputs = self.inputs
        if self.training:
            noise = torch.stack([noise(inputs[0]) for noise in self.noises])
            if self._noise_gain is not None:
                noise = shape_noise(noise, self._noise_gain)
            noise = self.noise_level * noise
            inputs = inputs + (self.guide_noise if self.is_guided else self.recorruption) * noise
            self._shift = noise / self.recorruption
        for hourglass, image in zip(self.hourglasses, inputs, strict=True):
            yield hourglass(image.movedim(0, -1).contiguous())

    def targets(self, measurements: Shaped[Tensor, "m n *entries"]) -> Shaped[Tensor, "m n *entries"]:
        """Return the measurements; without a guide, with the noise of the last input on them that makes theirs independent of it."""
        return measurements if self.is_guided else measurements - self._shift

    def update(self, step: int, averages: Float[Tensor, "m c *spatial"]) -> None:
        """Take the running averages as inputs from ``guide_step`` on."""
        if step == self.guide_step and not self.is_guided:
            self.inputs.copy_(averages)
            self.is_guided = True

    @property
    def is_settled(self) -> bool:
        """True once there is a guide."""
        return self.is_guided

    def get_extra_state(self) -> bool:
        """Return whether there is a guide: part of the state beside weights and buffers."""
        return self.is_guided

    def set_extra_state(self, state: bool) -> None:
        """Take that back."""
        self.is_guided = state


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
