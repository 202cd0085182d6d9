"""The plane of a frame that is looked at, and its blocks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Shaped


def middle_plane(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
) -> Float[np.ndarray, "h w"]:
    """Return the middle plane of the first channel, NaN where a value is missing; of a single line a plane without pixels."""
    if values.ndim < 3:
        return np.empty((0, 0))
    planes = np.where(is_observed[0], values[0], np.nan).reshape(-1, *values.shape[-2:])
    return np.asarray(planes[len(planes) // 2])


def blocks_of(plane: Shaped[np.ndarray, "h w"], side: int) -> Shaped[np.ndarray, "n rows columns"]:
    """Return the square blocks of a plane, of ``side`` pixels each way; what does not fill a block is left out."""
    rows, columns = (n // side for n in plane.shape)
    whole = plane[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return whole.swapaxes(1, 2).reshape(-1, side, side)
