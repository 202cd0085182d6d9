"""Arrays whose values are read or computed as they are needed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class ArrayLike(Protocol):
    """What is asked of an array: numpy, dask, zarr and other lazy arrays have it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values along each axis."""
        ...

    @property
    def dtype(self) -> Any:
        """Type of the values, as numpy understands it."""
        ...

    def __getitem__(self, index: Any, /) -> Any: ...


class LazyArray(ABC):
    """What napari and numpy ask of an array, from its shape, its type, and the values at an index.

    Attributes
    ----------
    shape, dtype
        Shape and type of the whole array.
    n_held_bytes
        Bytes of memory that it holds all the time; 0, the default, if all is read or computed as it is needed.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    n_held_bytes: int = 0

    @abstractmethod
    def __getitem__(self, index: Any) -> NDArray[Any]: ...

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)


def held_bytes(data: Any) -> int:
    """Return the bytes of memory that an array holds all the time: none if it is mapped from a file, or read as it is needed."""
    if isinstance(data, np.ndarray):
        return 0 if isinstance(data, np.memmap) else data.nbytes
    return getattr(data, "n_held_bytes", 0)


def whole_index(index: Any, n_axes: int) -> list[Any]:
    """Return an index of numbers and slices, which may have an ellipsis, with one for each axis."""
    full = list(index) if isinstance(index, tuple) else [index]
    place = next((i for i, each in enumerate(full) if each is Ellipsis), len(full))
    n_given = sum(each is not Ellipsis for each in full)
    full[place : place + 1] = [slice(None)] * (n_axes - n_given)
    return full
