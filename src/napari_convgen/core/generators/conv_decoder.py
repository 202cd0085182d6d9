"""The ConvDecoder: nearest-neighbor upsampling and 3×3 convolutions.

References
----------
Darestani and Heckel, "Accelerated MRI with un-trained neural networks", IEEE Trans. Comput. Imaging 7, 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_convgen.core.generators.generator import OutputMap
from napari_convgen.core.generators.grids import Size
from napari_convgen.core.generators.layers import (
    CONVOLUTIONS,
    LayeredNetwork,
    NormInit,
    SeparateNetworks,
    Start,
    layered_memory_bytes,
)

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
        output_map: OutputMap = "sigmoid",
        norm_init: NormInit = "ones",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        sizes = ladder(size, n_layers, latent_size)
        super().__init__(
            _Member(sizes, n_outputs, n_channels, WIDTH, norm_init, output_map, Start(rng, dtype)) for rng in rngs
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
    sizes = ladder(size, n_layers, latent_size)
    return layered_memory_bytes(sizes, n_outputs, n_members=n_members, n_channels=n_channels, width=WIDTH)


class _Member(LayeredNetwork):
    def convolved(self, x: Tensor, weights: Tensor, size: Size) -> Tensor:
        """Enlarge by the nearest neighbor where the grid grows, and convolve."""
        enlarged = x if x.shape[2:] == size else F.interpolate(x, size=size, mode="nearest")
        return CONVOLUTIONS[len(size)](enlarged, weights, padding=WIDTH // 2)
