"""The division of an array into what is fitted alone: its frames, or tiles of them with some pixels around each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from napari_convgen.core.image.layout import Layout

LARGEST_WHOLE = 2**19
"""Largest number of pixels of a frame that ``"auto"`` leaves whole. Our choice: the forecast for the preset ``default`` is 1.4 GiB there,
and steps take longer for each pixel of larger frames, whose hidden tensors no longer use the same memory again."""

AUTO_SIDE = 448
"""Side in pixels of the tiles of ``"auto"``. Our choice: with 32 pixels around them, about a quarter of the work is done
twice, and the forecast for the preset ``default`` is 0.6 GiB; memory and time are in benchmarks/results/large.md."""

Index = tuple[int | slice, ...]


@dataclass(frozen=True)
class Piece:
    """A frame, or a tile of one.

    Attributes
    ----------
    window
        Index of what is read: of a tile, with the pixels around it.
    inside
        Index, in what is read, of what is kept.
    index
        Index, in the array, of what is kept.
    """

    window: Index
    inside: Index
    index: Index


@dataclass(frozen=True)
class Division:
    """The pieces of an array: its frames in their order and, within each, its tiles.

    Attributes
    ----------
    pieces
        What is kept of them covers the array once.
    n_tiles
        Number of tiles of a frame; 1 if it is whole.
    size
        Number of pixels along each spatial axis of what is read, the same for all pieces.
    """

    pieces: tuple[Piece, ...]
    n_tiles: int
    size: tuple[int, ...]

    @classmethod
    def of(
        cls, layout: Layout, shape: Sequence[int], side: Literal["auto", "whole"] | int = "whole", overlap: int = 0
    ) -> Self:
        """Divide an array.

        Parameters
        ----------
        layout, shape
            Axes and shape of the array.
        side
            Side in pixels of a tile, along each spatial axis: as few tiles are made as each keep no more than this on average;
            ``"whole"``, the default, for frames; ``"auto"`` for tiles of planes with more than `LARGEST_WHOLE` pixels.
        overlap
            Number of pixels around a tile that are read with it, from 0, the default. A tile at the border of a frame, which has none
            beyond it, keeps as many more.
        """
        lengths = layout.spatial_shape(shape)
        if side == "auto":
            is_large = len(lengths) == 2 and math.prod(lengths) > LARGEST_WHOLE
            side = AUTO_SIDE if is_large else "whole"
        spans = [list(_spans(n, n if side == "whole" else side, overlap)) for n in lengths]
        tiles = list(itertools.product(*spans))
        frames = list(layout.frames(shape))
        if len(tiles) == 1:
            whole = (slice(None),) * len(layout.frame_shape(shape))
            return cls(tuple(Piece(frame, whole, frame) for frame in frames), 1, lengths)
        pieces = tuple(_tile(layout, frame, tile) for frame in frames for tile in tiles)
        return cls(pieces, len(tiles), tuple(len(each[0].read) for each in spans))

    def groups(self, axis: int, n: int, size: int, n_around: int) -> tuple[Piece, ...]:
        """Return groups of neighboring frames or, if these are cut, of the same tile of each, as pieces that have an axis more.

        Parameters
        ----------
        axis, n
            Axis along which frames are neighbors, and their number along it.
        size
            Number of frames of a group; the last one may have fewer.
        n_around
            Number of frames before and after a group that are read with it.
        """
        groups = []
        for piece in self.pieces:
            start = piece.index[axis]
            if isinstance(start, slice) or start % size:
                continue
            stop = min(n, start + size)
            first, last = max(0, start - n_around), min(n, stop + n_around)
            place = sum(isinstance(each, slice) for each in piece.window[:axis])
            inside = slice(start - first, stop - first)
            groups.append(
                Piece(
                    window=(*piece.window[:axis], slice(first, last), *piece.window[axis + 1 :]),
                    inside=(*piece.inside[:place], inside, *piece.inside[place:]),
                    index=(*piece.index[:axis], slice(start, stop), *piece.index[axis + 1 :]),
                )
            )
        return tuple(groups)


@dataclass(frozen=True)
class _Span:
    """What is read and what is kept of a tile along an axis."""

    read: range
    kept: range


def _spans(n: int, side: int, overlap: int) -> Iterator[_Span]:
    """Yield the tiles along an axis of ``n`` pixels: as few as possible, and read in equal lengths."""
    n_tiles = 1 if n <= side + 2 * overlap else math.ceil(n / side)
    length = math.ceil((n + 2 * overlap * (n_tiles - 1)) / n_tiles)
    starts = [number * (n - length) // max(1, n_tiles - 1) for number in range(n_tiles)]
    # Two neighbors meet in the middle of what both read.
    borders = [0, *((first + length + second) // 2 for first, second in itertools.pairwise(starts)), n]
    for start, (first, last) in zip(starts, itertools.pairwise(borders), strict=True):
        yield _Span(range(start, start + length), range(first, last))


def _tile(layout: Layout, frame: Index, tile: Sequence[_Span]) -> Piece:
    """Return a tile of a frame."""
    spans = dict(zip(layout.spatial, tile, strict=True))
    window, inside, index = list(frame), [slice(None)] * len(layout.axes), list(frame)
    for axis, letter in enumerate(layout.axes):
        if span := spans.get(letter):
            start = span.read.start
            window[axis] = slice(start, span.read.stop)
            inside[axis] = slice(span.kept.start - start, span.kept.stop - start)
            index[axis] = slice(span.kept.start, span.kept.stop)
    counted = layout.frame_axes()
    return Piece(tuple(window), tuple(each for axis, each in enumerate(inside) if axis not in counted), tuple(index))
