"""Values of a large TIFF image, read from the file as they are needed."""

from __future__ import annotations

import contextlib
import itertools
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

KEPT_BYTES = 2**26
"""Bytes of decoded segments that are remembered: 512 rows of a page with 65,536 columns of 16 bits. Our choice, no benchmark."""

AXES = "ZYX"
"""Axes of a page in the order of tifffile's normalized shape, which has samples of separate planes before them, and others behind."""


class PagedValues(LazyArray):
    """Values of an image, indexed like an array by numbers and slices; a segment, which is a strip or a tile, is decoded when it is needed.

    Uncompressed values are read without their surroundings. Segments of which a part was read are remembered, the latest of them, so that
    neighboring regions decode them once.

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
    n_held_bytes
        Bytes of the segments that are remembered, at most, or of one segment, if that is more.
    """

    def __init__(self, path: Path, series: tifffile.TiffPageSeries) -> None:
        self._path = path
        self._series = series
        file: Any = series.parent
        keyframe: Any = series.keyframe
        self._stored = np.dtype(file.byteorder + series.dtype.char)
        self._offset = series.dataoffset if keyframe.is_memmappable and not series.is_multifile else None
        self._places = _places(keyframe)
        self._chunk = _chunk(keyframe)
        self._kept: dict[tuple[int, int], NDArray[Any]] = {}
        self._n_kept_bytes = 0
        self.shape = tuple(series.shape)
        self.dtype = self._stored.newbyteorder("=")
        page_bytes = math.prod(keyframe.shape) * self.dtype.itemsize
        one = min(page_bytes, math.prod(self._chunk) * self.dtype.itemsize)
        self.n_held_bytes = 0 if keyframe.is_final else max(one, min(page_bytes, KEPT_BYTES))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if self._offset is not None:
            # Mapped for this moment alone, lest all that was ever read count as memory of the process.
            return np.array(np.memmap(self._path, self._stored, "r", self._offset, self.shape)[index], self.dtype)
        before, after = self._split(index)
        counted = self.shape[: self.ndim - self._series.keyframe.ndim]
        numbers = np.arange(math.prod(counted)).reshape(counted)[before]
        with _opened(self._series.parent):
            parts = [self._part(number, after) for number in numbers.flat]
        return np.reshape(parts, (*numbers.shape, *parts[0].shape)) if parts else np.zeros(0, self.dtype)

    def _split(self, index: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Return the parts of an index that count pages, and that are within a page."""
        full = whole_index(index, self.ndim)
        n = self.ndim - self._series.keyframe.ndim
        return tuple(full[:n]), tuple(full[n:])

    def _part(self, number: int, index: tuple[Any, ...]) -> NDArray[Any]:
        """Return values of a page, by its number."""
        page: Any = self._series.pages[number]
        keyframe = page.keyframe
        with contextlib.nullcontext() if page.parent is self._series.parent else _opened(page.parent):
            if keyframe.is_final:
                stored = self._stored.newbyteorder(page.parent.byteorder)
                path, offset = page.parent.filehandle.path, page.dataoffsets[0]
                return np.array(np.memmap(path, stored, "r", offset, keyframe.shape)[index], self.dtype)
            return self._gathered(number, page, index)

    def _gathered(self, number: int, page: Any, index: tuple[Any, ...]) -> NDArray[Any]:
        """Return values of a page from the segments in which they are."""
        size = page.keyframe.shaped
        wanted = [np.arange(n) for n in size]
        for place, each in zip(self._places, index, strict=True):
            wanted[place] = np.atleast_1d(wanted[place][each])
        values = np.empty([len(each) for each in wanted], self.dtype)
        counts = [-(-n // step) for n, step in zip(size, self._chunk, strict=True)]
        touched = [np.unique(each // step) for each, step in zip(wanted, self._chunk, strict=True)]
        for chunk in itertools.product(*touched):
            begins = [int(k) * step for k, step in zip(chunk, self._chunk, strict=True)]
            inside = [
                np.flatnonzero((each >= begin) & (each < begin + step))
                for each, begin, step in zip(wanted, begins, self._chunk, strict=True)
            ]
            rest = zip(size, begins, self._chunk, strict=True)
            is_part = math.prod(map(len, inside)) < math.prod(min(step, n - begin) for n, begin, step in rest)
            segment = self._segment(number, page, int(np.ravel_multi_index(chunk, counts)), is_kept=is_part)
            within = [each[places] - begin for each, places, begin in zip(wanted, inside, begins, strict=True)]
            values[np.ix_(*inside)] = segment[np.ix_(*within)]
        is_counted = [isinstance(each, slice) for each in index]
        shape = [values.shape[place] for place, kept in zip(self._places, is_counted, strict=True) if kept]
        return values.reshape(shape)

    def _segment(self, number: int, page: Any, segment: int, *, is_kept: bool) -> NDArray[Any]:
        """Return a strip or a tile of a page, along all axes of tifffile's normalized shape; the latest are remembered."""
        values = self._kept.pop((number, segment), None)
        if values is None:
            values = _decoded(page, segment)
        else:
            self._n_kept_bytes -= values.nbytes
        if is_kept:
            self._kept[number, segment] = values
            self._n_kept_bytes += values.nbytes
            while self._n_kept_bytes > KEPT_BYTES and len(self._kept) > 1:
                self._n_kept_bytes -= self._kept.pop(next(iter(self._kept))).nbytes
        return values


def can_read(series: tifffile.TiffPageSeries) -> bool:
    """Return True for an image that is large enough to be read part by part, and whose pages are all alike."""
    shape, page = series.shape, series.keyframe
    is_large = math.prod(shape) * series.dtype.itemsize > LARGEST_READ
    is_known = page.compression != tifffile.COMPRESSION.OJPEG and series.transform is None and bool(_places(page))
    if not (is_large and is_known):
        return False
    has_all_pages = math.prod(shape[: len(shape) - page.ndim]) == len(series.pages)
    is_one = series.dataoffset is not None and not series.is_multifile
    return is_one or (has_all_pages and tuple(shape[len(shape) - page.ndim :]) == page.shape)


def _places(page: Any) -> tuple[int, ...]:
    """Return the place of each axis of a page in tifffile's normalized shape; none if it has others."""
    order = "S" + AXES if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else f"-{AXES}S"
    places = tuple(order.find(letter) for letter in page.axes)
    return places if all(k >= 0 and page.shaped[k] == n for k, n in zip(places, page.shape, strict=True)) else ()


def _chunk(page: Any) -> tuple[int, ...]:
    """Return the size of a strip or a tile along the axes of tifffile's normalized shape."""
    samples = page.shaped[-1]
    if page.is_tiled:
        return (1, page.tiledepth, page.tilelength, page.tilewidth, samples)
    return (1, 1, page.rowsperstrip, page.imagewidth, samples)


def _decoded(page: Any, segment: int) -> NDArray[Any]:
    """Return a strip or a tile of a page whose file is open, by its number; one that the file leaves out has the value for no data.

    Raises
    ------
    ValueError
        The file does not say where it is.
    """
    keyframe, file = page.keyframe, page.parent.filehandle
    if segment >= len(page.dataoffsets):
        raise ValueError(f"strip or tile {segment} of page {page.index} is missing")
    offset, n_bytes = page.dataoffsets[segment], page.databytecounts[segment]
    data = None
    if offset and n_bytes:
        file.seek(offset)
        data = file.read(n_bytes)
    values, _, shape = keyframe.decode(data, segment, jpegtables=page.jpegtables, jpegheader=keyframe.jpegheader)
    if values is None:
        values = np.full(shape, keyframe.nodata, keyframe.dtype)
    decoded: NDArray[Any] = values[np.newaxis]
    return decoded


@contextlib.contextmanager
def _opened(file: Any) -> Iterator[None]:
    """Open a file that was closed for as long as the block takes."""
    file.filehandle.open()
    try:
        yield
    finally:
        file.filehandle.close()
