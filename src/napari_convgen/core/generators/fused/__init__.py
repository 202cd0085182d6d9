"""What is fast: fused blocks, the deep decoder without tensors of all channels on the finest grid, and the norms of other networks.

A block upsamples ``z``, which has a quarter of the pixels, applies ReLU and channel norm, and the last one sums over the
channels. `passes` says which few passes over ``z`` that takes, `cpu` computes them, `decoder` puts the blocks and the
matrix products between them together. The plain twin is `napari_convgen.core.generators.DeepDecoder` itself.

`norm` computes the channel norm and the leaky ReLU of networks with learned convolutions, whose convolutions are left to PyTorch.
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
    """Return a decoder that a backend computes: itself for ``"torch"``; otherwise one that shares its parameters."""
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
    """Let all channel norms of a network on the CPU be computed by Numba; its parameters stay what they are."""
    from napari_convgen.core.generators.fused.norm import fused_norm

    for module in network.modules():
        if isinstance(module, Norm):
            module.compute = fused_norm
