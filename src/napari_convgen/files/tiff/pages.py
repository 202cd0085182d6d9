"""Values of a large TIFF image, read from the file as they are needed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_convgen.core.image.lazy import LazyArray, whole_index

LARGEST_READ = 2**26
"""Bytes of an image up to which it is read at once, and all its frames are checked before a run. Our choice, no benchmark."""


class PagedValues(LazyArray):
    """Values of an image, indexed like an array by numbers and slices; a page is read and decoded when it is needed.

    Uncompressed values are read without their surroundings. Of others the latest page is remembered, so that tiles of it decode it once.

    Parameters
    ----------
    path
        The file.
    series
        Image of the file, whose pages are ready to be decoded; `can_read` returns True for it.

    Attributes
    ----------
    shape, dtype
        Shape of the image, and type of its values in the order of bytes of this machine.
    """

    def __init__(self, path: Path, series: tifffile.TiffPageSeries) -> None:
        self._path = path
        self._series = series
        file: Any = series.parent
        self._stored = np.dtype(file.byteorder + series.dtype.char)
        self._offset = series.dataoffset if series.keyframe.is_memmappable else None
        self._latest: tuple[int, NDArray[Any]] | None = None
        self.shape = tuple(series.shape)
        self.dtype = self._stored.newbyteorder("=")

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if self._offset is not None:
            # Mapped for this moment alone, lest all that was ever read count as memory of the process.
            return np.array(np.memmap(self._path, self._stored, "r", self._offset, self.shape)[index], self.dtype)
        before, after = self._split(index)
        counted = self.shape[: self.ndim - self._series.keyframe.ndim]
        numbers = np.arange(math.prod(counted)).reshape(counted)[before]
        with _opened(self._series.parent):
            parts = [self._page(number)[after] for number in numbers.flat]
        return np.reshape(parts, (*numbers.shape, *parts[0].shape)) if parts else np.zeros(0, self.dtype)

    def _split(self, index: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Return the parts of an index that count pages, and that are within a page."""
        full = whole_index(index, self.ndim)
        n = self.ndim - self._series.keyframe.ndim
        return tuple(full[:n]), tuple(full[n:])

    def _page(self, number: int) -> NDArray[Any]:
        if self._latest is None or self._latest[0] != number:
            page: Any = self._series.pages[number]
            self._latest = number, page.asarray()
        return self._latest[1]


def can_read(series: tifffile.TiffPageSeries) -> bool:
    """Return True for an image that is large enough to be read page by page, and whose pages are all in one file and alike."""
    shape, page = series.shape, series.keyframe
    is_large = math.prod(shape) * series.dtype.itemsize > LARGEST_READ
    is_known = page.compression != tifffile.COMPRESSION.OJPEG and not series.is_multifile
    if not (is_large and is_known):
        return False
    has_all_pages = math.prod(shape[: len(shape) - page.ndim]) == len(series.pages)
    return series.dataoffset is not None or (has_all_pages and tuple(shape[len(shape) - page.ndim :]) == page.shape)


@contextlib.contextmanager
def _opened(file: Any) -> Iterator[None]:
    """Open a file that was closed for as long as the block takes."""
    file.filehandle.open()
    try:
        yield
    finally:
        file.filehandle.close()
