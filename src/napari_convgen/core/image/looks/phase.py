"""Wrapped phase: angles that jump by 2π where they leave their range."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float

SPAN = 0.95
"""Least span of the angles, in 2π."""

TOLERANCE = 0.02
"""Distance, in radians, by which rounding may move an angle out of the range from -π to π, or from 0 to 2π."""

JUMP = 0.8
"""Least difference between neighbors across a jump, in 2π: noise takes away from 2π. Our choice, no benchmark."""

MIN_JUMPS, JUMP_SHARE = 8, 2e-4
"""Least number of jumps, and share of all neighbors: a line of jumps across a frame of 1024 × 1024 pixels has 5 of 10,000."""

NOTE = (
    "The image looks like a wrapped phase: its values span 2π, and neighbors differ by nearly as much. Across these jumps it cannot be "
    "denoised. Denoise the real and the imaginary part as two channels, cos(phase) and sin(phase) times the magnitude if there is one, and "
    "take the angle of the result."
)
"""Advice for such an image."""


def phase_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a frame with the range of a phase, and neighbors that differ by nearly all of it; empty for others.

    Arguments are those of `notes_on_looks`; integers are no phase.
    """
    return NOTE if dtype.kind == "f" and _is_wrapped(values, is_observed) else ""


def _is_wrapped(values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> bool:
    seen = values[is_observed]
    if not seen.size:
        return False
    low, high = float(seen.min()), float(seen.max())
    least = 0.0 if low > -TOLERANCE else -math.pi
    is_angle = low > least - TOLERANCE and high < least + 2 * math.pi + TOLERANCE and high - low > SPAN * 2 * math.pi
    if not is_angle:
        return False
    differences = [np.abs(np.diff(np.where(is_observed, values, np.nan), axis=axis)) for axis in range(1, values.ndim)]
    n_jumps = sum(int((each > JUMP * 2 * math.pi).sum()) for each in differences)
    return bool(n_jumps >= max(MIN_JUMPS, JUMP_SHARE * seen.size))
