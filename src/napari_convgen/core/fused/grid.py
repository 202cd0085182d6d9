"""The geometry of one block: which coarse samples each fine sample is made of, and the way back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.generators.upsampling import KERNELS

N_TAPS = 3
"""Coarse samples that a fine one is made of, at most."""

N_BACK_TAPS = 6
"""Fine samples that a coarse one goes into, at most."""


@dataclass(frozen=True)
class Axis:
    """Upsampling along one axis as tables, the ends held.

    Attributes
    ----------
    n_coarse, n_fine
        Samples before and after. Equal ones mean that nothing is done along this axis.
    taps, weights
        Coarse samples that each fine one is made of, shape ``(n_fine, N_TAPS)``.
    back_taps, back_weights
        Fine samples that each coarse one goes into, shape ``(n_coarse, N_BACK_TAPS)``; filled up with weight 0.
    """

    n_coarse: int
    n_fine: int
    taps: NDArray[np.int64]
    weights: NDArray[np.float64]
    back_taps: NDArray[np.int64]
    back_weights: NDArray[np.float64]

    @classmethod
    def of(cls, n_coarse: int, n_fine: int, kernel: str) -> Axis:
        """Build the tables of a kernel."""
        matrix = np.zeros((n_fine, n_coarse))
        taps = np.zeros((n_fine, N_TAPS), np.int64)
        weights = np.zeros((n_fine, N_TAPS))
        for i in range(n_fine):
            pairs = [(0, 1.0)] if n_coarse == n_fine else KERNELS[kernel][i % 2]
            center = i if n_coarse == n_fine else i // 2
            taps[i] = center
            for t, (offset, weight) in enumerate(pairs):
                taps[i, t] = np.clip(center + offset, 0, n_coarse - 1)
                weights[i, t] = weight
                matrix[i, taps[i, t]] += weight
        back_taps = np.zeros((n_coarse, N_BACK_TAPS), np.int64)
        back_weights = np.zeros((n_coarse, N_BACK_TAPS))
        for j in range(n_coarse):
            (found,) = np.nonzero(matrix[:, j])
            back_taps[j] = found[-1]
            back_taps[j, : len(found)] = found
            back_weights[j, : len(found)] = matrix[found, j]
        return cls(n_coarse, n_fine, taps, weights, back_taps, back_weights)


@dataclass(frozen=True)
class Grid:
    """Upsampling of a block: 1 to 3 axes, seen as three with leading axes of one sample.

    Attributes
    ----------
    coarse, fine
        Spatial shape before and after; equal for a layer without upsampling.
    kernel
        Name in `napari_convgen.core.generators.upsampling.KERNELS`.
    """

    coarse: tuple[int, ...]
    fine: tuple[int, ...]
    kernel: str

    @cached_property
    def axes(self) -> tuple[Axis, Axis, Axis]:
        """Tables along depth, rows and columns."""
        missing = 3 - len(self.fine)
        pairs = [(1, 1)] * missing + list(zip(self.coarse, self.fine, strict=True))
        depth, rows, columns = (Axis.of(n_coarse, n_fine, self.kernel) for n_coarse, n_fine in pairs)
        return depth, rows, columns

    @property
    def n_coarse(self) -> int:
        """Pixels before."""
        return math.prod(self.coarse)

    @property
    def n_fine(self) -> int:
        """Pixels after."""
        return math.prod(self.fine)


def grids(sizes: Sequence[tuple[int, ...]], n_layers: int, kernel: str) -> list[Grid]:
    """Return the grid of each hidden layer of a decoder whose grids have these sizes; a layer beyond them is not upsampled."""
    last = len(sizes) - 1
    return [Grid(sizes[min(i, last)], sizes[min(i + 1, last)], kernel) for i in range(n_layers)]
