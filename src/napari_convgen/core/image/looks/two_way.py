"""Scans in both directions whose phase is not adjusted: every other row is shifted against those between."""

from __future__ import annotations

from itertools import product

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.image.looks.planes import middle_plane
from napari_convgen.core.window import hann_window

LEAST_SIDE = 64
"""Least number of pixels along either axis. Our choice, no benchmark."""

LARGEST, STEP = 8.0, 0.05
"""Largest shift that is looked for, and distance between those that are tried, in pixels."""

LEAST, LARGEST_DIFFERENCE = 0.8, 0.6
"""Least shift that is told, and largest distance of that in each quarter of the image, in pixels: where nothing is shifted, quarters agree
by chance in four images of 10,000. Our choice: no image of benchmarks/notes.py gets the note wrongly."""

MOST_MIRRORED = 0.8
"""Largest agreement of lines at the opposite shift, relative to that at the shift: fine slanted lines agree at both. Our choice."""

FINEST = 0.08
"""Frequency, in cycles a pixel, from which on waves count less: at higher ones noise has more energy than most images. Our choice."""

NOTE = (
    "{} 1, 3, 5 and so on (from 0) are shifted by {:+.1f} pixels against those between, as in a scan in both directions whose phase is not "
    "adjusted. The shift is kept, and makes edges jagged: adjust the phase, or shift these {} back first."
)
"""Advice for such an image."""


def two_way_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a frame whose rows or columns are shifted by turns; empty for others. Arguments are those of `notes_on_looks`."""
    plane = middle_plane(values, is_observed)
    if min(plane.shape) < LEAST_SIDE or not np.isfinite(plane).all():
        return ""
    for name, lines in (("Rows", plane), ("Columns", plane.T)):
        if shift := find_shift(lines):
            return NOTE.format(name, shift, name.lower())
    return ""


def find_shift(lines: Float[np.ndarray, "h w"]) -> float:
    """Return by how many pixels every other row, from the second on, is shifted towards higher columns; 0 if it is not.

    Each row is compared with the mean of the rows above and below, in which slopes and noise of its own cancel.
    """
    shift, at, at_opposite = _best_shift(lines)
    if abs(shift) < LEAST or at_opposite >= MOST_MIRRORED * at:
        return 0.0
    middles = [n // 4 * 2 for n in lines.shape]  # even, so that the same rows are shifted in all quarters
    parts = product(*((slice(0, middle), slice(middle, None)) for middle in middles))
    quarters = [_best_shift(lines[part])[0] for part in parts]
    return shift if max(abs(each - shift) for each in quarters) < LARGEST_DIFFERENCE else 0.0


def _best_shift(lines: Float[np.ndarray, "h w"]) -> tuple[float, float, float]:
    """Return the shift at which the rows agree best with those around, how well they agree, and how well at the opposite shift."""
    waves = np.fft.rfft((lines - lines.mean(1, keepdims=True)) * hann_window(lines.shape[1]), axis=1)
    related = waves[1:-1] * np.conj(waves[:-2] + waves[2:])
    related = related[::2].sum(0) + np.conj(related[1::2]).sum(0)
    frequency = np.fft.rfftfreq(lines.shape[1])
    shifts = np.arange(-LARGEST, LARGEST + STEP / 2, STEP)
    turns = np.exp(2j * np.pi * np.multiply.outer(shifts, frequency))
    weights = frequency**2 * np.exp(
        -((frequency / FINEST) ** 2)
    )  # slopes are sharper than the lines, and beyond is noise
    agreement = (turns @ (weights * related)).real
    best = int(agreement.argmax())
    return float(shifts[best]), float(agreement[best]), float(agreement[::-1][best])
