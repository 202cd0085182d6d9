"""Values that a file stores in another form than they are used in, converted as they are needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_convgen.core.image import ArrayLike
from napari_convgen.core.image.lazy import LazyArray, held_bytes
from napari_convgen.files.tiff.pages import LARGEST_READ

Conversion = Callable[[NDArray[Any]], NDArray[Any]]
"""Function from stored values to those in image units."""


class ConvertedValues(LazyArray):
    """Stored values in image units; only the part that is indexed is converted.

    Parameters
    ----------
    stored
        Values as the file stores them.
    dtype
        Type of the values in image units.
    convert
        Function that converts a part of them.

    Attributes
    ----------
    shape, dtype
        Shape of the image, and type of its values.
    n_held_bytes
        Bytes of memory that the stored values hold all the time.
    """

    def __init__(self, stored: NDArray[Any], dtype: DTypeLike, convert: Conversion) -> None:
        self._stored = stored
        self._convert = convert
        self.shape = tuple(stored.shape)
        self.dtype = np.dtype(dtype)
        self.n_held_bytes = held_bytes(stored)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return np.asarray(self._convert(self._stored[index]), self.dtype)


def converted(stored: NDArray[Any], dtype: DTypeLike, convert: Conversion = np.asarray) -> ArrayLike:
    """Return values in image units: of an image up to `LARGEST_READ` converted at once, of a larger one as they are needed.

    Parameters
    ----------
    stored
        Values as the file stores them.
    dtype
        Type of the values in image units.
    convert
        Function that converts them; default: nothing but the type changes.
    """
    values = ConvertedValues(stored, dtype, convert)
    return np.asarray(values) if math.prod(values.shape) * values.dtype.itemsize <= LARGEST_READ else values
