"""The passes of the fused block on the CPU."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.core.cpu.threads import Kernel, share_out
from napari_convgen.core.generators.fused import cpu_kernels
from napari_convgen.core.generators.fused.cpu_kernels import TILE_ROWS
from napari_convgen.core.generators.fused.grid import Grid
from napari_convgen.core.generators.fused.passes import Block, Slope

LINE_BYTES = 2**17
"""Approximate size of the part of a fine line that is processed at once: several fit the level-2 cache of a core."""


class CpuPasses:
    """`napari_convgen.core.generators.fused.passes.Passes` on the CPU, with the number of threads that PyTorch is set to.

    If no ReLU precedes the norm, moments and slope are computed on the coarse grid, and a single pass over the fine grid both
    propagates the gradient and sums it.
    """

    def moments(self, z: Tensor, grid: Grid, low: float) -> tuple[Tensor, Tensor]:  # noqa: D102
        shift = np.empty((len(z), z.shape[2]), z.numpy().dtype)
        cpu_kernels.center(_lines(z, grid.coarse), z.shape[2], _number(z, low), shift)
        sums = _sums(z, grid, 2)
        if low == -math.inf:
            _run(cpu_kernels.coarse_moments, z, grid, shift, sums)
        else:
            _run(cpu_kernels.moments, z, grid, _number(z, low), shift, sums)
        mean, square = (_total(sums) / grid.n_fine).unbind(1)
        return mean + torch.from_numpy(shift), (square - mean**2).clamp_min(0)

    def features(self, z: Tensor, grid: Grid, block: Block, out: Tensor) -> None:  # noqa: D102
        _run(cpu_kernels.features, z, grid, *_block(z, block), _lines(out, grid.fine))

    def output(self, z: Tensor, grid: Grid, block: Block, weights: Tensor, out: Tensor) -> None:  # noqa: D102
        _run(cpu_kernels.output, z, grid, *_block(z, block), weights.numpy(), _planes(out, grid))

    def output_sums(  # noqa: D102
        self, z: Tensor, grid: Grid, block: Block, g: Tensor, weights: Tensor, out: Tensor
    ) -> Tensor:
        return _gradient_sums(z, grid, block, _planes(g, grid), weights.numpy(), out)

    def feature_sums(self, z: Tensor, grid: Grid, block: Block, g: Tensor, out: Tensor) -> Tensor:  # noqa: D102
        return _gradient_sums(z, grid, block, _lines(g, grid.fine)[:, None], None, out)[:, :, 0]

    def output_adjoint(  # noqa: D102
        self, z: Tensor, grid: Grid, block: Block, slope: Slope, g: Tensor, weights: Tensor, out: Tensor
    ) -> None:
        _adjoint(z, grid, block, slope, _planes(g, grid), weights.numpy(), out)

    def feature_adjoint(  # noqa: D102
        self, z: Tensor, grid: Grid, block: Block, slope: Slope, g: Tensor, out: Tensor
    ) -> None:
        _adjoint(z, grid, block, slope, _lines(g, grid.fine)[:, None], None, out)


def _gradient_sums(
    z: Tensor, grid: Grid, block: Block, g: NDArray[Any], weights: NDArray[Any] | None, out: Tensor
) -> Tensor:
    sums = _sums(z, grid, 2, 1 if weights is None else weights.shape[1])
    if block.low1 == -math.inf:
        _run(cpu_kernels.spread, z, grid, *_block(z, block)[1:], g, weights, sums, _lines(out, grid.coarse))
    else:
        _run(cpu_kernels.relu_sums, z, grid, g, weights, sums)
    return _total(sums)


def _adjoint(
    z: Tensor, grid: Grid, block: Block, slope: Slope, g: NDArray[Any], weights: NDArray[Any] | None, out: Tensor
) -> None:
    constant = slope.constant - slope.linear * block.mean
    a, c1, c2 = (x.to(z.dtype).numpy() for x in (block.a, constant, slope.linear))
    if block.low1 == -math.inf:
        if weights is not None and weights.shape[1] == 1:
            a = a * weights[:, 0]
        _run(cpu_kernels.add_slope, z, grid, a, c1, c2, _lines(out, grid.coarse))
    else:
        _run(cpu_kernels.relu_adjoint, z, grid, a, c1, c2, g, weights, _lines(out, grid.coarse))


def _sums(z: Tensor, grid: Grid, *shape: int) -> NDArray[np.float64]:
    """Return an array for the sums of each tile and member, in double precision."""
    return np.zeros((_n_tiles(grid, z), len(z), *shape, z.shape[2]))


def _total(sums: NDArray[np.float64]) -> Tensor:
    """Add up the sums of all tiles."""
    return torch.from_numpy(sums.sum(0))


def _run(kernel: Kernel, z: Tensor, grid: Grid, *arguments: Any) -> None:
    """Run a pass over the tiles of all members."""
    k = z.shape[2]
    shared = _lines(z, grid.coarse), k, _axes(grid, z.dtype), _tile_columns(grid, z), *arguments
    share_out(kernel, len(z) * _n_tiles(grid, z), len(z) * grid.n_fine * k, *shared)


@functools.lru_cache(maxsize=64)
def _axes(grid: Grid, dtype: torch.dtype) -> tuple[Any, ...]:
    number = torch.empty(0, dtype=dtype).numpy().dtype
    tables = [[getattr(axis, field.name) for field in dataclasses.fields(axis)] for axis in grid.axes]
    return tuple(
        tuple(x.astype(number) if isinstance(x, np.ndarray) and x.dtype == np.float64 else x for x in axis)
        for axis in tables
    )


def _tile_columns(grid: Grid, z: Tensor) -> int:
    """Return the number of coarse columns of a tile: even, or all."""
    return min(grid.coarse[-1], max(8, 2 * (LINE_BYTES // (4 * z.shape[2] * z.element_size()))))


def _n_tiles(grid: Grid, z: Tensor) -> int:
    rows = grid.coarse[-2] if len(grid.coarse) > 1 else 1
    return math.ceil(rows / TILE_ROWS) * math.ceil(grid.coarse[-1] / _tile_columns(grid, z))


def _number(z: Tensor, value: float) -> Any:
    """Return a bound in the dtype of z, so that the kernels compute in no wider one."""
    return z.numpy().dtype.type(value)


def _block(z: Tensor, block: Block) -> tuple[Any, ...]:
    """Return bounds, slope and intercept of a block; the first bound is None if it is −∞."""
    low1 = None if block.low1 == -math.inf else _number(z, block.low1)
    return low1, _number(z, block.low2), block.a.numpy(), block.b.numpy()


def _lines(x: Tensor, size: tuple[int, ...]) -> NDArray[Any]:
    """Return a view of pixels on a grid of this size as lines."""
    return x.numpy().reshape(len(x), -1, size[-1] * x.shape[2])


def _planes(x: Tensor, grid: Grid) -> NDArray[Any]:
    """Return a view of outputs as lines."""
    return x.numpy().reshape(*x.shape[:2], -1, grid.fine[-1])
