"""Interference: waves of one frequency all over the image, as electronics, room light and grids of pixels add them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex, Float
from scipy.ndimage import maximum_filter

from napari_convgen.core.window import hann_window

LEAST_SIDE = 64
"""Least number of rows and of columns in which waves are looked for. Our choice, no benchmark."""

SHORTEST = 2.05
"""Shortest wave along an axis, in pixels: shorter ones are every other line or pixel, see `measure_stripes` and `measure_checkerboard`."""

LEAST_SEEN = 0.95
"""Least share of the pixels that are observed. Our choice, no benchmark."""

LONGEST = 24.0
"""Longest wave in pixels. Longer ones are hard to tell from structure. Our choice, no benchmark."""

MOST_PEAKS = 24
"""Number of frequencies that are looked at, those with the greatest power. Our choice, no benchmark."""

PEAK, AROUND = 25.0, 11
"""Least power of a wave relative to the median of the frequencies around, and their number along each axis. The largest of a million powers
of noise is 20 times their median."""

N_TILES = 4
"""Number of tiles along each axis in which a wave is measured."""

MOST_SPREAD = 0.4
"""Largest root of the mean square of the tiles' differences from the mean wave, relative to it: structure is not equally strong, and in
step, all over the image. Chosen with benchmarks/noise.py, so that few images are wrongly taken for ones with waves."""


@dataclass(frozen=True)
class Wave:
    """One wave: ``amplitude`` times the cosine of ``2π (row · frequency[0] + column · frequency[1]) + phase``.

    Attributes
    ----------
    frequency
        Cycles a pixel along rows and along columns.
    amplitude
        Height in the unit of the values.
    phase
        Phase at the first pixel, in radians.
    """

    frequency: tuple[float, float]
    amplitude: float
    phase: float

    @property
    def length(self) -> float:
        """Distance of two crests, in pixels."""
        return 1 / math.hypot(*self.frequency)

    def at(self, shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
        """Return the wave on a plane of this shape."""
        return np.asarray(self.amplitude * np.real(np.exp(1j * self.phase) / _turning(self.frequency, shape)))


def find_waves(plane: Float[np.ndarray, "h w"]) -> tuple[Wave, ...]:
    """Return the waves that cover all parts of a plane equally, the strongest first.

    A lattice in the specimen that fills the image looks the same.

    Parameters
    ----------
    plane
        Values, NaN where one is missing; there are no waves where many are, nor in planes with sides of less than `LEAST_SIDE` pixels.
    """
    is_seen = np.isfinite(plane)
    if min(plane.shape) < LEAST_SIDE or is_seen.mean() < LEAST_SEEN:
        return ()
    rest = np.where(is_seen, plane - plane[is_seen].mean(), 0.0)
    window = np.outer(*(hann_window(n) for n in plane.shape))
    waves: list[Wave] = []
    for frequency in _peaks(rest * window):
        if max(map(abs, frequency)) > 1 / SHORTEST:
            continue
        tiles = _tiles(rest, frequency)
        mean = tiles.mean()
        if np.sqrt(np.mean(np.abs(tiles - mean) ** 2)) <= MOST_SPREAD * abs(mean):
            whole = (rest * window * _turning(frequency, plane.shape)).sum() / window.sum()
            waves.append(Wave(frequency, 2 * abs(whole), float(np.angle(whole))))
    return tuple(sorted(waves, key=lambda wave: -wave.amplitude))


def count_waves(values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> int:
    """Return the number of waves in all planes together, see `find_waves`.

    Parameters
    ----------
    values
        Values, channels first; along a single axis there are no waves.
    is_observed
        False where a value is missing.
    """
    return sum(len(find_waves(plane)) for plane in _planes(values, is_observed)) if values.ndim > 2 else 0


def without_waves(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], n_waves: int
) -> Float[np.ndarray, "c *spatial"]:
    """Return the values less the waves of each plane.

    Parameters
    ----------
    values, is_observed
        As for `count_waves`.
    n_waves
        Number of waves that were found; where it is 0 nothing is taken away.
    """
    if not n_waves:
        return values
    planes = _planes(values, is_observed)
    waves = [sum((wave.at(plane.shape) for wave in find_waves(plane)), np.zeros(plane.shape)) for plane in planes]
    return np.asarray(values - np.reshape(waves, values.shape))


def _planes(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
) -> Float[np.ndarray, "n h w"]:
    """Return all planes of all channels, NaN where a value is missing."""
    return np.where(is_observed, values, np.nan).reshape(-1, *values.shape[-2:])


def _peaks(windowed: Float[np.ndarray, "h w"]) -> Iterator[tuple[float, float]]:
    """Yield the frequencies of half the plane whose power stands out from those around, the most powerful first."""
    magnitude = np.abs(np.fft.fft2(windowed))
    rows, columns = np.meshgrid(*(np.fft.fftfreq(n) for n in magnitude.shape), indexing="ij", sparse=True)
    is_half = (columns > 0) | ((columns == 0) & (rows > 0))
    is_peak = (
        is_half & (np.hypot(rows, columns) > 1 / LONGEST) & (magnitude == maximum_filter(magnitude, 5, mode="wrap"))
    )
    places = np.argwhere(is_peak)
    reach = np.arange(-(AROUND // 2), AROUND // 2 + 1)
    for place in places[np.argsort(-magnitude[is_peak])][:MOST_PEAKS]:
        around = magnitude[np.ix_(*((i + reach) % n for i, n in zip(place, magnitude.shape, strict=True)))]
        if magnitude[tuple(place)] ** 2 > PEAK * max(float(np.median(around)) ** 2, np.finfo(float).tiny):
            middle = AROUND // 2
            yield tuple(
                (i + _between(*line[middle - 1 : middle + 2])) / n - (i > n // 2)
                for i, n, line in zip(place, magnitude.shape, (around[:, middle], around[middle]), strict=True)
            )


def _between(before: float, peak: float, behind: float) -> float:
    """Return the place of a wave between two frequencies of a Fourier transform with a Hann window, from its magnitude at three of them."""
    ratio = max(before, behind) / peak
    return float(np.sign(behind - before) * (2 * ratio - 1) / (ratio + 1))


def _turning(frequency: tuple[float, float], shape: tuple[int, ...]) -> Complex[np.ndarray, "h w"]:
    """Return the factors that turn a wave of this frequency into a constant."""
    rows, columns = (np.exp(-2j * math.pi * f * np.arange(n)) for f, n in zip(frequency, shape, strict=True))
    return np.asarray(np.outer(rows, columns))


def _tiles(values: Float[np.ndarray, "h w"], frequency: tuple[float, float]) -> Complex[np.ndarray, "n"]:
    """Return the amplitude and phase of a wave in each tile, as complex numbers."""
    turned = values * _turning(frequency, values.shape)
    sides = [n // N_TILES for n in values.shape]
    window = np.outer(*(hann_window(n) for n in sides))
    tiles = turned[: N_TILES * sides[0], : N_TILES * sides[1]].reshape(N_TILES, sides[0], N_TILES, sides[1])
    return np.asarray((tiles * window[None, :, None, :]).sum((1, 3)) / window.sum()).ravel()
