"""Integers that passed the end of their range and went on at the other, as after a subtraction below 0 of values without a sign."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.image.looks.phase import phase_note

JUMP, LARGE = 0.8, 0.2
"""Least difference between neighbors across the ends of the range, and of other large ones, relative to the range."""

MIN_JUMPS, JUMP_SHARE = 8, 2e-4
"""Least number of jumps, and share of all neighbors. Our choice, no benchmark."""

LEAST_RATIO = 0.4
"""Least number of jumps relative to that of other large differences: 0.6 and more where the images of benchmarks/notes.py passed an end,
0.22 and less in all others, of which printed letters have most."""

MOST_ACROSS, MOST_AT_ENDS = 4.0, 1.3
"""Largest median distance across the ends, relative to that of other neighbors, and largest number of values at the very ends, relative to
that of the values next to these. The clean images of benchmarks/notes.py with noise that passed an end have 3.7 and 1.1 at most. Of
black letters on white with a little noise the distance is larger, and with more noise, which was cut off at the ends, the number."""

NOTE = (
    "Many neighbors differ by nearly the whole range of {}: their values passed its end and went on at the other, as after a subtraction "
    "below 0. Across these jumps the image cannot be denoised. Compute it anew with floating point numbers."
)
"""Advice for such an image."""


def overflow_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a frame of integers that passed the end of their range; empty for others, and for a phase.

    Neighbors with the largest or the least value of the frame do not count: values that were cut off, hot pixels, and masks have it.
    Arguments are those of `notes_on_looks`.
    """
    if dtype.kind not in "ui" or not is_observed.any():
        return ""
    range_of_type = 2.0 ** (8 * dtype.itemsize)
    seen = values[is_observed]
    low, high = seen.min(), seen.max()
    if high - low < JUMP * range_of_type:
        return ""
    inside = np.where(is_observed & (values > low) & (values < high), values, np.nan)
    steps = np.concatenate([np.abs(np.diff(inside, axis=axis)).ravel() for axis in range(1, inside.ndim)])
    steps = steps[np.isfinite(steps)] / range_of_type
    jumps, others = steps[steps > JUMP], steps[steps <= JUMP]
    if len(jumps) < max(MIN_JUMPS, JUMP_SHARE * len(steps), LEAST_RATIO * (others > LARGE).sum()) or not len(others):
        return ""
    is_near = np.median(1 - jumps) <= MOST_ACROSS * max(float(np.median(others)), 1 / range_of_type)
    at_ends, beside = (((seen == low + i) | (seen == high - i)).sum() for i in (0, 1))
    is_even = at_ends <= MOST_AT_ENDS * max(beside, MIN_JUMPS)
    return NOTE.format(dtype.name) if is_near and is_even and not phase_note(values, is_observed, dtype) else ""
