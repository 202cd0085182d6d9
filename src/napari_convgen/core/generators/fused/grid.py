"""The geometry of one block: which coarse samples each fine sample is made of, and the way back."""

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
"""Coarse samples that a pair of fine ones is made of."""

N_GRAM_TAPS = 5
"""Coarse samples whose fine ones a coarse sample shares, itself among them, at most."""


@dataclass(frozen=True)
class Axis:
    """Upsampling along one axis, a matrix ``U``, as tables. The fine samples come in pairs, an even one and the odd one after it.

    Attributes
    ----------
    n_coarse, n_fine
        Samples before and after. Equal ones mean that nothing is done along this axis.
    taps, weights
        Coarse samples that each pair is made of, ``(n_pairs, N_TAPS)``, and their weights in both of it, ``(n_pairs, 2, N_TAPS)``.
        The second is in the pair's place: it, or the next one. An odd number of fine samples ends with a pair of one, twice.
    back_taps, back_weights
        Pairs that each coarse sample goes into, ``(n_coarse, N_TAPS)``, and its weights there, ``(n_coarse, N_TAPS, 2)``; filled up with
        weight 0.
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
    """The upsampling along an axis, the ends held."""
    matrix = np.zeros((n_fine, n_coarse))
    for i in range(n_fine):
        taps, center = (((0, 1.0),), i) if n_coarse == n_fine else (KERNELS[kernel][i % 2], i // 2)
        for offset, weight in taps:
            matrix[i, min(max(center + offset, 0), n_coarse - 1)] += weight
    return matrix


def _shared_out(rows: NDArray[np.float64], taps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the entries of a matrix's rows at their taps; a tap that comes again has none left."""
    weights = np.take_along_axis(rows, taps, 1)
    for t in range(1, taps.shape[1]):
        weights[(taps[:, :t] == taps[:, t : t + 1]).any(1), t] = 0
    return weights


def _places(mask: NDArray[np.bool_], n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the places in each row of a mask, at most n, and which are none: they are filled up with the last one."""
    taps, is_place = np.zeros((len(mask), n), np.int64), np.zeros((len(mask), n), bool)
    for i, row in enumerate(mask):
        (found,) = np.nonzero(row)
        taps[i] = found[-1]
        taps[i, : len(found)] = found
        is_place[i, : len(found)] = True
    return taps, is_place


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


def grids(sizes: Sequence[tuple[int, ...]], kernel: str) -> list[Grid]:
    """Return the grid of each hidden layer of a decoder, given the sizes before the first and after each."""
    return [Grid(coarse, fine, kernel) for coarse, fine in itertools.pairwise(sizes)]
