"""A skip network that is guided by the noisy image itself, and by its own image of it later on.

References
----------
Pang, Zheng, Quan and Ji, "Recorrupted-to-Recorrupted: Unsupervised Deep Learning for Image Denoising", CVPR 2021, for the first steps.
Liang, Bell, Qu, Wang and Ravishankar, "Analysis of Deep Image Prior and Exploiting Self-Guidance for Image Reconstruction", 2024, for
the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from napari_convgen.core.generators.generator import OutputMap
from napari_convgen.core.generators.image_input import ImageInput
from napari_convgen.core.generators.input_noise import GaussianDraws
from napari_convgen.core.generators.layers import Start
from napari_convgen.core.generators.skip import Hourglass, HourglassGenerator, Padding


class GuidedNetwork(ImageInput, HourglassGenerator):
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
        self.noises = nn.ModuleList(GaussianDraws(rng) for rng in rngs)
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
        self.take_images((len(rngs), n_outputs, *size), dtype)
        self.is_guided = False
        self._shift = torch.zeros(())

    def guide(self, guides: Float[Tensor, "m c *spatial"], noise_level: Float[Tensor, "c"] | None = None) -> None:
        """Take estimates of the clean image as inputs from the first step on."""
        self.inputs.copy_(guides)
        if noise_level is not None:
            self.noise_level.copy_(noise_level.view_as(self.noise_level))
        self.is_guided = True

    def _images(self) -> Iterator[Float[Tensor, "*spatial c"]]:
        inputs = self.inputs
        if self.training:
            noise = self.as_measured(torch.stack([noise(inputs[0]) for noise in self.noises]))
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
