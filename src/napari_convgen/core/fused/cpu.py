"""The passes of the fused block on the CPU."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.core.fused import cpu_kernels
from napari_convgen.core.fused.cpu_kernels import TILE_ROWS
from napari_convgen.core.fused.grid import Grid
from napari_convgen.core.fused.passes import Block, Slope

Kernel = Callable[..., None]

LINE_BYTES = 2**17
"""A fine line is taken in parts of about this size, so that a few of them fit a core's second cache."""

SMALL_PASS = 2**19
"""Fine values below which a pass is not worth handing to other threads."""


class CpuPasses:
    """`napari_convgen.core.fused.passes.Passes` in main memory, on as many threads as PyTorch is set to."""

    def moments(self, z: Tensor, grid: Grid, low: float) -> tuple[Tensor, Tensor]:  # noqa: D102
        shift = np.empty((len(z), z.shape[2]), z.numpy().dtype)
        cpu_kernels.center(_lines(z, grid.coarse), z.shape[2], _number(z, low), shift)
        sums = self._sums(cpu_kernels.moments, z, grid, (2, z.shape[2]), _number(z, low), shift)
        mean, square = (sums / grid.n_fine).unbind(1)
        return mean + torch.from_numpy(shift), (square - mean**2).clamp_min(0)

    def features(self, z: Tensor, grid: Grid, block: Block, out: Tensor) -> None:  # noqa: D102
        self._run(cpu_kernels.features, z, grid, *_block(z, block), _lines(out, grid.fine))

    def output(self, z: Tensor, grid: Grid, block: Block, weights: Tensor, out: Tensor) -> None:  # noqa: D102
        self._run(cpu_kernels.output, z, grid, *_block(z, block), weights.numpy(), _planes(out, grid))

    def output_sums(self, z: Tensor, grid: Grid, block: Block, g: Tensor) -> Tensor:  # noqa: D102
        return self._sums(
            cpu_kernels.output_sums, z, grid, (2, g.shape[1], z.shape[2]), *_block(z, block), _planes(g, grid)
        )

    def feature_sums(self, z: Tensor, grid: Grid, block: Block, g: Tensor) -> Tensor:  # noqa: D102
        return self._sums(cpu_kernels.feature_sums, z, grid, (2, z.shape[2]), *_block(z, block), _lines(g, grid.fine))

    def output_adjoint(  # noqa: D102
        self, z: Tensor, grid: Grid, block: Block, slope: Slope, g: Tensor, weights: Tensor, out: Tensor
    ) -> None:
        arrays = slope.constant.numpy(), slope.linear.numpy(), _planes(g, grid), weights.numpy()
        self._run(cpu_kernels.output_adjoint, z, grid, *_block(z, block), *arrays, _lines(out, grid.coarse))

    def feature_adjoint(  # noqa: D102
        self, z: Tensor, grid: Grid, block: Block, slope: Slope, g: Tensor, out: Tensor
    ) -> None:
        arrays = slope.constant.numpy(), slope.linear.numpy(), _lines(g, grid.fine)
        self._run(cpu_kernels.feature_adjoint, z, grid, *_block(z, block), *arrays, _lines(out, grid.coarse))

    def _sums(self, kernel: Kernel, z: Tensor, grid: Grid, shape: tuple[int, ...], *arguments: Any) -> Tensor:
        """Run a pass that adds up, and return its sums over all tiles, in double precision."""
        sums = np.zeros((_n_tiles(grid, z), len(z), *shape))
        self._run(kernel, z, grid, *arguments, sums)
        return torch.from_numpy(sums.sum(0))

    def _run(self, kernel: Kernel, z: Tensor, grid: Grid, *arguments: Any) -> None:
        k, n_tasks = z.shape[2], len(z) * _n_tiles(grid, z)
        shared = _lines(z, grid.coarse), k, _axes(grid, z.dtype), _tile_columns(grid, z), *arguments
        tasks = itertools.count()

        def work() -> None:
            """Take one tile of a member after another until none is left."""
            while (task := next(tasks)) < n_tasks:
                kernel(task, *shared)

        n_threads = 1 if len(z) * grid.n_fine * k <= SMALL_PASS else min(torch.get_num_threads(), n_tasks)
        helpers = [_pool(n_threads).submit(work) for _ in range(n_threads - 1)]
        work()
        for helper in helpers:
            helper.result()


@functools.cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Return threads that work beside the calling one."""
    return ThreadPoolExecutor(n_threads - 1, "fused-block")


@functools.lru_cache(maxsize=64)
def _axes(grid: Grid, dtype: torch.dtype) -> tuple[Any, ...]:
    number = torch.empty(0, dtype=dtype).numpy().dtype
    return tuple(
        (axis.taps, axis.weights.astype(number), axis.back_taps, axis.back_weights.astype(number)) for axis in grid.axes
    )


def _tile_columns(grid: Grid, z: Tensor) -> int:
    """Coarse columns of a tile."""
    return min(grid.coarse[-1], max(8, LINE_BYTES // (2 * z.shape[2] * z.element_size())))


def _n_tiles(grid: Grid, z: Tensor) -> int:
    rows = grid.coarse[-2] if len(grid.coarse) > 1 else 1
    return math.ceil(rows / TILE_ROWS) * math.ceil(grid.coarse[-1] / _tile_columns(grid, z))


def _number(z: Tensor, value: float) -> Any:
    """Return a bound as a number of z's kind, so that the kernels compute in nothing wider."""
    return z.numpy().dtype.type(value)


def _block(z: Tensor, block: Block) -> tuple[Any, ...]:
    return _number(z, block.low1), _number(z, block.low2), block.a.numpy(), block.b.numpy()


def _lines(x: Tensor, size: tuple[int, ...]) -> NDArray[Any]:
    """See pixels of so many a side as lines."""
    return x.numpy().reshape(len(x), -1, size[-1] * x.shape[2])


def _planes(x: Tensor, grid: Grid) -> NDArray[Any]:
    """See outputs as lines."""
    return x.numpy().reshape(*x.shape[:2], -1, grid.fine[-1])
