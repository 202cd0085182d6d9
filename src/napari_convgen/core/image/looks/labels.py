"""Labels, which are integers that number objects, and are no brightness, and drawings, which look alike."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

LEAST_EQUAL = 0.8
"""Least share of neighbors of the same value, of those that are not both background: areas of 8 × 8 pixels have 0.9. Our choice, no
benchmark."""

MOST_CLASSES = 8
"""Number of different values up to which those of neighbors may be one after the other: classes of pixels; of more, it is a gradient."""

LEAST_PIXELS = 64
"""Least number of neighbors that are not both background."""

NOTE = (
    "The image looks like labels or a drawing: integers, each of which fills connected areas, without noise. There is nothing to denoise. "
    "If they are labels, which are numbers of objects, denoise the image that was segmented."
)
"""Advice for such an image."""


def labels_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a gray frame of integers that fill areas; empty for others. Arguments are those of `notes_on_looks`."""
    if dtype.kind not in "iu" or values.ndim < 3 or len(values) > 1:
        return ""
    different, numbers = np.unique(values, return_counts=True)
    background = different[np.argmax(numbers)]
    n_pairs = n_equal = 0
    steps = []
    for axis in (-2, -1):
        one, other = (np.moveaxis(values, axis, 0)[part] for part in (slice(1, None), slice(-1)))
        is_inside = (one != background) | (other != background)
        step = np.abs(one - other)[is_inside]
        n_pairs, n_equal = n_pairs + step.size, n_equal + int((step == 0).sum())
        steps.append(step[step > 0])
    jumps = np.concatenate(steps)
    if n_pairs < LEAST_PIXELS or n_equal < LEAST_EQUAL * n_pairs or not jumps.size:
        return ""
    return NOTE if len(different) <= MOST_CLASSES or np.median(jumps) > 1 else ""
