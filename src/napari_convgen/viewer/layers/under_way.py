"""An image under way over a lazy input: what is done is shown, and elsewhere the input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_convgen.core.image import ArrayLike
from napari_convgen.core.image.lazy import LazyArray, whole_index

FEW = 64
"""Number of parts for which there is room at first; it is doubled when it is used up."""


class UnderWay(LazyArray):
    """An array of which parts are replaced; the rest is read from a source when it is looked at, and takes no memory.

    Parameters
    ----------
    source
        The input, such as an array of dask or zarr.
    dtype
        Type of the values.

    Attributes
    ----------
    shape, dtype
        Shape and type of the image.
    """

    def __init__(self, source: ArrayLike, dtype: DTypeLike) -> None:
        self._source = source
        self._numbers: dict[tuple[tuple[int, int], ...], int] = {}
        self._parts: list[NDArray[Any] | Path] = []
        self.shape = tuple(source.shape)
        self.dtype = np.dtype(dtype)
        self._spans = np.zeros((FEW, self.ndim, 2), np.int64)

    def __setitem__(self, index: tuple[int | slice, ...], values: NDArray[Any] | Path) -> None:
        """Replace a part, with a number or a slice without gaps for each axis; the same part again takes its place.

        The values can be in a file of numpy, which is read when they are looked at, as long as it is there.
        """
        spans = tuple(
            each.indices(n)[:2] if isinstance(each, slice) else (each, each + 1)
            for each, n in zip(index, self.shape, strict=True)
        )
        number = self._numbers.setdefault(spans, len(self._parts))
        if number < len(self._parts):
            self._parts[number] = values
            return
        if number == len(self._spans):
            self._spans = np.concatenate([self._spans, np.zeros_like(self._spans)])
        self._spans[number] = spans
        self._parts.append(values)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        wanted = [np.arange(n)[each] for n, each in zip(self.shape, whole_index(index, self.ndim), strict=True)]
        image = np.asarray(self._source[index]).astype(self.dtype)
        kept = image.reshape([each.size for each in wanted])
        for number in self._looked_at(wanted):
            part, spans = self._parts[number], self._spans[number].tolist()
            within = [(each.ravel() >= a) & (each.ravel() < b) for each, (a, b) in zip(wanted, spans, strict=True)]
            if all(each.any() for each in within):
                taken = [each.ravel()[is_in] - a for each, is_in, (a, _) in zip(wanted, within, spans, strict=True)]
                try:
                    values = np.load(part, mmap_mode="r") if isinstance(part, Path) else part
                except FileNotFoundError:
                    continue  # all parts were just put together; the whole takes the place of this array next
                kept[np.ix_(*within)] = values.reshape([b - a for a, b in spans])[np.ix_(*taken)]
        return kept.reshape(image.shape)

    def _looked_at(self, wanted: Sequence[NDArray[Any]]) -> list[int]:
        """Return the numbers of the parts that can have some of the places along each axis: there may be very many parts."""
        if not all(each.size for each in wanted):
            return []
        first, last = ([int(end(each)) for each in wanted] for end in (np.min, np.max))
        spans = self._spans[: len(self._parts)]
        numbers: list[int] = np.flatnonzero(((spans[..., 0] <= last) & (spans[..., 1] > first)).all(1)).tolist()
        return numbers
