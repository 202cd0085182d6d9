"""Channel norm and leaky ReLU on the CPU, in two passes over a tensor in channels-last order.

PyTorch's norm of such tensors takes about as long as the convolutions around it, and other memory orders slow convolutions down by copies.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.core.cpu.threads import Kernel, share_out
from napari_convgen.core.generators.fused import norm_kernels

N_ROW, N_TILE = 256, 2**15
"""Approximate number of values in a row, which is processed at once, and in a tile, which has its own sums.

A tile of float32 values (128 kB) fits the level-2 cache of a core."""


def fused_norm(x: Tensor, scale: Tensor, offset: Tensor, leak: float) -> Tensor:
    """Compute `napari_convgen.core.generators.layers.channel_norm`; it can be differentiated backwards only."""
    result: Tensor = _NormLeak.apply(x, scale, offset, leak)  # type: ignore[no-untyped-call]
    return result


class _NormLeak(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, offset: Tensor, leak: float) -> Tensor:
        x, k = _channels_last(x), len(scale)
        out = torch.empty_like(x)
        tiles, line = _Tiles.of(x.numel(), k), _line(x)
        scales, offsets = scale.detach().numpy(), offset.detach().numpy()
        sums, norm, below = tiles.zeros(), np.empty((4, k)), np.array([leak], scales.dtype)
        tiles.run(norm_kernels.moments, line, below, sums)
        norm_kernels.settle(line, sums, scales, offsets, norm)
        tiles.run(norm_kernels.apply, line, norm, below, _line(out))
        ctx.save_for_backward(x)
        ctx.tiles, ctx.norm, ctx.below = tiles, norm, below
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        [x] = ctx.saved_tensors
        tiles, norm, below, out = ctx.tiles, ctx.norm, ctx.below, torch.empty_like(x)
        line, g, sums = _line(x), _line(_channels_last(gradients[0])), tiles.zeros()
        by_scale, by_offset = np.empty((2, tiles.k), below.dtype)
        slope = np.empty((2, tiles.k))
        tiles.run(norm_kernels.gradient_sums, line, g, norm, below, sums)
        norm_kernels.settle_gradient(sums, norm, tiles.n_values // tiles.k, by_scale, by_offset, slope)
        tiles.run(norm_kernels.adjoint, line, g, norm, below, slope, _line(out))
        return out, torch.from_numpy(by_scale), torch.from_numpy(by_offset), None


@dataclass(frozen=True)
class _Tiles:
    """The division of a line of values into tiles, and of tiles into rows."""

    n_values: int
    k: int
    n_row: int
    n_tile: int

    @classmethod
    @functools.lru_cache(maxsize=64)
    def of(cls, n_values: int, k: int) -> Self:
        n_row = k * max(1, N_ROW // k)
        return cls(n_values, k, n_row, n_row * math.ceil(N_TILE / n_row))

    @property
    def n_tiles(self) -> int:
        return math.ceil(self.n_values / self.n_tile)

    def zeros(self) -> NDArray[np.float64]:
        """Return an array for two sums for each tile and channel."""
        return np.zeros((self.n_tiles, 2, self.k))

    def run(self, kernel: Kernel, *arguments: Any) -> None:
        share_out(kernel, self.n_tiles, self.n_values, self.n_tile, self.n_row, *arguments)


def _line(x: Tensor) -> NDArray[Any]:
    """Return a view of a batch of one, in channels-last order, as one line."""
    line = x.detach().movedim(1, -1).view(-1)
    return (line.view(torch.uint16) if x.dtype == torch.bfloat16 else line).numpy()


def _channels_last(x: Tensor) -> Tensor:
    """Return a batch of one in channels-last memory order, copied only if necessary."""
    return x.movedim(1, -1).contiguous().movedim(-1, 1)
