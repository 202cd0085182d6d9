"""Size, number and places of patches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]
"""Pixels along Z, Y and X; a plane has one along Z, a line one along Z and Y."""


@dataclass(frozen=True)
class Patches:
    """Which patches of an image form groups.

    Attributes
    ----------
    size
        Pixels of a patch along each axis.
    reach
        Distance, in pixels along each axis, up to which similar patches are looked for.
    stride
        Distance between the patches to which similar ones are looked for, in pixels along each axis.
    n_similar
        Number of patches of a group, the one itself included.
    """

    size: Shape
    reach: Shape
    stride: Shape
    n_similar: int

    def within(self, shape: Sequence[int]) -> Patches:
        """Return patches that fit into an image of that shape, groups no larger than there are patches within reach of a corner."""
        depth, height, width = (min(n, side) for n, side in zip(self.size, shape, strict=True))
        size = depth, height, width
        n_near = math.prod(min(r, n - p) + 1 for r, n, p in zip(self.reach, shape, size, strict=True))
        return Patches(size, self.reach, self.stride, min(self.n_similar, n_near))

    @property
    def n_pixels(self) -> int:
        """Number of pixels of a patch."""
        return math.prod(self.size)

    def starts(self, shape: Sequence[int]) -> list[NDArray[np.int64]]:
        """Return, for each axis, the first pixels of the patches to which similar ones are looked for; they cover the image."""
        return [_starts(n, p, s) for n, p, s in zip(shape, self.size, self.stride, strict=True)]

    def offsets(self, shape: Sequence[int]) -> NDArray[np.int64]:
        """Return the distance of each pixel of a patch from its first one, in the flattened image."""
        depth, height, width = (np.arange(n) for n in self.size)
        lines = np.add.outer(depth * shape[1], height).ravel()
        offsets: NDArray[np.int64] = np.add.outer(lines * shape[2], width).ravel()
        return offsets


def _starts(n: int, size: int, stride: int) -> NDArray[np.int64]:
    starts = np.arange(0, n - size + 1, stride)
    return starts if starts[-1] == n - size else np.append(starts, n - size)
