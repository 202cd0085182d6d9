"""Variance of the noise against the intensity, and the line through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.estimation.blocks import Blocks
from napari_convgen.core.noise.estimation.variance import flat_variance

N_BINS = 24
"""Number of intervals of intensity. Chosen on the tuning images of benchmarks/noise.py."""

MIN_BLOCKS, MIN_SHARE = 60, 1 / 400
"""Least number of blocks in an interval, and their least share of all blocks. Chosen on the tuning images of benchmarks/noise.py."""

FLAT_SHARES = (0.05, 0.1, 0.2, 0.4, 0.7)
"""Shares of the blocks of an interval or a place, the flattest first, that are tried as flat.
Chosen on the tuning images of benchmarks/noise.py."""

N_ROUNDS = 30
"""Rounds of the fit of a line, whose weights depend on it; enough for them to settle."""

FLOOR = 1e-3
"""Least variance that a line's weights are computed from, relative to the largest: a bound against infinite weights."""

N_PIXELS = 64
"""Pixels of a block of 8 × 8, whose variance has the variance κ₄ / 64 beside the Gaussian one; for events of gain g, κ₄ = g² σ²."""

CAUCHY_SCALE = 1.5
"""Scale of the robust weights 1 / √(1 + (d / scale)²), in standard errors. Chosen on the tuning images of benchmarks/noise.py."""

BELOW_WEIGHT = 0.25
"""Square of a distance below the line, relative to one above it, in the robust weights: structure only adds to a variance.
Chosen on the tuning images of benchmarks/noise.py."""

ON_LINE = 0.25
"""Largest relative distance of a measured variance from a line that it is said to lie on. Our choice, no benchmark."""

LEAST_REACH, POWER_TOLERANCE, LARGEST_OFF = 2.0, 0.25, 0.2
"""Least ratio of the largest to the least intensity, largest distance of the power from 2, and of the variance's logarithm, as the root of
the mean square, from the line, of noise that grows in proportion. Speckle of 1 to 64 looks has a power of 1.97 to 2.06, and is off by
0.13 at most; photons of the images of benchmarks/cases.py have one of 1.7 at most, or are off by 0.45."""


@dataclass(frozen=True, eq=False)
class Curve:
    """The variance that was measured at each intensity.

    Attributes
    ----------
    mean, variance, third
        Mean intensity, variance and third cumulant of the flat blocks in each interval of intensity.
    at_low, at_high
        Share of their values at the image's minimum and maximum, from 0 to 1.
    n
        Approximate number of independent blocks in each interval.
    n_fine
        Number of squares that a block's variance is the mean of.
    n_third
        Number of pixels without structure whose third central moment has the variance of a block's third cumulant; 0 if it cannot be
        estimated.
    """

    mean: Float[np.ndarray, "n"]
    variance: Float[np.ndarray, "n"]
    third: Float[np.ndarray, "n"]
    at_low: Float[np.ndarray, "n"]
    at_high: Float[np.ndarray, "n"]
    n: Float[np.ndarray, "n"]
    n_fine: int
    n_third: float

    @classmethod
    def of(cls, blocks: Blocks) -> Curve:
        """Measure the variance at each intensity."""
        order = np.argsort(blocks.mean, kind="stable")
        means = blocks.mean[order]
        least = max(MIN_BLOCKS, int(MIN_SHARE * len(order)))
        cuts = [0]
        for cut in np.searchsorted(means, np.linspace(means[0], means[-1], N_BINS + 1)[1:-1]):
            if cut - cuts[-1] >= least:
                cuts.append(int(cut))
        if len(order) - cuts[-1] < least and len(cuts) > 1:
            cuts.pop()
        rows = []
        for start, stop in zip(cuts, [*cuts[1:], len(order)], strict=True):
            inside = order[start:stop]
            variance, chosen = flat_variance(blocks.take(inside), FLAT_SHARES)
            flat = inside[chosen]
            ends = (blocks.at_low[flat].mean(), blocks.at_high[flat].mean())
            mean, third = blocks.mean[flat].mean(), blocks.third[flat].mean()
            rows.append((mean, variance, third, *ends, max(1.0, len(flat) * blocks.weight)))
        means, variances, thirds, at_low, at_high, n = np.array(rows).T
        return cls(means, variances, thirds, at_low, at_high, n, int(blocks.n_fine.sum()), blocks.n_third)

    def take(self, chosen: Bool[np.ndarray, "n"]) -> Curve:
        """Return some of the intervals."""
        mean, variance, third, at_low, at_high, n = (
            x[chosen] for x in (self.mean, self.variance, self.third, self.at_low, self.at_high, self.n)
        )
        return Curve(mean, variance, third, at_low, at_high, n, self.n_fine, self.n_third)


@dataclass(frozen=True)
class Line:
    """``variance = slope * mean + intercept``.

    Attributes
    ----------
    slope, intercept
        Slope of the line, in image units, and its variance at intensity 0, in image units squared.
    slope_error
        Standard error of the slope.
    misfit
        Median distance of the measured variances from the line, relative to it.
    share_on_line
        Share of the independent blocks whose variances lie within `ON_LINE` of the line, relative to it.
    """

    slope: float
    intercept: float
    slope_error: float
    misfit: float
    share_on_line: float

    def at(self, mean: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Return the variance at some intensities; it may be negative."""
        return np.asarray(self.slope * mean + self.intercept)


def fit_line(
    curve: Curve, slope: float | None = None, origin: tuple[float, float] | None = None, has_events: bool = True
) -> Line:
    """Fit a line by weighted least squares; variances above it, which have structure in them, count less.

    A measured variance is uncertain by its chi-squared spread and, of few events, by their fourth cumulant.

    Parameters
    ----------
    curve
        Measured variances.
    slope
        Slope of the line; fitted if ``None``.
    origin
        Point (mean and variance) that the line goes through; fitted if ``None``.
    has_events
        True, the default, if the slope is the gain of an event, such as a photon, in the units of the mean.
    """
    x, y = curve.mean, curve.variance
    if not y.any():
        return Line(0.0, 0.0, 0.0, 0.0, 1.0)
    # Distances from the middle in units of the largest: values of any size and offset are equally exact.
    x0, y0 = origin or (float(x.mean()), 0.0)
    unit = float(np.abs(x - x0).max()) or 1.0
    columns = np.stack([(x - x0) / unit, np.ones_like(x)], axis=1)
    is_free = np.array([slope is None, origin is None])
    known = np.array([unit * (slope or 0.0), y0])
    floor = FLOOR * max(float(y.max()), np.finfo(float).tiny)
    line, known_line = np.maximum(y, floor), columns @ known
    answer, weights, gain = known, 1 / line, 0.0
    for i in range(N_ROUNDS):
        errors = np.sqrt((2 * line**2 / curve.n_fine + gain**2 * line / N_PIXELS) / curve.n)
        weights = 1 / errors
        if i:
            off = (y - columns @ answer) / errors / CAUCHY_SCALE
            weights = weights / np.sqrt(1 + np.where(off > 0, 1, BELOW_WEIGHT) * off**2)
        answer = known.copy()
        if is_free.any():
            free = columns[:, is_free] * weights[:, None]
            answer[is_free] = np.linalg.lstsq(free, (y - known_line) * weights, rcond=None)[0]
        gain = max(0.0, float(answer[0]) / unit) * has_events
        line = np.maximum(columns @ answer, floor)
    error = 0.0
    if is_free[0]:
        normal = (columns * weights[:, None])[:, is_free]
        error = float(np.sqrt(np.linalg.pinv(normal.T @ normal)[0, 0])) / unit
    off = np.abs(y - columns @ answer) / line
    n_on_line = curve.n[off < ON_LINE].sum()
    a = float(answer[0]) / unit
    return Line(a, float(answer[1]) - a * x0, error, float(np.median(off)), float(n_on_line / curve.n.sum()))


def dark_level(curve: Curve, line: Line) -> tuple[float, float]:
    """Return the value of a pixel without events, from the third cumulant of the noise, and its standard error.

    Events of gain g have the variance ``g (x - offset)`` and the third cumulant ``g² (x - offset)``; Gaussian read noise adds to the
    variance only. So the two together tell what the variance alone cannot. The dark counts most, as its cubes are the most exact.

    Parameters
    ----------
    curve
        What was measured at each intensity.
    line
        Line through the variances, with a positive slope.

    Returns
    -------
    offset, error
        Offset and its standard error, in image units; the error is infinite if cubes say nothing, as in blocks of 2 × 2 pixels.
    """
    gain, events = line.slope, curve.third / line.slope**2
    if not curve.n_third:
        return float(curve.mean.min()), float("inf")
    variance = np.maximum(line.at(curve.mean), curve.variance)
    variance = np.maximum(variance, FLOOR * variance.max())
    error = np.sqrt(6 * variance**3 / (curve.n * curve.n_third)) / gain**2
    by_gain = 2 * line.slope_error / gain * (curve.mean - curve.mean.min())
    weights = 1 / (error**2 + by_gain**2)
    return float((weights * (curve.mean - events)).sum() / weights.sum()), float(weights.sum() ** -0.5)


def is_proportional(curve: Curve) -> bool:
    """Return True if the standard deviation of the noise grows as the intensity, as that of speckle: the variance is its square.

    Above the offset of a camera, photons can look like that, but their variances lie nearer to a line.

    Parameters
    ----------
    curve
        What was measured at each intensity.
    """
    mean, variance = curve.mean, curve.variance
    if min(mean.min(), variance.min()) <= 0 or mean[-1] < LEAST_REACH * mean[0]:
        return False
    x, y = np.log(mean), np.log(variance)
    power, height = np.polyfit(x, y, 1, w=np.sqrt(curve.n))
    on_line = fit_line(curve).at(mean)
    off, off_line = y - power * x - height, y - np.log(np.maximum(on_line, FLOOR * variance.max()))
    left, left_of_line = (np.average(each**2, weights=curve.n) for each in (off, off_line))
    return bool(abs(power - 2) < POWER_TOLERANCE and left < min(LARGEST_OFF**2, left_of_line))
