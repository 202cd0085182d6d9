"""The network of a taught generator: images with noise on them to images without."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from napari_convgen.core.generators.grids import Size
from napari_convgen.core.generators.layers import CONVOLUTIONS, Start
from napari_convgen.core.generators.skip import LEAK

WIDTH = 3
"""Number of learned weights of a convolution along each axis."""

DRAWN_WIDTHS = (32, 64, 64, 64)
"""Number of channels on each grid, the finest first, of the network that has learned from drawings."""

DRAWN_WEIGHTS = Path(__file__).with_name("drawn_weights.npz")
"""What it has learned, see tools/teach.py."""


class Denoiser(nn.Module):
    """Batches of images to the same without noise, channels second.

    The grid is halved some times and doubled again, beside skip connections. The output is the noise, which is subtracted.

    Parameters
    ----------
    n_channels
        Number of channels of an image.
    widths
        Number of channels of the hidden layers on each grid, the finest first.
    halvings
        How often each axis is halved from each grid to the next.
    start
        Source of the initial weights.
    features_dtype
        Type of the hidden layers.
    n_axes
        Number of spatial axes.
    knows_level
        True if the level of the noise is an input too; default False.
    """

    def __init__(
        self,
        n_channels: int,
        widths: Sequence[int],
        halvings: Sequence[Size],
        start: Start,
        features_dtype: torch.dtype,
        *,
        n_axes: int,
        knows_level: bool = False,
    ) -> None:
        super().__init__()
        self.n_axes, self.features_dtype, self.knows_level = n_axes, features_dtype, knows_level
        self.blocks = [math.prod(each) for each in zip(*halvings, strict=True)] or [1] * n_axes
        pairs = list(itertools.pairwise(widths))
        steps: list[int | Size] = [1, *halvings]
        self.down = nn.ModuleList(
            nn.ModuleList([_Convolution(n, m, n_axes, start, stride), _Convolution(m, m, n_axes, start)])
            for (n, m), stride in zip([(n_channels + knows_level, widths[0]), *pairs], steps, strict=True)
        )
        self.up = nn.ModuleList(_Convolution(n + m, n, n_axes, start) for n, m in reversed(pairs))
        self.output = _Convolution(widths[0], n_channels, n_axes, start)
        nn.init.zeros_(self.output.weights)
        nn.init.zeros_(self.output.offset)

    def forward(
        self, images: Float[Tensor, "b c *spatial"], level: Float[Tensor, "#b 1 *ones"]
    ) -> Float[Tensor, "b c *spatial"]:
        """Return the images less what the network takes for noise of a level, its standard deviation."""
        noise = self.output(self.features(images, level)).to(images.dtype)
        clean: Tensor = images - noise[:, :, *map(slice, images.shape[2:])]
        return clean

    def features(self, images: Float[Tensor, "b c *spatial"], level: Float[Tensor, "#b 1 *ones"]) -> Tensor:
        """Return the last hidden tensor, on the image's grid, enlarged to whole blocks."""
        if self.knows_level:
            images = torch.cat((images, level.expand(len(images), 1, *images.shape[2:])), 1)
        missing = [-n % block for n, block in zip(images.shape[2:], self.blocks, strict=True)]
        padding = [x for n in reversed(missing) for x in (0, n)]
        x = (F.pad(images, padding, mode="replicate") if any(missing) else images).to(self.features_dtype)
        if self.n_axes == 2:  # faster; volumes are left as they are, see `HourglassGenerator.backends`
            x = x.contiguous(memory_format=torch.channels_last)
        fine: list[Tensor] = []
        for i, layers in enumerate(self.down):
            if i:
                fine.append(x)
            for layer in cast(nn.ModuleList, layers):
                x = F.leaky_relu(layer(x), LEAK)
        for layer in self.up:
            skip = fine.pop()
            x = F.leaky_relu(layer(torch.cat((F.interpolate(x, size=skip.shape[2:], mode="nearest"), skip), 1)), LEAK)
        return x

    def weights(self) -> list[Tensor]:
        """Return the weights of the convolutions in the order of the layers."""
        return [layer.weights for layer in self.modules() if isinstance(layer, _Convolution)]

    def load(self, file: Path) -> None:
        """Take the weights in a file."""
        with np.load(file) as learned, torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(torch.from_numpy(learned[name]))


class _Convolution(nn.Module):
    """A convolution, zeros beyond the edges."""

    def __init__(self, n_in: int, n_out: int, n_axes: int, start: Start, stride: int | Size = 1) -> None:
        super().__init__()
        self.stride = stride
        bound = (n_in * WIDTH**n_axes) ** -0.5
        self.weights = nn.Parameter(start.weights(n_out, n_in, *(WIDTH,) * n_axes))
        self.offset = nn.Parameter(start.uniform(-bound, bound, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of a batch, in the type of the batch."""
        weights, offset = self.weights.to(x.dtype), self.offset.to(x.dtype)
        return CONVOLUTIONS[x.ndim - 2](x, weights, offset, self.stride, WIDTH // 2)
