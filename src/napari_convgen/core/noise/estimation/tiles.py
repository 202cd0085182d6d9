"""Borders between the tiles of a mosaic that were taken with different exposures, across which the noise gets stronger or weaker."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

LEAST_TILE = 48
"""Least side of a tile, in pixels: room for two cells in which noise is measured."""

BAND = 32
"""Number of pixels of a line that are taken together: half of them are most often without an edge."""

REACH = 16
"""Number of lines on either side of a border whose noise is compared. Our choice, no benchmark."""

LEAST_JUMP, LEAST_RATIO = 0.25, 3.0
"""Least change of the noise's logarithm across a border, as the mean of its size over all bands, and relative to the median change at all
lines. Noise that is the same everywhere changes by at most 0.2. Chosen with benchmarks/noise.py."""

NEAR = 4
"""Number of lines on either side among which the place of a border is found exactly."""

MOST_PLANES = 4
"""Number of planes of a volume that are looked at."""

Borders = tuple[tuple[float, ...], tuple[float, ...]]
"""Borders along the last two axes, as shares of the side from 0 to 1."""

NO_BORDERS: Borders = ((), ())
"""Those of an image that is no mosaic."""


def find_borders(stable: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> Borders:
    """Return the rows and columns at which the noise changes in most parts of the line.

    Parameters
    ----------
    stable
        Values whose noise is the same at all intensities, channels first.
    is_observed
        False where a value is missing.
    """
    values = np.where(is_observed, stable, np.nan)
    planes = values.reshape(-1, *values.shape[-2:])
    planes = planes[:: -(-len(planes) // MOST_PLANES)]
    rows, columns = (tuple(_borders_between_rows(each)) for each in (planes, planes.swapaxes(1, 2)))
    return rows, columns


def is_of_tile(place: Float[np.ndarray, "..."], borders: Sequence[float]) -> list[Bool[np.ndarray, "..."]]:
    """Return for each tile along an axis which places, given from -1 to 1, are in it."""
    number = np.searchsorted(np.array(borders), (place + 1) / 2, side="right")
    return [number == each for each in range(len(borders) + 1)]


def _borders_between_rows(planes: Float[np.ndarray, "n h w"]) -> list[float]:
    height, width = planes.shape[1:]
    if height < 2 * LEAST_TILE or width < BAND:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of bands without any value
        # Second differences along both axes hardly show structure; those along a row alone are of this row and of no other.
        fine = _levels(np.diff(planes, 2, axis=1))
        exact = _levels(planes)
        sizes = np.nanmean(np.abs(_jumps(fine, REACH)), 1)
    least = max(LEAST_JUMP, LEAST_RATIO * float(np.nanmedian(sizes)))
    borders: list[int] = []
    for place in np.argsort(-np.nan_to_num(sizes)):
        line = int(place) + REACH + 1
        if not sizes[place] > least:
            break
        if all(abs(line - other) >= LEAST_TILE + NEAR for other in (0, height, *borders)):
            borders.append(_exact_place(exact, line))
    return [line / height for line in sorted(borders)]


def _levels(planes: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "h bands"]:
    """Return the logarithm of the median size of second differences along each row, in bands; NaN where there is none."""
    fine = np.abs(np.diff(planes, 2, axis=2))
    bands = np.array_split(fine, max(1, fine.shape[2] // BAND), axis=2)
    levels = np.concatenate([np.nanmedian(each, axis=2) for each in bands], 0).T
    return np.log(np.where(levels > 0, levels, np.nan))


def _jumps(levels: Float[np.ndarray, "h bands"], reach: int) -> Float[np.ndarray, "lines bands"]:
    """Return the mean of ``reach`` rows minus that of as many rows before, from row ``reach`` on."""
    sums = np.concatenate([np.zeros((1, levels.shape[1])), np.cumsum(np.nan_to_num(levels), 0)])
    numbers = np.concatenate([np.zeros((1, levels.shape[1])), np.cumsum(np.isfinite(levels), 0)])
    means = (sums[reach:] - sums[:-reach]) / (numbers[reach:] - numbers[:-reach])
    return np.asarray(means[reach:] - means[:-reach])


def _exact_place(levels: Float[np.ndarray, "h bands"], line: int) -> int:
    """Return the row near a border from which on the rows are as different as possible from those before."""
    reach = REACH - NEAR
    around = np.nan_to_num(levels[line - REACH : line + REACH])
    n = np.arange(reach, reach + 2 * NEAR + 1)
    before = np.stack([around[:each].mean(0) for each in n])
    behind = np.stack([around[each:].mean(0) for each in n])
    explained = (n * (2 * REACH - n))[:, np.newaxis] * (behind - before) ** 2
    return line - REACH + int(n[explained.sum(1).argmax()])
