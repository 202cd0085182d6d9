"""The passes of the fused block on a GPU."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
import triton
from torch import Tensor

from napari_convgen.core.generators.fused import gpu_kernels
from napari_convgen.core.generators.fused.gpu_kernels import Axes, Axis
from napari_convgen.core.generators.fused.grid import Grid
from napari_convgen.core.generators.fused.passes import Block, Slope
from napari_convgen.core.generators.upsampling import KERNELS

BLOCK_VALUES = 512
"""Number of coarse values that a program processes at once: four for each of its 128 threads, one load instruction."""

BLOCK_CHANNELS = 128
"""Largest number of channels among these values."""

N_PROGRAMS = 2048
"""Number of programs for a large pass over a member: several times what a GPU runs at once, and still few sums to add up."""


class GpuPasses:
    """`napari_convgen.core.generators.fused.passes.Passes` in the memory of a GPU.

    All passes go over the fine grid. Memory traffic limits the speed of a GPU, and this way needs the least of it.
    """

    def moments(self, z: Tensor, grid: Grid, low: float) -> tuple[Tensor, Tensor]:  # noqa: D102
        shift = z[:, : min(grid.coarse[-1], 256)].clamp_min(low).mean(1)
        mean, square = (_sums(gpu_kernels.moments, z, grid, len(z), low, shift) / grid.n_fine).unbind()
        return mean + shift, (square - mean**2).clamp_min(0)

    def features(self, z: Tensor, grid: Grid, block: Block, out: Tensor) -> None:  # noqa: D102
        n_each, n_programs = _strips(z, grid, _channel_blocks(z))
        programs = n_programs, _channel_blocks(z), len(z)
        _launch(gpu_kernels.features, programs, z, grid, n_each, *_block(block), out)

    def output(self, z: Tensor, grid: Grid, block: Block, weights: Tensor, out: Tensor) -> None:  # noqa: D102
        n_members, n_outputs = out.shape[:2]
        n_each, n_programs = _strips(z, grid, n_outputs)
        programs = n_programs, 1, n_members * n_outputs
        _launch(gpu_kernels.output, programs, z, grid, n_each, *_block(block), weights, n_outputs, out)

    def output_sums(  # noqa: D102
        self, z: Tensor, grid: Grid, block: Block, g: Tensor, weights: Tensor, out: Tensor
    ) -> Tensor:
        n_members, n_outputs = g.shape[:2]
        sums = _sums(gpu_kernels.gradient_sums, z, grid, n_members * n_outputs, *_block(block), g, n_outputs)
        return sums.view(2, n_members, n_outputs, -1).movedim(1, 0)

    def feature_sums(self, z: Tensor, grid: Grid, block: Block, g: Tensor, out: Tensor) -> Tensor:  # noqa: D102
        return _sums(gpu_kernels.gradient_sums, z, grid, len(z), *_block(block), g, None).movedim(1, 0)

    def output_adjoint(  # noqa: D102
        self, z: Tensor, grid: Grid, block: Block, slope: Slope, g: Tensor, weights: Tensor, out: Tensor
    ) -> None:
        _adjoint(z, grid, block, slope, g, weights, g.shape[1], out)

    def feature_adjoint(  # noqa: D102
        self, z: Tensor, grid: Grid, block: Block, slope: Slope, g: Tensor, out: Tensor
    ) -> None:
        _adjoint(z, grid, block, slope, g, None, 0, out)


def _sums(kernel: Any, z: Tensor, grid: Grid, n: int, *arguments: Any) -> Tensor:
    """Run a pass that computes n pairs of sums, one for each member or output; return them in double precision, ``(2, n, k)``."""
    n_each, n_programs = _strips(z, grid, _channel_blocks(z) * n // len(z))
    sums = z.new_empty(n_programs, 2, n, z.shape[2])
    _launch(kernel, (n_programs, _channel_blocks(z), n), z, grid, n_each, *arguments, sums)
    return sums.sum(0, dtype=torch.float64)


def _adjoint(z: Tensor, grid: Grid, block: Block, slope: Slope, *arguments: Any) -> None:
    constant, linear = ((x.to(z.dtype)) for x in (slope.constant - slope.linear * block.mean, slope.linear))
    depth, rows, columns = _axes(grid)
    n_beside = depth.n_coarse * math.ceil(columns.n_coarse / _block_shape(z)[0])
    n_rows = min(rows.n_coarse, math.ceil(rows.n_coarse * n_beside * _channel_blocks(z) / N_PROGRAMS))
    programs = math.ceil(rows.n_coarse / n_rows) * n_beside, _channel_blocks(z), len(z)
    _launch(gpu_kernels.adjoint, programs, z, grid, n_rows, *_block(block), constant, linear, *arguments)


def _strips(z: Tensor, grid: Grid, n_beside: int) -> tuple[int, int]:
    """Return the number of strips of each program in a pass over the fine lines of a member, and the number of programs.

    Channel blocks and outputs multiply the number of programs by ``n_beside``. The number of members has no influence.
    """
    depth, rows, columns = _axes(grid)
    n = depth.n_fine * rows.n_fine * math.ceil(columns.n_coarse / _block_shape(z)[0])
    n_each = math.ceil(n * n_beside / N_PROGRAMS)
    return n_each, math.ceil(n / n_each)


def _launch(kernel: Any, programs: tuple[int, int, int], z: Tensor, grid: Grid, *arguments: Any) -> None:
    block_j, block_k = _block_shape(z)
    with torch.cuda.device_of(z):
        kernel[programs](z, z.shape[2], _axes(grid), *arguments, BLOCK_J=block_j, BLOCK_K=block_k)


def _block_shape(z: Tensor) -> tuple[int, int]:
    """Return the number of coarse columns and of channels that a program processes at once."""
    block_k = min(BLOCK_CHANNELS, triton.next_power_of_2(z.shape[2]))
    return BLOCK_VALUES // block_k, block_k


def _channel_blocks(z: Tensor) -> int:
    return math.ceil(z.shape[2] / _block_shape(z)[1])


def _block(block: Block) -> tuple[float, float, Tensor, Tensor]:
    return block.low1, block.low2, block.a, block.b


@functools.lru_cache(maxsize=64)
def _axes(grid: Grid) -> Axes:
    missing = (1,) * (3 - len(grid.fine))
    pairs = zip(missing + grid.coarse, missing + grid.fine, strict=True)
    return Axes(*(_axis(n_coarse, n_fine, grid.kernel) for n_coarse, n_fine in pairs))


def _axis(n_coarse: int, n_fine: int, kernel: str) -> Axis:
    if n_coarse == n_fine:
        return Axis(n_coarse, n_fine, ((1.0,),))
    weights = (tuple(dict(taps).get(offset, 0.0) for offset in (-1, 0, 1)) for taps in KERNELS[kernel])
    return Axis(n_coarse, n_fine, tuple(weights))
