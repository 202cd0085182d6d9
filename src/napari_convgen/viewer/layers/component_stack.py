"""Images by the number of singular vectors in them, along an axis of a layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_convgen.core.image.lazy import LazyArray

N_KEPT = 4
"""Number of images that are kept after they were looked at: napari asks for the same one several times."""


class ComponentStack(LazyArray):
    """An array whose first index is a number of vectors, from 0; an image is computed when it is looked at.

    Parameters
    ----------
    draw
        Function that returns the image for a number of vectors.
    n_components
        Largest number of vectors.
    shape, dtype
        Shape and type of each image.
    """

    def __init__(
        self, draw: Callable[[int], NDArray[Any]], n_components: int, shape: tuple[int, ...], dtype: DTypeLike
    ) -> None:
        self._draw = lru_cache(N_KEPT)(draw)
        self.shape = (n_components + 1, *shape)
        self.dtype = np.dtype(dtype)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        first, *rest = index if isinstance(index, tuple) else (index,)
        if first is Ellipsis:
            first, rest = slice(None), [Ellipsis, *rest]
        numbers = np.arange(len(self))[first]
        if np.ndim(numbers) == 0:
            return np.asarray(self._draw(int(numbers))[tuple(rest)])
        images = [self._draw(int(n))[tuple(rest)] for n in numbers]
        return np.stack(images) if images else np.empty(self.shape, self.dtype)[(slice(0), *rest)]
