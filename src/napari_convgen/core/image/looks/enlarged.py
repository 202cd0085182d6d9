"""Enlarged images: pixels that were computed from fewer ones, so that their noise is correlated."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d

from napari_convgen.core.image.looks.planes import middle_plane
from napari_convgen.core.window import hann_window

FACTORS = {2: 0.77, 3: 0.72}
"""Factors that are looked for, and the largest ratio of the least to the greatest roughness over the places between the original pixels.
Chosen with benchmarks/notes.py, as is the next: images that were not enlarged have 0.79 and more."""

MOST_BEYOND = 0.03
"""Largest power just beyond half the highest frequency, relative to that just below, of an image whose other frequencies were filled with
zeros, as scanners do."""

JUST_BELOW, JUST_BEYOND = (0.20, 0.24), (0.26, 0.30)
"""These frequencies, in cycles a pixel."""

N_PERIODS = 8
"""Number of original pixels in a window. Between windows the places can shift: ends may have been aligned. Our choice, no benchmark."""

N_WINDOWS = 2
"""Least number of windows along an axis."""


LEAST_BEAT = 500.0
"""Least power of the roughness at one frequency over the lines, relative to the median over all: enlarged 1.25 times and more, noisy images
of 256 pixels have 1000 and more along both axes; no image of benchmarks/notes.py has 250, apart from those that were saved as JPEG."""

LEAST_LINES, LOWEST, HIGHEST = 96, 0.15, 0.49
"""Least number of lines, and frequencies, in cycles a line, that are looked at: factors of about 1.2 to 6, but for 2."""

SLOW = 4.0
"""Standard deviation, in lines, of the Gaussian by which slow changes of the roughness are taken off."""

OF_JPEG, MOST_OF_JPEG = 8, 0.1
"""Side of the blocks of JPEG, which beat at all multiples of 1/8, and the largest power at the others, relative to that of an enlargement:
it beats at one of them alone."""


def enlarged_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a frame that was enlarged; empty for others. Arguments are those of `notes_on_looks`."""
    factor = find_enlargement(values, is_observed)
    if factor == 1:
        beat = _common_beat(middle_plane(values, is_observed))
        if not beat:
            return ""
        return (
            f"The image looks enlarged about {1 / (1 - beat):.2f} or {1 / beat:.1f} times: its pixels were computed from fewer ones, which "
            "makes their noise correlated and says nothing new. Denoise the original."
        )
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


def _common_beat(plane: Float[np.ndarray, "h w"]) -> float:
    """Return the frequency at which rows and columns alike get smoother and rougher, as those between original pixels; 0 if none does."""
    if min(plane.shape) < LEAST_LINES or not np.isfinite(plane).all():
        return 0.0
    of_rows, of_columns = _beat(plane), _beat(plane.T)
    is_common = abs(of_rows - of_columns) < 2 / min(plane.shape)
    return (of_rows + of_columns) / 2 if is_common and min(of_rows, of_columns) > 0 else 0.0


def _beat(plane: Float[np.ndarray, "h w"]) -> float:
    """Return the frequency, in cycles a row, at which the roughness of rows changes most; 0 if it does not stand out."""
    rough = np.abs(np.diff(plane, 2, axis=0)).mean(1)
    level = np.log(np.maximum(rough, np.finfo(float).eps * max(float(rough.max()), np.finfo(float).tiny)))
    level = (level - gaussian_filter1d(level, SLOW)) * hann_window(len(level))
    power, frequency = np.abs(np.fft.rfft(level)) ** 2, np.fft.rfftfreq(len(level))
    is_seen = (frequency > LOWEST) & (frequency < HIGHEST)
    best = int(np.where(is_seen, power, 0.0).argmax())
    if power[best] <= LEAST_BEAT * np.median(power[is_seen]):
        return 0.0
    eighth = frequency[best] * OF_JPEG
    if abs(eighth - round(eighth)) < 2 * OF_JPEG / len(level):
        others = [n / OF_JPEG for n in range(1, OF_JPEG // 2) if n != round(eighth)]
        near = [power[np.abs(frequency - other) < 2 / len(level)].max() for other in others]
        if max(near) > MOST_OF_JPEG * power[best]:
            return 0.0
    return float(frequency[best])
