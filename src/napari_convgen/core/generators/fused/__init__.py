"""Fast implementations: the deep decoder in fused blocks, and the channel norms of other networks.

A block upsamples ``z``, which has a quarter of the pixels, and applies ReLU and channel norm; the last block also sums over the channels.
No tensor of all channels on the finest grid is stored. `passes` defines the passes over ``z`` that a block needs, `cpu` and `gpu` compute
them, and `decoder` combines the blocks with the matrix products between them. `napari_convgen.core.generators.DeepDecoder` is the plain
implementation that the tests compare with.

`norm` computes the channel norm and leaky ReLU of networks with learned convolutions; PyTorch computes their convolutions.
"""

from __future__ import annotations

from typing import Literal

from napari_convgen.core.generators import DeepDecoder, Generator
from napari_convgen.core.generators.fused.decoder import FusedDecoder
from napari_convgen.core.generators.fused.passes import Passes
from napari_convgen.core.generators.fused.products import Precision, Products
from napari_convgen.core.generators.layers import Norm

__all__ = ["FusedDecoder", "fuse", "fuse_norms"]


def fuse(
    decoder: DeepDecoder, backend: Literal["numba", "triton", "torch"], precision: Precision = "float32"
) -> DeepDecoder | FusedDecoder:
    """Return a decoder for a backend: for ``"torch"`` the decoder itself, otherwise a fused one that shares its parameters."""
    passes: Passes
    if backend == "torch":
        return decoder
    if backend == "numba":
        from napari_convgen.core.generators.fused.cpu import CpuPasses

        passes = CpuPasses()
    else:
        from napari_convgen.core.generators.fused.gpu import GpuPasses

        passes = GpuPasses()
    return FusedDecoder(decoder, passes, Products(precision))


def fuse_norms(network: Generator) -> None:
    """Compute all channel norms of a network on the CPU with Numba; its parameters do not change."""
    from napari_convgen.core.generators.fused.norm import fused_norm

    for module in network.modules():
        if isinstance(module, Norm):
            module.compute = fused_norm
