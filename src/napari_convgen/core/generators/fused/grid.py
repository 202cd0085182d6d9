"""The geometry of a block: the coarse samples that each fine sample is interpolated from, and the adjoint."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.generators.upsampling import KERNELS

N_TAPS = 3
"""Number of coarse samples from which a pair of fine ones is interpolated."""

N_GRAM_TAPS = 5
"""Largest number of coarse samples that contribute to the same fine samples as a given one, itself included."""


@dataclass(frozen=True)
class Axis:
    """Upsampling along one axis, a matrix ``U``, as tables. Fine samples are paired: an even one and the odd one after it.

    Attributes
    ----------
    n_coarse, n_fine
        Number of samples before and after; equal if the axis is not upsampled.
    taps, weights
        Coarse samples that each pair is interpolated from, ``(n_pairs, N_TAPS)``, and their weights for both samples of the pair,
        ``(n_pairs, 2, N_TAPS)``. The second coarse sample is the one at the pair. If the number of fine samples is odd, the last pair
        holds its only sample twice.
    back_taps, back_weights
        Pairs that each coarse sample contributes to, ``(n_coarse, N_TAPS)``, and its weights there, ``(n_coarse, N_TAPS, 2)``; padded
        with weight 0.
    gram_taps, gram_weights
        The rows of ``U'U``, ``(n_coarse, N_GRAM_TAPS)``, in the same way.
    totals
        The sums ``U'1``, ``(n_coarse,)``.
    """

    n_coarse: int
    n_fine: int
    taps: NDArray[np.int64]
    weights: NDArray[np.float64]
    back_taps: NDArray[np.int64]
    back_weights: NDArray[np.float64]
    gram_taps: NDArray[np.int64]
    gram_weights: NDArray[np.float64]
    totals: NDArray[np.float64]

    @classmethod
    def of(cls, n_coarse: int, n_fine: int, kernel: str) -> Axis:
        """Build the tables of a kernel."""
        matrix = _matrix(n_coarse, n_fine, kernel)
        n_pairs = -(-n_fine // 2)
        first, offsets = (2, [0, 0, 1]) if n_coarse == n_fine else (1, [-1, 0, 1])
        taps = (first * np.arange(n_pairs)[:, None] + np.array(offsets)).clip(0, n_coarse - 1)
        even, odd = np.arange(n_pairs) * 2, np.minimum(np.arange(n_pairs) * 2 + 1, n_fine - 1)
        weights = np.stack([_shared_out(matrix[fine], taps) for fine in (even, odd)], 1)
        by_pair = np.zeros((n_coarse, n_pairs, 2))
        by_pair[..., 0], by_pair[:, : n_fine // 2, 1] = matrix[::2].T, matrix[1::2].T
        back_taps, is_back = _places(np.abs(by_pair).sum(2) > 0, N_TAPS)
        gram = matrix.T @ matrix
        gram_taps, is_gram = _places(gram != 0, N_GRAM_TAPS)
        return cls(
            n_coarse,
            n_fine,
            taps,
            weights,
            back_taps,
            np.take_along_axis(by_pair, back_taps[..., None], 1) * is_back[..., None],
            gram_taps,
            np.take_along_axis(gram, gram_taps, 1) * is_gram,
            matrix.sum(0),
        )


def _matrix(n_coarse: int, n_fine: int, kernel: str) -> NDArray[np.float64]:
    """Return the matrix of upsampling along an axis; samples beyond the ends repeat the last one."""
    matrix = np.zeros((n_fine, n_coarse))
    for i in range(n_fine):
        taps, center = (((0, 1.0),), i) if n_coarse == n_fine else (KERNELS[kernel][i % 2], i // 2)
        for offset, weight in taps:
            matrix[i, min(max(center + offset, 0), n_coarse - 1)] += weight
    return matrix


def _shared_out(rows: NDArray[np.float64], taps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the entries of a matrix's rows at their taps; a repeated tap has weight 0."""
    weights = np.take_along_axis(rows, taps, 1)
    for t in range(1, taps.shape[1]):
        weights[(taps[:, :t] == taps[:, t : t + 1]).any(1), t] = 0
    return weights


def _places(mask: NDArray[np.bool_], n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the positions of the True values in each row, at most n, filled up with the last one, and which of them are real."""
    taps, is_place = np.zeros((len(mask), n), np.int64), np.zeros((len(mask), n), bool)
    for i, row in enumerate(mask):
        (found,) = np.nonzero(row)
        taps[i] = found[-1]
        taps[i, : len(found)] = found
        is_place[i, : len(found)] = True
    return taps, is_place


@dataclass(frozen=True)
class Grid:
    """Upsampling of a block along 1 to 3 axes, treated as three axes by leading axes of one sample.

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
        """Tables for depth, rows and columns."""
        missing = 3 - len(self.fine)
        pairs = [(1, 1)] * missing + list(zip(self.coarse, self.fine, strict=True))
        depth, rows, columns = (Axis.of(n_coarse, n_fine, self.kernel) for n_coarse, n_fine in pairs)
        return depth, rows, columns

    @property
    def n_coarse(self) -> int:
        """Number of pixels before upsampling."""
        return math.prod(self.coarse)

    @property
    def n_fine(self) -> int:
        """Number of pixels after upsampling."""
        return math.prod(self.fine)


def grids(sizes: Sequence[tuple[int, ...]], kernel: str) -> list[Grid]:
    """Return the grid of each hidden layer of a decoder, given the sizes before the first and after each."""
    return [Grid(coarse, fine, kernel) for coarse, fine in itertools.pairwise(sizes)]
