"""Enlarged images: pixels that were computed from fewer ones, so that their noise is correlated."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.image.looks.planes import middle_plane
from napari_convgen.core.window import hann_window

FACTORS = {2: 0.77, 3: 0.72}
"""Factors that are looked for, and the largest ratio of the least to the greatest roughness over the places between the original pixels.
Chosen with benchmarks/noise.py, as is the next: images that were not enlarged have 0.79 and more."""

MOST_BEYOND = 0.03
"""Largest power just beyond half the highest frequency, relative to that just below, of an image whose other frequencies were filled with
zeros, as scanners do."""

JUST_BELOW, JUST_BEYOND = (0.20, 0.24), (0.26, 0.30)
"""These frequencies, in cycles a pixel."""

N_PERIODS = 8
"""Number of original pixels in a window. Between windows the places can shift: ends may have been aligned. Our choice, no benchmark."""

N_WINDOWS = 2
"""Least number of windows along an axis."""


def enlarged_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a frame that was enlarged; empty for others. Arguments are those of `notes_on_looks`."""
    factor = find_enlargement(values, is_observed)
    if factor == 1:
        return ""
    # Two pixels that became three lie in the same period as one that became three.
    times, reduce = (
        ("2 times", ", or first reduce the image to 1/2 of its size") if factor == 2 else ("3 or 1.5 times", "")
    )
    return (
        f"The image looks enlarged {times}: its pixels were computed from fewer ones, which makes their noise correlated and says nothing "
        f"new. Denoise the original{reduce}."
    )


def find_enlargement(values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> int:
    """Return the factor by which the first channel of a frame was enlarged along both of the last two axes; 1 if it was not.

    Interpolated pixels are smoother than original ones: where they lie, every second or third, neighbors differ less. Filling in zeros
    at the higher frequencies leaves no such trace, but those frequencies are empty.

    Parameters
    ----------
    values
        Values, channels first.
    is_observed
        False where a value is missing.
    """
    plane = middle_plane(values, is_observed)
    if not plane.size:
        return 1
    for factor, most in FACTORS.items():
        if max(_smoothest(plane, factor), _smoothest(plane.T, factor)) < most:
            return factor
    return 2 if max(_power_beyond(plane), _power_beyond(plane.T)) < MOST_BEYOND else 1


def _smoothest(plane: Float[np.ndarray, "h w"], factor: int) -> float:
    """Return how rough the smoothest places between original rows are, relative to the roughest, from 0 to 1."""
    ratios = []
    for order in (1, 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of rows without any value
            rough = np.nanmean(np.abs(np.diff(plane, order, axis=0)), axis=1)
        n_windows = len(rough) // (N_PERIODS * factor)
        if n_windows < N_WINDOWS:
            return 1.0
        periods = rough[: n_windows * N_PERIODS * factor].reshape(n_windows, N_PERIODS, factor)
        places = np.median(periods, axis=1)
        least, most = places.min(1), places.max(1)
        ratios.append(float(np.median(np.divide(least, most, out=np.ones_like(least), where=most > 0))))
    return min(ratios)


def _power_beyond(plane: Float[np.ndarray, "h w"]) -> float:
    """Return the power along the rows just beyond half the highest frequency, relative to that just below; 1 if it cannot be told."""
    if not np.isfinite(plane).all():
        return 1.0
    power = (np.abs(np.fft.rfft((plane - plane.mean()) * hann_window(plane.shape[1]), axis=1)) ** 2).mean(0)
    frequency = np.fft.rfftfreq(plane.shape[1])
    below, beyond = (power[(low < frequency) & (frequency < high)] for low, high in (JUST_BELOW, JUST_BEYOND))
    if not (len(below) and len(beyond) and below.any()):
        return 1.0
    return float(np.median(beyond) / max(float(np.median(below)), np.finfo(float).tiny))
