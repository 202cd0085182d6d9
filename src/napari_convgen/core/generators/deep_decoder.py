"""The deep decoder: an under- or over-parameterized generator without learned convolution kernels.

References
----------
Heckel and Soltanolkotabi, "Denoising and Regularization via Exploiting the Structural Bias of Convolutional Generators",
ICLR 2020, section 1.1; Heckel and Hand, "Deep Decoder", ICLR 2019.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

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
from napari_convgen.core.generators.grids import Size, grid_sizes
from napari_convgen.core.generators.layers import NormInit, Start
from napari_convgen.core.generators.upsampling import upsample

Order = Literal["relu-norm", "norm-relu"]
ExtraLayer = Literal["none", "first", "last"]

THIN = 32
"""Largest number of pixels along an axis of a volume beyond whose ends a margin is drawn too. Our choice: there the ends are a large
share of the volume, and a margin along longer axes would take more time for less."""


class DeepDecoder(Generator):
    r"""Independent networks, the members: fixed upsampling, 1×1 convolutions, ReLU and channel normalization.

    In each, with :math:`B_0` the fixed random latent and channels as columns,

    .. math:: B_{i+1} = \mathrm{cn}(\mathrm{ReLU}(U_i B_i C_i)), \quad x = \rho(B_d C_{d+1}),

    where :math:`U_i` doubles the grid with a fixed kernel, :math:`\mathrm{cn}` gives each channel zero mean and unit variance over
    the pixels and then a learned scale and offset, and :math:`\rho` is the output range map. A 1×1 convolution commutes
    with the upsampling, so it is done before, on a quarter of the pixels.

    Beyond the ends of a grid, upsampling repeats its last sample, so that an image is flat at its edges. Along thin axes of a volume, whose
    slices at the ends are a large share of it, a margin is drawn beyond both ends and cut off; see `margins`.

    All tensors have the members first: the latent ``(m, *coarse, k)``, each convolution ``(m, k, k)``, scales and offsets of a norm
    ``(m, k)``, the output convolution ``(m, k, c)``. A member has the same bits as a generator of this member alone.

    Parameters
    ----------
    size
        Spatial shape of the image, 1 to 3 axes of any length, odd and prime ones included.
    n_outputs
        Number of channels of the image.
    n_channels
        Number of channels ``k`` of every hidden layer.
    n_scales
        Number of upsamplings ``d``. The latent's grid is ``size`` halved ``d`` times, see `napari_convgen.core.generators.grids`; 16 pixels
        is usual.
    rngs
        Source of chance of each member, for its latent and its initial weights; on the CPU whatever the device, so that a seed means one
        start.
    order
        Order of ReLU and channel norm: ``"relu-norm"`` as in the formula (default), or ``"norm-relu"`` as in the paper's Table 1.
    output_map
        Output range map: ``"sigmoid"`` (default), or ``"linear"``: the sigmoid's tangent, ``1/2 + x/4``.
    extra_layer
        Place of one more hidden layer without upsampling: ``"last"``, on the image's grid before the output, or ``"first"``, on the
        latent's, as in the authors' code (``upsample_first=True`` and ``False``); ``"none"`` as in the formula (default).
    norm_init
        Initial scale of the channel norm: ``"ones"``, or ``"uniform"`` in [0, 1] as in the PyTorch of the paper's time.
    kernel
        Upsampling kernel, see `napari_convgen.core.generators.upsampling.KERNELS`.
    spacing
        Distance between neighboring pixels along each axis, in a common unit; ``None``, the default, if it is the same along all.
    dtype
        Type of the weights; float32 by default.

    Attributes
    ----------
    sizes
        Sizes of the grids before the first hidden layer and after each, with margins.
    inside
        The part of the last grid that is the image, without margins.
    """

    pace_of_torch: ClassVar[str] = "several times slower"

    latent: Tensor

    @classmethod
    def backends(cls, n_axes: int) -> tuple[str, ...]:
        """Return the names of the backends that fuse its blocks."""
        return ("numba", "triton")

    @classmethod
    def precisions(cls, backend: str) -> tuple[str, ...]:
        """Return the number formats of the matrix products: only fused blocks have another than float32."""
        return ("float32",) if backend == "torch" else ("float32", "bfloat16")

    def __init__(
        self,
        size: Sequence[int],
        n_outputs: int,
        *,
        n_channels: int,
        n_scales: int,
        rngs: Sequence[torch.Generator],
        order: Order = "relu-norm",
        output_map: OutputMap = "sigmoid",
        extra_layer: ExtraLayer = "none",
        norm_init: NormInit = "ones",
        kernel: str = "linear",
        spacing: Sequence[float] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        beyond = margins(size, n_scales, spacing)
        self.inside = tuple(slice(m, m + n) for m, n in zip(beyond, size, strict=True))
        self.sizes = layer_sizes(size, n_scales, extra_layer, spacing)
        self.order, self.output_map, self.kernel = order, output_map, kernel

        k = n_channels
        n_hidden = len(self.sizes) - 1
        bound = k**-0.5  # PyTorch's default for a convolution with k inputs

        def draw(rng: torch.Generator) -> tuple[Tensor, list[Tensor], list[Tensor], Tensor]:
            """Draw a member: its latent, convolutions, scales, and output convolution."""
            start = Start(rng, dtype)
            return (
                start.uniform(0, LATENT_SCALE, *self.sizes[0], k),
                [start.uniform(-bound, bound, k, k) for _ in range(n_hidden)],
                [start.scales(k, norm_init) for _ in range(n_hidden)],
                start.uniform(-bound, bound, k, n_outputs),
            )

        latents, convolutions, scales, output_convolutions = zip(*map(draw, rngs), strict=True)
        self.register_buffer("latent", torch.stack(latents))
        self.convolutions = nn.ParameterList(torch.stack(layer) for layer in zip(*convolutions, strict=True))
        self.norm_scales = nn.ParameterList(torch.stack(layer) for layer in zip(*scales, strict=True))
        self.norm_offsets = nn.ParameterList(torch.zeros_like(scale) for scale in self.norm_scales)
        self.output_convolution = nn.Parameter(torch.stack(output_convolutions))

    def forward(self) -> Float[Tensor, "m c *spatial"]:
        """Return each member's image: output channels first, values around [0, 1]."""
        pairs = zip(self._features(), _members(self.output_convolution), strict=True)
        return self.to_image(torch.stack([(features[-1] @ weights).movedim(-1, 0) for features, weights in pairs]))

    def to_image(self, x: Float[Tensor, "m c *grid"]) -> Float[Tensor, "m c *spatial"]:
        """Cut off the margins, and apply the output range map."""
        x = x[(slice(None), slice(None), *self.inside)]
        if self.output_map == "linear":
            return 0.5 + x / 4
        # Each member alone: the library rounds the last values of a tensor otherwise than the rest.
        return torch.stack([torch.sigmoid(member) for member in x.unbind()])

    @torch.no_grad()
    def dead_fraction(self) -> float:
        """Return the largest share, over members and hidden layers, of channels that are the same at every pixel."""
        pixels = [features.flatten(0, -2) for member in self._features() for features in member]
        return max(float((x.amax(0) == x.amin(0)).float().mean()) for x in pixels)

    def layer_weights(self) -> Mapping[str, Sequence[Tensor]]:
        """Return the convolution weights of each layer, one tensor a member."""
        return named_layers([weights.unbind() for weights in self.convolutions], self.output_convolution.unbind())

    def _features(self) -> list[list[Tensor]]:
        """Each member's hidden tensors B_1 … B_d, channels last."""
        layers = zip(self.convolutions, self.norm_scales, self.norm_offsets, strict=True)
        by_layer = [zip(*map(_members, layer), strict=True) for layer in layers]
        return [
            self._features_of(*member)
            for member in zip(_members(self.latent), zip(*by_layer, strict=True), strict=True)
        ]

    def _features_of(self, x: Tensor, layers: Sequence[tuple[Tensor, Tensor, Tensor]]) -> list[Tensor]:
        """The hidden tensors of a member: its latent, and each layer's convolution, scale and offset."""
        features = []
        for size, (convolution, scale, offset) in zip(self.sizes[1:], layers, strict=True):
            is_upsampled = x.shape[:-1] != size
            x = x @ convolution
            if is_upsampled:
                x = upsample(x, size, self.kernel)
            if self.order == "relu-norm":
                x = channel_norm(F.relu_(x), scale, offset)
            else:
                x = F.relu(channel_norm(x, scale, offset))
            features.append(x)
        return features


def margins(size: Sequence[int], n_scales: int, spacing: Sequence[float] | None = None) -> Size:
    """Return how many pixels are drawn beyond either end of each axis: half a pixel of the coarsest grid along `THIN` axes of a volume."""
    steps = list(itertools.pairwise(grid_sizes(size, n_scales, spacing)))
    n_halvings = [sum(coarse[axis] < fine[axis] for coarse, fine in steps) for axis in range(len(size))]
    is_volume = len(size) == 3
    return tuple(
        2**halvings // 2 if is_volume and n <= THIN else 0 for n, halvings in zip(size, n_halvings, strict=True)
    )


def layer_sizes(
    size: Sequence[int], n_scales: int, extra_layer: ExtraLayer, spacing: Sequence[float] | None = None
) -> list[Size]:
    """Return the spatial shapes before the first hidden layer and after each, with margins; those around the extra layer are equal."""
    beyond = margins(size, n_scales, spacing)
    sizes = grid_sizes([n + 2 * m for n, m in zip(size, beyond, strict=True)], n_scales, spacing)
    return {"none": sizes, "first": [sizes[0], *sizes], "last": [*sizes, sizes[-1]]}[extra_layer]


def memory_bytes(
    size: Sequence[int],
    n_outputs: int,
    *,
    n_members: int,
    n_channels: int,
    n_scales: int,
    extra_layer: ExtraLayer = "none",
    is_fused: bool = False,
    spacing: Sequence[float] | None = None,
    **_: Any,
) -> int:
    """Return about how many bytes a step of a fit takes at its peak."""
    pixels = [math.prod(grid) for grid in layer_sizes(size, n_scales, extra_layer, spacing)]
    coarse, fine = pixels[:-1], pixels[1:]
    if is_fused:
        n_hidden = sum(coarse) + max(coarse)
    else:  # Autograd keeps two tensors of each layer, and the backward pass has a few more of the largest.
        n_hidden = 2 * sum(fine) + 3 * max(fine)
    weights = N_WEIGHT_COPIES * len(fine) * n_channels * (n_channels + 2)
    images = N_IMAGES * n_outputs * max(fine)
    return FLOAT_BYTES * n_members * (n_hidden * n_channels + weights + images)


def _members(x: Tensor) -> list[Tensor]:
    """Each member's part in memory of its own: the last bits of a matrix product depend on where in memory its factors begin."""
    return [member.clone() for member in x.unbind()]


def channel_norm(
    x: Float[Tensor, "*spatial k"], scale: Float[Tensor, "k"], offset: Float[Tensor, "k"]
) -> Float[Tensor, "*spatial k"]:
    """Give each channel zero mean and unit variance over the pixels (biased, ε = 1e-5), then ``scale`` and ``offset``."""
    k = x.shape[-1]
    # One batch of one image in PyTorch's channels-last format: the library's fast path for this memory order.
    image = x.reshape(1, -1, 1, k).permute(0, 3, 1, 2)
    normed = F.batch_norm(image, None, None, scale, offset, training=True, eps=1e-5)
    return normed.permute(0, 2, 3, 1).reshape(x.shape)
