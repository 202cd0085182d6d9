"""The skip network of the deep image prior: an hourglass of learned convolutions that draws an image from noise.

References
----------
Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior", CVPR 2018; International Journal of Computer Vision 128, 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from napari_convgen.core.generators.deep_decoder import LATENT_SCALE, OutputMap, channel_norm, grid_sizes
from napari_convgen.core.generators.generator import Generator
from napari_convgen.core.generators.input_noise import InputNoise
from napari_convgen.core.generators.upsampling import upsample
from napari_convgen.core.memory import N_IMAGES, N_WEIGHT_COPIES

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
"""By number of spatial axes."""

LEAK = 0.2
"""Slope of the leaky ReLU below zero."""


class SkipNetwork(Generator):
    r"""Halve the grid ``n_scales`` times with strided convolutions, and double it again beside thin skip connections.

    With :math:`c_w` a convolution of width w, a channel norm and a leaky ReLU, and :math:`U` upsampling, scale i maps its input x to

    .. math:: D_i(x) = c_1(c_3(\mathrm{cn}(\,c_1(x),\; U D_{i+1}(c_3(c_3^{/2}(x)))\,))),

    and :math:`D_{n}(x) = x` ends it. The image is :math:`\rho(D_0(z) C + b)` of the fixed random latent z of the image's own size.
    The published network for denoising has 128 channels everywhere, 5 scales, 4 skip channels, 32 latent channels and
    linear upsampling: 2,217,831 parameters with 3 outputs, or 2,215,251 without the offsets of convolutions before a
    norm, which takes them out again; they are left out here. Edges are padded with zeros, where the published one reflects.

    Members are nets of their own, each with its own start and its own input noise, evaluated one after the other.

    Parameters
    ----------
    size
        Spatial shape of the image, 1 to 3 axes of any length, odd and prime ones included.
    n_outputs
        Output channels.
    rngs
        One source of chance for each member, on the CPU whatever the device: of its latent, initial weights and input noise.
        Members with the same seed are the same at each step.
    n_channels
        Channels of the layers on all grids but the finest.
    n_fine_channels
        Channels of the layers on the finest grid, which take most of the time.
    n_scales
        How often the grid is halved.
    n_skip_channels
        Channels of a skip connection.
    n_latent_channels
        Channels of the latent.
    input_noise
        Standard deviation of the noise that is added to the latent, afresh in each forward pass in training mode. The latent is
        uniform in [0, 0.1].
    output_map
        ``"sigmoid"``, or ``"linear"``: the sigmoid's tangent, ``1/2 + x/4``.
    kernel
        Upsampling kernel, see `napari_convgen.core.generators.upsampling.KERNELS`.
    features_dtype
        Of the hidden layers. In ``torch.bfloat16`` they take half the memory, and half the time where the processor has
        instructions for it; the norms' statistics, the last convolution and the weights keep ``dtype``.
    dtype
        Of the weights and the image.
    """

    is_capturable = False  # the input noise comes from a source of its own

    def __init__(
        self,
        size: Sequence[int],
        n_outputs: int,
        *,
        rngs: Sequence[torch.Generator],
        n_channels: int = 64,
        n_fine_channels: int = 32,
        n_scales: int = 4,
        n_skip_channels: int = 4,
        n_latent_channels: int = 8,
        input_noise: float = 0.03,
        output_map: OutputMap = "sigmoid",
        kernel: str = "linear",
        features_dtype: torch.dtype | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(
            _Member(
                grid_sizes(size, n_scales),
                n_outputs,
                _widths(n_channels, n_fine_channels, n_scales),
                n_skip_channels,
                n_latent_channels,
                InputNoise(input_noise, rng),
                output_map,
                kernel,
                features_dtype or dtype,
                _Start(rng, dtype),
            )
            for rng in rngs
        )

    def forward(self) -> Float[Tensor, "m c *spatial"]:
        """Return the members' images: output channels first, values around [0, 1]."""
        return torch.stack([member() for member in self.members]).movedim(-1, 1)

    @torch.no_grad()
    def dead_fraction(self) -> float:
        """Return the largest share, over members and layers, of channels that are the same at every pixel."""
        shares: list[float] = []

        def note(layer: nn.Module, inputs: Any, features: Tensor) -> None:
            low, high = features.flatten(0, -2).aminmax(dim=0)
            shares.append(float((low == high).float().mean()))

        hooks = [layer.register_forward_hook(note) for layer in self.modules() if isinstance(layer, _Layer)]
        try:
            for member in self.members:
                member(is_noisy=False)
        finally:
            for hook in hooks:
                hook.remove()
        return max(shares)


def skip_bytes(
    size: Sequence[int],
    n_outputs: int,
    *,
    n_members: int,
    n_channels: int,
    n_fine_channels: int,
    n_scales: int,
    n_skip_channels: int,
    n_latent_channels: int,
    itemsize: int = 4,
) -> int:
    """Return about how many bytes a step of a `SkipNetwork` takes at its peak, the optimizer's among them.

    Parameters
    ----------
    size, n_outputs, n_channels, n_fine_channels, n_scales, n_skip_channels, n_latent_channels
        As for the network.
    n_members
        Nets, whose hidden tensors are all alive at once.
    itemsize
        Bytes of a hidden value.
    """
    pixels = [math.prod(grid) for grid in reversed(grid_sizes(size, n_scales))]
    widths = _widths(n_channels, n_fine_channels, n_scales)
    hidden = n_weights = 0
    n_in = n_latent_channels
    for n, n_below, n_fine, n_coarse in zip(widths, _below(widths), pixels[:-1], pixels[1:], strict=True):
        n_joined = n_skip_channels + n_below
        # Autograd keeps what goes into each norm and what comes out.
        hidden += 2 * n_fine * (n_skip_channels + n_joined + 2 * n) + 2 * n_coarse * 2 * n
        n_weights += n_in * n_skip_channels + 3 ** len(size) * n * (n_in + n + n_joined) + n * n
        n_in = n
    gradients = 3 * pixels[0] * (n_skip_channels + _below(widths)[0])
    copied = n_fine_channels if itemsize < 4 else 0  # the last convolution is not rounded
    finest = 4 * pixels[0] * (copied + 2 * n_latent_channels + N_IMAGES * n_outputs)
    return n_members * (itemsize * hidden + finest + 4 * N_WEIGHT_COPIES * n_weights) + itemsize * gradients


def _widths(n_channels: int, n_fine_channels: int, n_scales: int) -> list[int]:
    """Channels of each scale's layers, the finest first."""
    return [n_fine_channels] + [n_channels] * (n_scales - 1)


def _below(widths: Sequence[int]) -> list[int]:
    """Channels that come up to each scale from below."""
    return [*widths[1:], widths[-1]]


class _Start:
    """Draws of initial values."""

    def __init__(self, rng: torch.Generator, dtype: torch.dtype) -> None:
        self.rng, self.dtype = rng, dtype

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        draw = torch.rand(shape, generator=self.rng, dtype=torch.float64)
        return (low + (high - low) * draw).to(self.dtype)

    def weights(self, n_out: int, n_in: int, *width: int) -> Tensor:
        """PyTorch's default for a convolution."""
        bound = (n_in * math.prod(width)) ** -0.5
        return self.uniform(-bound, bound, n_out, n_in, *width)


class _Member(nn.Module):
    """One net: its latent, its noise, and the ways down and up, those of the finest grid first."""

    latent: Tensor

    def __init__(
        self,
        sizes: Sequence[tuple[int, ...]],
        n_outputs: int,
        widths: Sequence[int],
        n_skip_channels: int,
        n_latent_channels: int,
        noise: InputNoise,
        output_map: OutputMap,
        kernel: str,
        features_dtype: torch.dtype,
        start: _Start,
    ) -> None:
        super().__init__()
        self.output_map, self.features_dtype = output_map, features_dtype
        self.noise = noise
        self.register_buffer("latent", start.uniform(0, LATENT_SCALE, *sizes[-1], n_latent_channels))
        n_in, n_axes = n_latent_channels, len(sizes[-1])
        wide = (3,) * n_axes
        self.ways_down, self.ways_up = nn.ModuleList(), nn.ModuleList()
        for n, n_below, size in zip(widths, _below(widths), reversed(sizes[1:]), strict=True):
            halving = _Layer(start.weights(n, n_in, *wide), stride=2)
            self.ways_down.append(nn.Sequential(halving, _Layer(start.weights(n, n, *wide))))
            self.ways_up.append(_WayUp(n_in, n_below, n, n_skip_channels, size, kernel, start))
            n_in = n
        self.output_weights = nn.Parameter(start.weights(n_outputs, widths[0]).t().contiguous())
        self.output_offset = nn.Parameter(start.uniform(-(widths[0] ** -0.5), widths[0] ** -0.5, n_outputs))

    def forward(self, is_noisy: bool = True) -> Tensor:
        """Return the image, channels last."""
        latent = self.noise(self.latent) if is_noisy else self.latent
        x, inputs = latent.to(self.features_dtype), []
        for go_down in self.ways_down:
            inputs.append(x)
            x = go_down(x)
        for go_up, above in zip(reversed(self.ways_up), reversed(inputs), strict=True):
            x = go_up(above, x)
        x = x.to(self.output_weights.dtype) @ self.output_weights + self.output_offset
        return torch.sigmoid(x) if self.output_map == "sigmoid" else 0.5 + x / 4


class _WayUp(nn.Module):
    """From half the grid back to the grid, beside a skip connection."""

    def __init__(
        self, n_above: int, n_below: int, n: int, n_skip: int, size: tuple[int, ...], kernel: str, start: _Start
    ) -> None:
        super().__init__()
        self.size, self.kernel = size, kernel
        narrow, wide = (1,) * len(size), (3,) * len(size)
        self.skip = _Layer(start.weights(n_skip, n_above, *narrow))
        self.norm_scale = nn.Parameter(torch.ones(n_skip + n_below, dtype=start.dtype))
        self.norm_offset = nn.Parameter(torch.zeros(n_skip + n_below, dtype=start.dtype))
        self.layers = nn.Sequential(
            _Layer(start.weights(n, n_skip + n_below, *wide)), _Layer(start.weights(n, n, *narrow))
        )

    def forward(self, above: Tensor, below: Tensor) -> Tensor:
        joined = torch.cat((self.skip(above), upsample(below, self.size, self.kernel)), -1)
        drawn: Tensor = self.layers(channel_norm(joined, self.norm_scale, self.norm_offset))
        return drawn


class _Layer(nn.Module):
    """Convolution, channel norm, leaky ReLU; channels last. The norm takes the place of an offset."""

    def __init__(self, weights: Tensor, stride: int = 1) -> None:
        super().__init__()
        self.weights, self.stride = nn.Parameter(weights), stride
        self.norm_scale = nn.Parameter(weights.new_ones(len(weights)))
        self.norm_offset = nn.Parameter(weights.new_zeros(len(weights)))

    def forward(self, x: Tensor) -> Tensor:
        convolve, padding = CONVOLUTIONS[x.ndim - 1], self.weights.shape[-1] // 2
        # Seen as an image with its channels first, in the memory order that oneDNN and cuDNN know as channels-last.
        image = convolve(x.movedim(-1, 0)[None], self.weights.to(x.dtype), stride=self.stride, padding=padding)
        normed = channel_norm(image[0].movedim(0, -1), self.norm_scale, self.norm_offset)
        return F.leaky_relu(normed, LEAK, inplace=True)
