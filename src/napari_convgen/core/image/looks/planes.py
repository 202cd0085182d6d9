"""The plane of a frame that is looked at."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def middle_plane(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
) -> Float[np.ndarray, "h w"]:
    """Return the middle plane of the first channel, NaN where a value is missing; of a single line a plane without pixels."""
    if values.ndim < 3:
        return np.empty((0, 0))
    planes = np.where(is_observed[0], values[0], np.nan).reshape(-1, *values.shape[-2:])
    return np.asarray(planes[len(planes) // 2])
