"""The skip network of the deep image prior: an hourglass of learned convolutions that draws an image from noise.

References
----------
Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior", CVPR 2018; International Journal of Computer Vision 128, 2020.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
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
from napari_convgen.core.generators.grids import Size, grid_sizes, strides
from napari_convgen.core.generators.input_noise import Dropout, InputNoise
from napari_convgen.core.generators.layers import CONVOLUTIONS, Norm, Start, reflect
from napari_convgen.core.generators.upsampling import upsample

Padding = Literal["zeros", "reflection"]

N_FINE_SCALES = 2
"""Scales with fewer channels."""

LEAK = 0.2
"""Slope of the leaky ReLU below zero."""


class HourglassGenerator(Generator):
    """What generators that are made of hourglasses have in common."""

    makes_tensors_anew = True

    @classmethod
    def backends(cls, n_axes: int) -> tuple[str, ...]:
        """Return the name of the backend that computes the norms on the CPU, but not in volumes.

        Volumes are left to PyTorch's layout of channels first: its convolution of volumes in half precision reads memory that was never
        written where channels come last (oneDNN 3.12).
        """
        return ("numba",) if n_axes < 3 else ()

    @classmethod
    def precisions(cls, backend: str) -> tuple[str, ...]:
        """Return the number formats of the hidden layers."""
        return ("float32", "bfloat16")

    def forward(self) -> Float[Tensor, "m c *spatial"]:
        """Return the members' images."""
        return torch.stack(list(self._images())).movedim(-1, 1)

    def draw(self) -> Iterator[Float[Tensor, "1 c *spatial"]]:
        """Yield the image of each member."""
        for image in self._images():
            yield image[None].movedim(-1, 1)

    def _images(self) -> Iterator[Float[Tensor, "*spatial c"]]:
        """Yield the image of each member, channels last."""
        raise NotImplementedError

    @torch.no_grad()
    def dead_fraction(self) -> float:
        """Return the largest share, over members and layers, of channels that are the same at every pixel."""
        shares: list[float] = []

        def note(layer: nn.Module, inputs: Any, features: Tensor) -> None:
            low, high = features[0].flatten(1).aminmax(dim=1)
            shares.append(float((low == high).float().mean()))

        hooks = [layer.register_forward_hook(note) for layer in self.modules() if isinstance(layer, _Layer)]
        was_training = self.training
        try:
            self.eval()()
        finally:
            self.train(was_training)
            for hook in hooks:
                hook.remove()
        return max(shares)

    def layer_weights(self) -> Mapping[str, Sequence[Tensor]]:
        """Return the convolution weights of each layer on the way down and up, one tensor a member."""
        hourglasses = [each for each in self.modules() if isinstance(each, Hourglass)]
        hidden = zip(*(each.hidden_weights() for each in hourglasses), strict=True)
        return named_layers(list(hidden), [each.output_weights for each in hourglasses])


class SkipNetwork(HourglassGenerator):
    r"""Halve the grid ``n_scales`` times with strided convolutions, and double it again beside thin skip connections.

    With :math:`c_w` a convolution of width w, a channel norm and a leaky ReLU, and :math:`U` upsampling, scale i maps its input x to

    .. math:: D_i(x) = c_1(c_3(\mathrm{cn}(\,c_1(x),\; U D_{i+1}(c_3(c_3^{/2}(x)))\,))),

    and :math:`D_{n}(x) = x` ends it. The image is :math:`\rho(D_0(z) C + b)` of the fixed random latent z of the image's own size.
    The published network for denoising has 128 channels everywhere, 5 scales, 4 skip channels, 32 latent channels and
    linear upsampling: 2,217,831 parameters with 3 outputs, or 2,215,251 without the offsets of convolutions before a
    norm, which takes them out again; they are left out here.

    Members are independent networks, each with its own start and its own input noise, evaluated one after the other.

    Parameters
    ----------
    size
        Spatial shape of the image, 1 to 3 axes of any length, odd and prime ones included.
    n_outputs
        Number of channels of the image.
    rngs
        Source of chance of each member, for its latent, initial weights and input noise; on the CPU whatever the device. Members with the
        same seed are the same at each step.
    n_channels
        Number of channels of the layers of the coarser scales.
    n_fine_channels
        Number of channels of the layers of the two finest scales, which take most of the time.
    n_scales
        Number of times that the grid is halved, see `napari_convgen.core.generators.grids`.
    n_skip_channels
        Number of channels of a skip connection.
    n_latent_channels
        Number of channels of the latent.
    input_noise
        Standard deviation of the noise that is added to the latent, afresh in each forward pass in training mode. The latent is
        uniform in [0, 0.1].
    dropout
        Share of the values that are set to zero by chance where a skip and what comes from below are joined, afresh in each forward
        pass in training mode, in steps of 1/256. It delays the noise as input noise does, and may make the peak flatter.
    padding
        Continuation beyond the edges for convolutions of width 3: ``"zeros"`` (default), or the tensor's ``"reflection"`` as in the
        published network.
    output_map
        Output range map: ``"sigmoid"``, or ``"linear"``: the sigmoid's tangent, ``1/2 + x/4``.
    kernel
        Upsampling kernel, see `napari_convgen.core.generators.upsampling.KERNELS`.
    features_dtype
        Type of the hidden layers, ``dtype`` by default. In ``torch.bfloat16`` they take half the memory, and half the time where the
        processor has instructions for it; the norms' statistics, the last convolution and the weights keep ``dtype``.
    spacing
        Distance between neighboring pixels along each axis, in a common unit; ``None``, the default, if it is the same along all.
    dtype
        Type of the weights and the image; float32 by default.
    """

    is_capturable = False  # the input noise comes from a source of its own

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
        n_latent_channels: int = 32,
        input_noise: float = 0.03,
        dropout: float = 0.0,
        padding: Padding = "zeros",
        output_map: OutputMap = "sigmoid",
        kernel: str = "linear",
        features_dtype: torch.dtype | None = None,
        spacing: Sequence[float] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(
            _Member(
                rng,
                input_noise,
                n_latent_channels,
                size=size,
                n_outputs=n_outputs,
                n_channels=n_channels,
                n_fine_channels=n_fine_channels,
                n_scales=n_scales,
                n_skip_channels=n_skip_channels,
                dropout=dropout,
                padding=padding,
                output_map=output_map,
                kernel=kernel,
                features_dtype=features_dtype or dtype,
                spacing=spacing,
                dtype=dtype,
            )
            for rng in rngs
        )

    def _images(self) -> Iterator[Float[Tensor, "*spatial c"]]:
        return (member() for member in self.members)


def scale_widths(n_channels: int, n_fine_channels: int, n_scales: int) -> list[int]:
    """Channels of each scale's layers, the finest first."""
    return [n_fine_channels if i < N_FINE_SCALES else n_channels for i in range(n_scales)]


def widths_up(widths: Sequence[int]) -> list[int]:
    """Channels that each scale hands up: as many as the next finer scale has."""
    return [widths[0], *widths[:-1]]


def memory_bytes(
    size: Sequence[int],
    n_outputs: int,
    *,
    n_members: int,
    n_channels: int,
    n_fine_channels: int,
    n_scales: int,
    n_skip_channels: int,
    n_latent_channels: int | None = None,
    dropout: float = 0.0,
    padding: Padding = "zeros",
    itemsize: int = FLOAT_BYTES,
    spacing: Sequence[float] | None = None,
    **_: Any,
) -> int:
    """Return about how many bytes a step of a fit takes at its peak.

    The hidden tensors of one member are alive at a time. Without a latent, the network's input has as many channels as the image.
    """
    n_inputs = n_outputs if n_latent_channels is None else n_latent_channels
    pixels = [math.prod(grid) for grid in reversed(grid_sizes(size, n_scales, spacing))]
    widths = scale_widths(n_channels, n_fine_channels, n_scales)
    hidden = n_weights = 0
    n_in = n_inputs
    for n, n_up, n_fine, n_coarse in zip(widths, widths_up(widths), pixels[:-1], pixels[1:], strict=True):
        n_joined = n_skip_channels + n
        # Autograd keeps what goes into each norm and what comes out.
        hidden += 2 * n_fine * (n_skip_channels + n_joined + n + n_up) + 2 * n_coarse * 2 * n
        hidden += n_fine * n_joined * (dropout > 0)
        if padding == "reflection":  # what is reflected is copied
            hidden += n_fine * (n_in + n_joined) + n_coarse * n
        n_weights += n_in * n_skip_channels + 3 ** len(size) * n * (n_in + n + n_joined) + n * n_up
        n_in = n
    gradients = 3 * pixels[0] * (n_skip_channels + n_fine_channels)
    copied = n_fine_channels if itemsize < FLOAT_BYTES else 0  # the last convolution is not rounded
    own = pixels[0] * (2 * n_inputs + N_IMAGES * n_outputs) + N_WEIGHT_COPIES * n_weights
    return itemsize * (hidden + gradients) + FLOAT_BYTES * (pixels[0] * copied + n_members * own)


class _Member(nn.Module):
    """One net: its latent, the noise on it, and the hourglass."""

    latent: Tensor

    def __init__(
        self, rng: torch.Generator, input_noise: float, n_latent_channels: int, *, size: Sequence[int], **settings: Any
    ) -> None:
        super().__init__()
        self.noise = InputNoise(input_noise, rng)
        start = Start(rng, settings.pop("dtype"))
        self.register_buffer("latent", start.uniform(0, LATENT_SCALE, *size, n_latent_channels))
        self.hourglass = Hourglass(size, n_latent_channels, start=start, **settings)

    def forward(self) -> Tensor:
        """Return the image, channels last."""
        image: Tensor = self.hourglass(self.noise(self.latent))
        return image


class Hourglass(nn.Module):
    """The ways down and up of a skip network, those of the finest grid first.

    Parameters
    ----------
    size, n_outputs, n_channels, n_fine_channels, n_scales, n_skip_channels, dropout, padding, output_map, kernel, features_dtype, spacing
        Settings of `SkipNetwork`.
    n_inputs
        Number of channels of the input.
    start
        Source of the initial weights.
    """

    def __init__(
        self,
        size: Sequence[int],
        n_inputs: int,
        n_outputs: int,
        *,
        n_channels: int,
        n_fine_channels: int,
        n_scales: int,
        n_skip_channels: int,
        dropout: float,
        padding: Padding,
        output_map: OutputMap,
        kernel: str,
        features_dtype: torch.dtype,
        spacing: Sequence[float] | None,
        start: Start,
    ) -> None:
        super().__init__()
        self.output_map, self.features_dtype = output_map, features_dtype
        sizes = list(reversed(grid_sizes(size, n_scales, spacing)))
        widths = scale_widths(n_channels, n_fine_channels, n_scales)
        n_in, wide = n_inputs, (3,) * len(size)
        self.ways_down, self.ways_up = nn.ModuleList(), nn.ModuleList()
        for n, n_up, (size, coarse) in zip(widths, widths_up(widths), itertools.pairwise(sizes), strict=True):
            halving = _Layer(start.weights(n, n_in, *wide), padding, strides(coarse, size))
            self.ways_down.append(nn.Sequential(halving, _Layer(start.weights(n, n, *wide), padding)))
            self.ways_up.append(_WayUp(n_in, n, n_up, n_skip_channels, dropout, padding, size, kernel, start))
            n_in = n
        self.output_weights = nn.Parameter(start.weights(n_outputs, widths[0]).t().contiguous())
        self.output_offset = nn.Parameter(start.uniform(-(widths[0] ** -0.5), widths[0] ** -0.5, n_outputs))

    def forward(self, x: Float[Tensor, "*spatial k"]) -> Float[Tensor, "*spatial c"]:
        """Return the image; all channels last."""
        x, inputs = _as_image(x.to(self.features_dtype)), []
        for go_down in self.ways_down:
            inputs.append(x)
            x = go_down(x)
        for go_up, above in zip(reversed(self.ways_up), reversed(inputs), strict=True):
            x = go_up(above, x)
        x = _channels_last(x).to(self.output_weights.dtype) @ self.output_weights + self.output_offset
        return torch.sigmoid(x) if self.output_map == "sigmoid" else 0.5 + x / 4

    def hidden_weights(self) -> list[Tensor]:
        """Return the weights of the hidden convolutions, down from the image's grid and up again."""
        down = self.ways_down.modules()
        up = (layer for way in reversed(self.ways_up) for layer in way.modules())
        return [layer.weights for way in (down, up) for layer in way if isinstance(layer, _Layer)]


class _WayUp(nn.Module):
    """From half the grid back to the grid, beside a skip connection."""

    def __init__(
        self,
        n_in: int,
        n: int,
        n_up: int,
        n_skip: int,
        dropout: float,
        padding: Padding,
        size: tuple[int, ...],
        kernel: str,
        start: Start,
    ) -> None:
        super().__init__()
        self.size, self.kernel = size, kernel
        narrow, wide = (1,) * len(size), (3,) * len(size)
        self.skip = _Layer(start.weights(n_skip, n_in, *narrow), padding)
        self.norm = Norm(start.scales(n_skip + n, "ones"))
        self.dropout = Dropout(dropout, start.rng)
        self.layers = nn.Sequential(
            _Layer(start.weights(n, n_skip + n, *wide), padding),
            _Layer(start.weights(n_up, n, *narrow), padding),
        )

    def forward(self, above: Tensor, below: Tensor) -> Tensor:
        doubled = _as_image(upsample(_channels_last(below), self.size, self.kernel))
        joined = self.norm(torch.cat((self.skip(above), doubled), 1))
        drawn: Tensor = self.layers(_as_image(self.dropout(_channels_last(joined))))
        return drawn


class _Layer(nn.Module):
    """Convolution, channel norm with leaky ReLU. The norm takes the place of an offset."""

    def __init__(self, weights: Tensor, padding: Padding, stride: int | Size = 1) -> None:
        super().__init__()
        self.weights, self.padding, self.stride = nn.Parameter(weights), padding, stride
        self.norm = Norm(weights.new_ones(len(weights)), LEAK)

    def forward(self, x: Tensor) -> Tensor:
        convolve, n_beyond = CONVOLUTIONS[x.ndim - 2], self.weights.shape[-1] // 2
        if self.padding == "reflection":
            x, n_beyond = reflect(x, n_beyond, n_beyond), 0
        drawn: Tensor = self.norm(convolve(x, self.weights.to(x.dtype), stride=self.stride, padding=n_beyond))
        return drawn


def _as_image(x: Tensor) -> Tensor:
    """See a tensor with its channels last as a batch of one, channels second.

    By the stride of the batch PyTorch tells which layout it is in. Lines and planes are seen as what they are, which oneDNN and cuDNN are
    fast in. What is seen with channels first is copied by PyTorch: volumes, as convolutions of volumes in half precision read memory
    that was never written where channels come last (oneDNN 3.12), and all on MPS, whose batch norm has wrong gradients there.
    """
    if x.ndim > 3 or x.device.type == "mps":
        return x.movedim(-1, 0)[None]
    return x[None].movedim(-1, 1)


def _channels_last(x: Tensor) -> Tensor:
    """See a batch of one with its channels last."""
    return x.squeeze(0).movedim(0, -1)  # not x[0], whose gradient is copied into another layout
