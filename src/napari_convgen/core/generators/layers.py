"""What the generators with convolutions of their own share: members, draws of initial values, channel norm, and edges reflected."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from napari_convgen.core.generators.generator import (
    FLOAT_BYTES,
    LATENT_SCALE,
    N_IMAGES,
    N_WEIGHT_COPIES,
    Generator,
    OutputMap,
    named_layers,
)
from napari_convgen.core.generators.grids import Size

NormInit = Literal["ones", "uniform"]

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
"""Functions that convolve, by number of spatial axes."""


class Start:
    """Draws of initial values, in double precision whatever the type of the weights."""

    def __init__(self, rng: torch.Generator, dtype: torch.dtype) -> None:
        self.rng, self.dtype = rng, dtype

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw values in [low, high)."""
        draw = torch.rand(shape, generator=self.rng, dtype=torch.float64)
        return (low + (high - low) * draw).to(self.dtype)

    def weights(self, n_out: int, n_in: int, *width: int) -> Tensor:
        """Draw a convolution's weights, uniform within one over the root of the values that go into an output: PyTorch's default."""
        bound = (n_in * math.prod(width)) ** -0.5
        return self.uniform(-bound, bound, n_out, n_in, *width)

    def scales(self, n: int, init: NormInit) -> Tensor:
        """Draw a norm's scales, in [0, 1), or take ones."""
        return torch.ones(n, dtype=self.dtype) if init == "ones" else self.uniform(0, 1, n)


class SeparateNetworks(Generator):
    """Independent networks as members, evaluated one after the other.

    Parameters
    ----------
    members
        Networks without an input, each with ``features`` and ``convolutions`` of its hidden layers, and an ``output_convolution``.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self) -> Float[Tensor, "m c *spatial"]:
        """Return the members' images: output channels first."""
        return torch.cat(list(self.draw()))

    def draw(self) -> Iterator[Float[Tensor, "1 c *spatial"]]:
        """Yield the image of each member."""
        for member in self.members:
            yield member()

    @torch.no_grad()
    def dead_fraction(self) -> float:
        """Return the largest share, over members and hidden layers, of channels that are the same at every pixel."""
        pixels = [features[0].flatten(1) for member in self.members for features in cast(Any, member).features()]
        return max(float((x.amax(1) == x.amin(1)).float().mean()) for x in pixels)

    def layer_weights(self) -> Mapping[str, Sequence[Tensor]]:
        """Return the convolution weights of each layer, one tensor a member."""
        members = [cast(Any, member) for member in self.members]
        hidden = zip(*(member.convolutions for member in members), strict=True)
        return named_layers(list(hidden), [member.output_convolution for member in members])


class LayeredNetwork(nn.Module, ABC):
    """One net of hidden layers that are alike: a convolution, ReLU and a channel norm; then a 1×1 convolution.

    Tensors are batches of one, channels second.

    Parameters
    ----------
    sizes
        Spatial shapes of the latent and of each hidden layer's output.
    n_outputs, n_channels
        Number of channels of the image, and of the latent and every hidden layer.
    width
        Number of learned weights of a convolution along each axis.
    norm_init
        Initial scale of the channel norm.
    output_map
        Map from the last layer to the image.
    start
        Source of the latent and the initial weights.
    """

    latent: Tensor

    def __init__(
        self,
        sizes: Sequence[Size],
        n_outputs: int,
        n_channels: int,
        width: int,
        norm_init: NormInit,
        output_map: OutputMap,
        start: Start,
    ) -> None:
        super().__init__()
        self.sizes, self.output_map = sizes, output_map
        k, n_axes, n_layers = n_channels, len(sizes[0]), len(sizes) - 1
        self.register_buffer("latent", start.uniform(0, LATENT_SCALE, 1, k, *sizes[0]))
        self.convolutions = nn.ParameterList(start.weights(k, k, *(width,) * n_axes) for _ in range(n_layers))
        self.norms = nn.ModuleList(Norm(start.scales(k, norm_init)) for _ in range(n_layers))
        self.output_convolution = nn.Parameter(start.weights(n_outputs, k, *(1,) * n_axes))

    @abstractmethod
    def convolved(self, x: Tensor, weights: Tensor, size: Size) -> Tensor:
        """Return the convolution of a hidden layer's input, on the grid of its output."""

    def forward(self) -> Float[Tensor, "1 c *spatial"]:
        """Return the image."""
        last = self.features()[-1]
        image = CONVOLUTIONS[last.ndim - 2](last, self.output_convolution)
        return torch.sigmoid(image) if self.output_map == "sigmoid" else image

    def features(self) -> list[Tensor]:
        """Return the hidden tensors B_1 … B_n."""
        features = [self.latent]
        for weights, norm, size in zip(self.convolutions, self.norms, self.sizes[1:], strict=True):
            features.append(norm(F.relu(self.convolved(features[-1], weights, size))))
        return features[1:]


def layered_memory_bytes(sizes: Sequence[Size], n_outputs: int, *, n_members: int, n_channels: int, width: int) -> int:
    """Return about how many bytes a step of a fit of such networks takes at its peak; arguments are those of `LayeredNetwork`."""
    pixels = [math.prod(size) for size in sizes]
    # Autograd keeps the input of each convolution and of each norm; the backward pass has a few more of the largest.
    # Those of one member are alive at a time.
    hidden = n_channels * (2 * sum(pixels[1:]) + pixels[0] + 3 * max(pixels))
    n_taps: int = width ** len(sizes[0])
    weights = N_WEIGHT_COPIES * n_channels * ((len(sizes) - 1) * (n_taps * n_channels + 2) + n_outputs)
    images = N_IMAGES * n_outputs * pixels[-1]
    return FLOAT_BYTES * (hidden + n_members * (weights + images))


def channel_norm(x: Tensor, scale: Tensor, offset: Tensor, leak: float) -> Tensor:
    """Take each channel's mean over the pixels out, divide by its deviation, scale and offset it, and apply a leaky ReLU.

    Parameters
    ----------
    x
        A batch of one, channels second.
    scale, offset
        One a channel.
    leak
        Slope of the ReLU below zero; with 1 it is none.
    """
    x = F.batch_norm(x, None, None, scale, offset, training=True, eps=1e-5)
    return x if leak == 1 else F.leaky_relu(x, leak, inplace=True)


class Norm(nn.Module):
    """Channel norm, and the leaky ReLU after it.

    Parameters
    ----------
    scale
        Initial scales, one a channel.
    leak
        Slope of the ReLU below zero; with 1 it is none.

    Attributes
    ----------
    compute
        What computes it, see `channel_norm`.
    """

    def __init__(self, scale: Tensor, leak: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(scale)
        self.offset = nn.Parameter(torch.zeros_like(scale))
        self.leak = leak
        self.compute = channel_norm

    def forward(self, x: Tensor) -> Tensor:
        """Map a batch of one, channels second."""
        return self.compute(x, self.scale, self.offset, self.leak)


def reflect(x: Tensor, before: int, after: int) -> Tensor:
    """Continue a batch beyond both ends of each spatial axis by its mirror image, whose mirror is the last sample.

    Unlike the library's, it takes axes of any length, one sample included, and its gradient has the same bits every time.
    """
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        places = [*range(-before, 0), *range(n, n + after)]
        outside = [x.narrow(axis, mirrored(place, n), 1) for place in places]
        x = torch.cat((*outside[:before], x, *outside[before:]), axis)
    return x


def mirrored(place: int, n: int) -> int:
    """Return which of n samples is seen at a place, which may lie beyond the ends."""
    period = max(1, 2 * (n - 1))
    return min(place % period, -place % period)
