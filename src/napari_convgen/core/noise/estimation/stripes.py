"""Stripes and drifts: offsets that all pixels of a row or of a column have in common, as line scanners and cameras add them."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d

from napari_convgen.core.noise.estimation.impulses import MAD_TO_SIGMA

MIN_LINES, MIN_LENGTH = 32, 16
"""Least number of lines, and of observed pixels in a line, that stripes are looked for in: medians of fewer tell little."""

MIN_STRENGTH, MIN_RATIO = 2.5, 2.0
"""Least standard deviation of stripes relative to what the noise of single pixels gives the medians of lines, and relative to that of the
other direction, as structure has about as much in both. Chosen with benchmarks/noise.py, so that no image is wrongly taken for striped."""

MIN_CROSSED = 3.5
"""Least standard deviation relative to what the noise of single pixels gives, for stripes in both directions. Chosen likewise."""

MAX_CORRELATION = -0.5
"""Largest correlation of neighboring second differences. It is -2/3 for independent offsets and -1 for offsets that alternate; that of
structure, which goes on from line to line, is larger."""

MAX_EXCESS = 1.2
"""Largest standard deviation of the offsets that would be taken away, relative to that of the stripes: where it is larger, too much
structure would be taken away. Chosen likewise."""

MAX_RELATION = 0.25
"""Largest size of the correlations of a drift's changes from line to line with those of the next line, and of the one after: structure goes
on, or comes back. Chosen with the images of benchmarks/cases.py, so that none of them is wrongly taken for one that drifts."""

MAX_BORDERS = 0.05
"""Largest share of changes from line to line that are far larger than the others: more are bars. Our choice, no benchmark."""

N_SPREADS = 6.0
"""Largest second difference that counts, in median absolute ones: the border of an object is no stripe."""

MEDIAN_ERROR = math.sqrt(math.pi / 2)
"""Standard error of a median over that of a mean, of Gaussian noise."""

WIDTH = 2.0
"""Standard deviation, in lines, of the Gaussian whose mean an offset is measured from. Slower changes are taken for structure; of
independent offsets they are 14 % of the variance."""

SMALLEST = 1e-9
"""Least weight of the lines around that is divided by: a bound against division by zero."""

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
    lines = {axis: _Lines.of(values, is_observed, axis) for axis in (ROWS, COLUMNS)}

    def strength(axis: int) -> float:
        own, other = lines[axis], lines[ROWS + COLUMNS - axis]
        if has_stripes == "yes":
            return own.strength
        # Where more structure than stripes would be taken away, nothing is.
        is_found = own.are_striped(other) and _offsets(values, is_observed, axis).std() <= MAX_EXCESS * own.strength
        return own.strength if is_found else 0.0

    return strength(ROWS), strength(COLUMNS)


def has_drift(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
) -> tuple[bool, bool]:
    """Return whether the offsets of rows, and of columns, drift: they change from line to line, and the changes add up.

    Arguments are those of `measure_stripes`. What drifts is like structure that is the same along each line, and cannot be taken away.
    """
    if values.ndim < 3:
        return False, False
    rows, columns = (_Lines.of(values, is_observed, axis) for axis in (ROWS, COLUMNS))
    return rows.are_drifting(columns), columns.are_drifting(rows)


def without_stripes(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], stripes: tuple[float, float]
) -> Float[np.ndarray, "c *spatial"]:
    """Return the values less the offset of each line from the mean of the lines around.

    Parameters
    ----------
    values, is_observed
        As for `measure_stripes`.
    stripes
        Standard deviation of the offsets of rows and of columns; where it is 0 nothing is taken away.
    """
    for axis, strength in zip((ROWS, COLUMNS), stripes, strict=True):
        if strength:
            values = values - _offsets(values, is_observed, axis)
    return values


def _offsets(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], axis: int
) -> Float[np.ndarray, "..."]:
    """Return the median distance of each line's pixels from the mean of those in the lines around; 0 for a line that is too short."""
    seen = is_observed.astype(float)
    around, n_around = (gaussian_filter1d(x, WIDTH, axis) for x in (np.where(is_observed, values, 0.0), seen))
    distance = np.where(is_observed, values - around / np.maximum(n_around, SMALLEST), np.nan)
    return _medians(distance, ROWS + COLUMNS - axis)


def _medians(values: Float[np.ndarray, "c *spatial"], along: int) -> Float[np.ndarray, "..."]:
    """Return the median of each line without its missing (NaN) values; 0 where fewer than `MIN_LENGTH` are left."""
    is_short = np.isfinite(values).sum(along, keepdims=True) < MIN_LENGTH
    if np.isfinite(values).all():
        return np.where(is_short, 0.0, np.median(values, axis=along, keepdims=True))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return np.where(is_short, 0.0, np.nanmedian(values, axis=along, keepdims=True))


@dataclass(frozen=True)
class _Lines:
    """What is measured of all lines of one direction.

    Attributes
    ----------
    strength
        Standard deviation of their offsets, were they independent or alternating from line to line; 0 where there are too few lines.
    of_pixels
        Standard deviation that the noise of single pixels gives them.
    correlation
        Correlation of neighboring second differences; 0 where there are none.
    drift
        Standard deviation of the changes of their offsets from line to line that are left where independent offsets cancel out.
    relations
        Correlations of these changes with those of the next line, and of the one after.
    """

    strength: float
    of_pixels: float
    correlation: float
    drift: float = 0.0
    relations: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(
        cls, values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], axis: int
    ) -> Self:
        """Measure the lines of all planes."""
        along = ROWS + COLUMNS - axis
        differences = np.diff(np.where(is_observed, values, np.nan), axis=axis)
        n_pixels = np.isfinite(differences).sum(along)
        if values.shape[axis] < MIN_LINES or np.median(n_pixels) < MIN_LENGTH:
            return cls(0.0, 0.0, 0.0)
        steps = _medians(differences, along)
        spread = MAD_TO_SIGMA * float(np.nanmedian(np.abs(differences - steps)))
        second = np.diff(steps, axis=axis)
        second = np.moveaxis(second, axis, 0)
        is_usual = np.abs(second) <= N_SPREADS * float(np.median(np.abs(second)))
        power = float(np.mean(second[is_usual] ** 2))
        products = (second[1:] * second[:-1])[is_usual[1:] & is_usual[:-1]]
        correlation = float(products.mean()) / power if power and products.size else 0.0
        of_pixels = MEDIAN_ERROR * spread / float(np.sqrt(2 * np.median(n_pixels)))
        gain = 6 + 10 * min(1.0, max(0.0, -3 * correlation - 2))  # of independent offsets 6, of alternating ones 16
        return cls(
            float(np.sqrt(power / gain)), of_pixels, correlation, *_drift(np.moveaxis(steps, axis, 0), of_pixels)
        )

    def are_striped(self, other: _Lines) -> bool:
        """Return True if these lines have offsets of their own; ``other`` are the lines of the other direction."""
        if self.correlation >= MAX_CORRELATION:
            return False
        is_crossed = other.correlation < MAX_CORRELATION and other.strength > MIN_CROSSED * other.of_pixels
        is_directed = self.strength > MIN_STRENGTH * self.of_pixels and self.strength > MIN_RATIO * other.strength
        return is_directed or (is_crossed and self.strength > MIN_CROSSED * self.of_pixels)

    def are_drifting(self, other: _Lines) -> bool:
        """Return True if the offsets of these lines drift; ``other`` are the lines of the other direction."""
        is_strong = self.drift > MIN_STRENGTH * self.of_pixels and self.drift > MIN_RATIO * other.drift
        return is_strong and max(map(abs, self.relations)) < MAX_RELATION


def _drift(steps: Float[np.ndarray, "..."], of_pixels: float) -> tuple[float, tuple[float, float]]:
    """Return the drift and its relations, see `_Lines`, from the changes from line to line, along the first axis."""
    steps = steps - np.median(steps)
    most = N_SPREADS * MAD_TO_SIGMA * float(np.median(np.abs(steps)))
    if np.mean(np.abs(steps) > most) > MAX_BORDERS:
        return 0.0, (0.0, 0.0)
    steps = np.clip(steps, -most, most)  # the border of an object is no drift
    power, next_one, after_it = (float(np.mean(steps[n:] * steps[: len(steps) - n])) for n in range(3))
    # The medians of lines have errors of their own, which the changes on both sides of a line share with opposite signs.
    own = max(power - 2 * of_pixels**2, SMALLEST)
    return math.sqrt(max(0.0, power + 2 * next_one)), ((next_one + of_pixels**2) / own, after_it / own)
