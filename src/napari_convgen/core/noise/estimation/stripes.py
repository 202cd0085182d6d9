"""Stripes: offsets that all pixels of a row or of a column have in common, as line scanners and cameras add them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d

MIN_LINES, MIN_LENGTH = 32, 16
"""Least number of lines, and of observed pixels in a line, that stripes are looked for in: medians and correlations of fewer tell little."""

MIN_STRENGTH, MIN_RATIO = 2.5, 2.0
"""Least standard deviation of stripes relative to what the noise of single pixels gives the medians of lines, and relative to that of the
other direction, as structure has about as much in both. Chosen on the tuning images of benchmarks/noise.py, none of which has stripes."""

MIN_CROSSED = 3.5
"""Least standard deviation relative to what the noise of single pixels gives, for stripes in both directions. Chosen on the same images."""

MAX_CORRELATION = -0.5
"""Largest correlation of neighboring second differences. It is -2/3 for independent offsets and -1 for offsets that alternate; that of
structure, which goes on from line to line, is larger."""

N_SPREADS = 6.0
"""Largest second difference that counts, in median absolute ones: the border of an object is no stripe."""

MAD, MEDIAN_ERROR = 1.4826, np.sqrt(np.pi / 2)
"""Standard deviation over the median absolute deviation, and standard error of a median over that of a mean, both of Gaussian noise."""

WIDTH = 4.0
"""Standard deviation, in lines, of the Gaussian whose mean an offset is measured from. Slower changes are taken for structure; of
independent offsets they are 7 % of the variance."""

ROWS, COLUMNS = -2, -1
"""Axes along which lines are counted."""


def measure_stripes(
    values: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
    has_stripes: Literal["auto", "yes", "no"] = "auto",
) -> tuple[float, float]:
    """Return the standard deviation of the offsets of rows and of columns, in the unit of ``values``; 0 where there are none.

    The offset of a line against the one before is the median difference of their pixels, so that structure that begins or ends in a part
    of the line does not count. There are stripes where these offsets change more from line to line than the noise of single pixels
    allows, more than in the other direction, and independently of the lines before.

    Parameters
    ----------
    values
        Noisy values, channels first; without rows there are no stripes.
    is_observed
        False where a value is missing.
    has_stripes
        ``"yes"`` to take any offsets for stripes, ``"no"`` to take none; ``"auto"``, the default, decides.
    """
    if has_stripes == "no" or values.ndim < 3:
        return 0.0, 0.0
    lines = [_Lines.of(values, is_observed, axis) for axis in (ROWS, COLUMNS)]
    found = [each.are_striped(other) or has_stripes == "yes" for each, other in (lines, lines[::-1])]
    rows, columns = (each.strength if is_found else 0.0 for each, is_found in zip(lines, found, strict=True))
    return rows, columns


def stripe_offsets(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], axis: int
) -> Float[np.ndarray, "c *spatial"]:
    """Return the offset of each pixel's line from the mean of the lines around.

    Parameters
    ----------
    values, is_observed
        As for `measure_stripes`.
    axis
        Axis along which lines are counted, `ROWS` or `COLUMNS`; the other one of these is the lines' own.
    """
    return _Lines.of(values, is_observed, axis).offsets


@dataclass(frozen=True, eq=False)
class _Lines:
    """What is measured of all lines of one direction.

    Attributes
    ----------
    offsets
        Offset of each pixel's line, in the shape of the values or broadcasting against them.
    strength
        Standard deviation of the offsets, were they independent from line to line; 0 where there are too few lines.
    of_pixels
        Standard deviation that the noise of single pixels gives them.
    correlation
        Correlation of neighboring second differences; 0 where there are none.
    """

    offsets: Float[np.ndarray, "c *spatial"]
    strength: float
    of_pixels: float
    correlation: float

    @classmethod
    def of(
        cls, values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], axis: int
    ) -> Self:
        """Measure the lines of all planes."""
        along = ROWS + COLUMNS - axis
        differences = np.diff(np.where(is_observed, values, np.nan), axis=axis)
        n_pixels = np.isfinite(differences).sum(along, keepdims=True)
        if values.shape[axis] < MIN_LINES or np.median(n_pixels) < MIN_LENGTH:
            return cls(np.zeros_like(values), 0.0, 0.0, 0.0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            steps = np.where(n_pixels < MIN_LENGTH, 0.0, np.nanmedian(differences, axis=along, keepdims=True))
        spread = MAD * float(np.nanmedian(np.abs(differences - steps)))
        second = np.diff(steps, axis=axis)
        limit = N_SPREADS * float(np.median(np.abs(second)))
        second = np.moveaxis(np.clip(second, -limit, limit), axis, 0)
        power = float(np.mean(second**2))
        correlation = float(np.mean(second[1:] * second[:-1])) / power if power else 0.0
        start = np.zeros_like(steps.take([0], axis))
        profile = np.concatenate([start, np.cumsum(steps, axis)], axis)
        offsets = profile - gaussian_filter1d(profile, WIDTH, axis, mode="reflect")
        of_pixels = MEDIAN_ERROR * spread / float(np.sqrt(2 * np.median(n_pixels)))
        return cls(offsets, float(np.sqrt(power / 6)), of_pixels, correlation)

    def are_striped(self, other: _Lines) -> bool:
        """Return True if these lines have offsets of their own; ``other`` are the lines of the other direction."""
        if not self.correlation < MAX_CORRELATION:
            return False
        is_crossed = other.correlation < MAX_CORRELATION and other.strength > MIN_CROSSED * other.of_pixels
        is_directed = self.strength > MIN_STRENGTH * self.of_pixels and self.strength > MIN_RATIO * other.strength
        return is_directed or (is_crossed and self.strength > MIN_CROSSED * self.of_pixels)
