"""The ConvDecoder: nearest-neighbor upsampling and 3×3 convolutions.

References
----------
Darestani and Heckel, "Accelerated MRI with un-trained neural networks", IEEE Trans. Comput. Imaging 7, 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from napari_convgen.core.generators.deep_decoder import LATENT_SCALE
from napari_convgen.core.generators.generator import FLOAT_BYTES, N_IMAGES, N_WEIGHT_COPIES
from napari_convgen.core.generators.grids import Size
from napari_convgen.core.generators.layers import CONVOLUTIONS, Norm, NormInit, SeparateNetworks, Start

WIDTH = 3
"""Number of learned weights of a convolution along each axis."""


class ConvDecoder(SeparateNetworks):
    r"""Layers of nearest-neighbor upsampling, a 3×3 convolution, ReLU and channel normalization; then a 1×1 convolution.

    .. math:: B_{i+1} = \mathrm{cn}(\mathrm{ReLU}(T_i U_i B_i)), \quad x = \mathrm{sigmoid}(B_n c),

    of the fixed random latent :math:`B_0`, uniform in [0, 0.1]. The grids grow by the same factor from layer to layer, up to that of the
    image, which the last two layers have; their sizes are rounded up, so that any size is reached exactly. Convolutions take zeros beyond
    the edges, and have no offset. With k channels, n layers and c outputs there are :math:`n (9 k^2 + 2 k) + k c` parameters in a
    plane. It is the authors' network with a last layer and without skip connections.

    Parameters
    ----------
    size
        Spatial shape of the image, 1 to 3 axes.
    n_outputs
        Number of channels of the image.
    n_channels
        Number of channels ``k`` of every hidden layer.
    n_layers
        Number of hidden layers ``n``, at least 2.
    latent_size
        Number of pixels of the latent along each axis; along a shorter one those of the image.
    rngs
        Source of chance of each member, for its latent and its initial weights; on the CPU whatever the device.
    output_map
        Map from the last layer to the image: ``"sigmoid"``, the default, or ``"linear"``, as the authors have it for k-space.
    norm_init
        Initial scale of the channel norm: ``"ones"`` (default), or ``"uniform"`` in [0, 1].
    dtype
        Type of the weights; float32 by default.
    """

    def __init__(
        self,
        size: Sequence[int],
        n_outputs: int,
        *,
        n_channels: int,
        n_layers: int,
        latent_size: int,
        rngs: Sequence[torch.Generator],
        output_map: Literal["sigmoid", "linear"] = "sigmoid",
        norm_init: NormInit = "ones",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        sizes = ladder(size, n_layers, latent_size)
        super().__init__(
            _Network(sizes, n_outputs, n_channels, output_map, norm_init, Start(rng, dtype)) for rng in rngs
        )


def ladder(size: Sequence[int], n_layers: int, latent_size: int) -> list[Size]:
    """Return the spatial shapes of the latent and of each layer's output, a geometric sequence along each axis."""

    def line(n: int) -> list[int]:
        first = min(latent_size, n)
        ratio = (n / first) ** (1 / (n_layers - 1))
        return [first, *(math.ceil(ratio**i * first) for i in range(1, n_layers - 1)), n, n]

    return list(zip(*(line(n) for n in size), strict=True))


def memory_bytes(
    size: Sequence[int],
    n_outputs: int,
    *,
    n_members: int,
    n_channels: int,
    n_layers: int,
    latent_size: int,
    **_: Any,
) -> int:
    """Return about how many bytes a step of a fit takes at its peak."""
    pixels = [math.prod(grid) for grid in ladder(size, n_layers, latent_size)]
    # Autograd keeps the input of each convolution and of each norm; the backward pass has a few more of the largest.
    hidden = n_channels * (2 * sum(pixels[1:]) + pixels[0] + 3 * pixels[-1])
    n_taps: int = WIDTH ** len(size)
    weights = N_WEIGHT_COPIES * n_channels * (n_layers * (n_taps * n_channels + 2) + n_outputs)
    images = N_IMAGES * n_outputs * pixels[-1]
    return FLOAT_BYTES * n_members * (hidden + weights + images)


class _Network(nn.Module):
    """One net; its tensors are batches of one, channels second."""

    latent: Tensor

    def __init__(
        self,
        sizes: Sequence[Size],
        n_outputs: int,
        k: int,
        output_map: str,
        norm_init: NormInit,
        start: Start,
    ) -> None:
        super().__init__()
        self.sizes, self.output_map = sizes, output_map
        n_axes, n_layers = len(sizes[0]), len(sizes) - 1
        self.register_buffer("latent", start.uniform(0, LATENT_SCALE, 1, k, *sizes[0]))
        self.convolutions = nn.ParameterList(start.weights(k, k, *(WIDTH,) * n_axes) for _ in range(n_layers))
        self.norms = nn.ModuleList(Norm(start.scales(k, norm_init)) for _ in range(n_layers))
        self.output_convolution = nn.Parameter(start.weights(n_outputs, k, *(1,) * n_axes))

    def forward(self) -> Float[Tensor, "1 c *spatial"]:
        last = self.features()[-1]
        image = CONVOLUTIONS[last.ndim - 2](last, self.output_convolution)
        return torch.sigmoid(image) if self.output_map == "sigmoid" else image

    def features(self) -> list[Tensor]:
        """The hidden tensors B_1 … B_n."""
        features = [self.latent]
        for weights, norm, size in zip(self.convolutions, self.norms, self.sizes[1:], strict=True):
            x = features[-1]
            if x.shape[2:] != size:
                x = F.interpolate(x, size=size, mode="nearest")
            x = CONVOLUTIONS[len(size)](x, weights, padding=WIDTH // 2)
            features.append(norm(F.relu(x)))
        return features[1:]
