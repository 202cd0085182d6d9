"""Noise that depends on the intensity in any smooth way, as in inverted images, logarithms and images with an equalized histogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import lru_cache
from typing import ClassVar, Self

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.estimation.channel import Channel
from napari_convgen.core.noise.estimation.curve import Curve
from napari_convgen.core.noise.models.base import NoiseModel, Settings, given
from napari_convgen.core.noise.stabilizer import Stabilizer, Unchanged

LEAST_INTERVALS, LEAST_COVERED = 5, 0.5
"""Least number of intervals of intensity that show white noise, and least share of the blocks in these. Our choice, no benchmark."""

SLOWEST, MOST_RED = 0.3, 1.5
"""Share of an interval's blocks, those with the least energy in the very lowest frequencies, and the largest energy there in lower
frequencies over that in higher ones that white noise has; texture has more. As for places, see level.py."""

LEAST_SPREAD, MOST_LEFT = 0.2, 0.5
"""Least standard deviation of the variance's logarithm over the blocks, and the largest share of it that a polynomial leaves. Noise that is
the same everywhere has a spread of at most 0.12 in the images of benchmarks/cases.py, inverted images of photons one of 0.15 to 0.56."""

DEGREE = 3
"""Degree of the polynomial: a parabola is 40 % off at the bright end of inverted photons."""

MISFIT = 0.1
"""Relative error of a variance beside that of chance, as of texture that is left."""

N_TABLE, N_NODES, REACH = 400, 30, 6.0
"""Entries of a transform's table, nodes of the Gauss-Hermite quadrature over the noise, and standard deviations of the noise that the
table goes beyond the intensities where the noise changes."""

N_TABLES = 32
"""Number of tables that are kept: more than a frame has channels, while those of a long stack's frames would fill the memory."""


@dataclass(frozen=True)
class Shape:
    """How the variance of the noise depends on the intensity: its logarithm is a cubic polynomial, and constant beyond both ends.

    Attributes
    ----------
    low, high
        Ends of the intensities in which the noise was measured, in the image's units.
    coefficients
        Coefficients of the logarithm of the variance, relative to the mean one, in powers of the intensity from -1 at ``low`` to 1 at
        ``high``.
    """

    low: float
    high: float
    coefficients: tuple[float, ...]

    def at(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the variance at some intensities, relative to the mean one."""
        place = np.clip((2 * x - self.low - self.high) / (self.high - self.low), -1, 1)
        return np.asarray(np.exp(np.polynomial.polynomial.polyval(place, self.coefficients)))


EVEN = Shape(0.0, 1.0, (0.0,))
"""The same variance everywhere."""


@dataclass(frozen=True)
class IntensityDependentNoise(NoiseModel):
    """Noise whose variance is measured at each intensity.

    Attributes
    ----------
    sigma
        Root of the mean variance, in the image's units, one a channel.
    shapes
        Variance of each channel at each intensity, relative to the mean one; empty if it is the same everywhere.
    """

    can_be_leveled: ClassVar[bool] = False

    kind: str = field(init=False, default="intensity-dependent")
    _: KW_ONLY
    shapes: tuple[Shape, ...] = ()

    @classmethod
    def recognizes(cls, channel: Channel) -> bool:
        """Return True if white noise clearly depends on the intensity, and smoothly."""
        if channel.blocks.spacing > 1:
            return False
        curve = channel.reliable_curve
        chosen = _is_white(channel, curve)
        white, share = curve.take(chosen), curve.n[chosen].sum() / curve.n.sum()
        if len(white.mean) < LEAST_INTERVALS or share < LEAST_COVERED:
            return False
        logarithm, weights = np.log(white.variance), white.n / white.n.sum()
        _, shape = _fit(white)
        spread = np.sqrt(weights @ (logarithm - weights @ logarithm) ** 2)
        off = logarithm - np.log(shape.at(white.mean))
        left = np.sqrt(weights @ (off - weights @ off) ** 2)
        return bool(spread > LEAST_SPREAD and left < MOST_LEFT * spread)

    @classmethod
    def estimate(cls, channel: Channel, settings: Settings) -> Self:
        """Fit a polynomial to the logarithm of the variance in the intervals that show white noise; in all if these are too few."""
        curve, sigma = channel.reliable_curve, given(settings, "sigma")
        chosen = _is_white(channel, curve)
        if chosen.sum() < LEAST_INTERVALS:
            chosen = curve.variance > 0
        measured, shape = _fit(curve.take(chosen)) if chosen.any() else (0.0, EVEN)
        return cls((measured if sigma is None else sigma,), shapes=(shape,))

    @classmethod
    def of_channels(cls, channels: Sequence[NoiseModel], *, correlation_length: int, is_shared: bool) -> Self:
        """Join models of one channel each."""
        joined = super().of_channels(channels, correlation_length=correlation_length, is_shared=is_shared)
        shapes = [each.shapes if isinstance(each, cls) else () for each in channels]
        return replace(joined, shapes=tuple(next(iter(each), EVEN) for each in shapes))

    def variance(self, x: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return the variance where the clean values are ``x``."""
        relative = [shape.at(own) for shape, own in zip(self._shapes, x, strict=True)]
        return np.asarray(self.column("sigma", x.ndim) ** 2 * np.stack(relative))

    def stabilizers(self) -> tuple[Stabilizer, ...]:
        """Return the transform of each channel; the identity where the noise is the same everywhere."""
        return tuple(
            Unchanged(sigma) if shape == EVEN or not sigma else IntensityStabilizer(sigma, shape)
            for sigma, shape in zip(self.sigma, self._shapes, strict=True)
        )

    @property
    def _shapes(self) -> tuple[Shape, ...]:
        return self.shapes or self.n_channels * (EVEN,)

    @property
    def sentence(self) -> str:
        """Strength in words, and how it depends on the intensity."""
        ends = [
            ", ".join(f"{sigma * float(shape.at(np.array(x))) ** 0.5:.3g} at {x:.3g}" for x in (shape.low, shape.high))
            for sigma, shape in zip(self.sigma, self._shapes, strict=True)
            if shape != EVEN
        ]
        return "; ".join([super().sentence, *ends])


@dataclass(frozen=True)
class IntensityStabilizer(Stabilizer):
    """The transform whose slope is 1 over the standard deviation of the noise, with an inverse that is unbiased for Gaussian noise.

    Parameters
    ----------
    sigma
        Root of the mean variance, in the image's units.
    shape
        Variance at each intensity, relative to the mean one.
    """

    sigma: float
    shape: Shape

    @property
    def noise_level(self) -> float:
        """Return 1."""
        return 1.0

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Transform noisy values, in the image's units."""
        values, transformed, _, _ = _table(self.sigma, self.shape)
        return _interpolate(x, values, transformed)

    def inverse(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the clean values, in the image's units, for which the transformed ones have the means ``y``."""
        values, _, means, _ = _table(self.sigma, self.shape)
        return _interpolate(y, means, values)

    def noise_variance(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the variance of the transformed values, in theory, where they have the means ``y``."""
        _, _, means, variances = _table(self.sigma, self.shape)
        return np.asarray(np.interp(y, means, variances))


def _interpolate(
    x: Float[np.ndarray, "*shape"], xs: Float[np.ndarray, "n"], ys: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "*shape"]:
    """Interpolate in a table, and go on with the slopes at its ends, where it is straight."""
    first, last = ((ys[i + 1] - ys[i]) / (xs[i + 1] - xs[i]) for i in (0, len(xs) - 2))
    return np.asarray(np.interp(x, xs, ys) + first * np.minimum(x - xs[0], 0) + last * np.maximum(x - xs[-1], 0))


@lru_cache(maxsize=N_TABLES)
def _table(
    sigma: float, shape: Shape
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"], Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Return values and their transform, and for values that are clean its mean and variance over the noise."""
    first, last = (sigma * float(np.sqrt(shape.at(np.array(end)))) for end in (shape.low, shape.high))
    values = np.linspace(shape.low - REACH * first, shape.high + REACH * last, N_TABLE)
    levels = sigma * np.sqrt(shape.at(values))
    slopes = (1 / levels[1:] + 1 / levels[:-1]) / 2
    transformed = np.concatenate([[0.0], np.cumsum(slopes * np.diff(values))])
    nodes, weights = np.polynomial.hermite_e.hermegauss(N_NODES)
    drawn = _interpolate(values[:, np.newaxis] + levels[:, np.newaxis] * nodes, values, transformed)
    means = drawn @ weights / weights.sum()
    variances = (drawn - means[:, np.newaxis]) ** 2 @ weights / weights.sum()
    return values, transformed, np.maximum.accumulate(means), variances


def _is_white(channel: Channel, curve: Curve) -> Bool[np.ndarray, "k"]:
    """Return which intervals of intensity have white noise: no more energy in lower than in higher frequencies, as texture has."""
    blocks = channel.reliable_blocks
    inside = np.digitize(blocks.mean, (curve.mean[1:] + curve.mean[:-1]) / 2)
    is_white = curve.variance > 0
    for number in np.flatnonzero(is_white):
        own = np.flatnonzero(inside == number)
        slowest = own[np.argsort(blocks.slow[own])[: max(1, int(SLOWEST * len(own)))]]
        lower, higher = (energy[slowest].sum() for energy in (blocks.middle, blocks.fine))
        is_white[number] = 0 < lower < MOST_RED * higher
    return is_white


def _fit(curve: Curve) -> tuple[float, Shape]:
    """Return the root of the mean variance, and how the variance depends on the intensity; all variances are above 0."""
    low, high = float(curve.mean[0]), float(curve.mean[-1])
    if not high > low:
        return float(np.sqrt(curve.variance.mean())), EVEN
    place = (2 * curve.mean - low - high) / (high - low)
    weights = 1 / np.sqrt(2 / (curve.n_fine * curve.n) + MISFIT**2)
    degree = min(DEGREE, len(place) - 1)
    constant, *others = np.polynomial.polynomial.polyfit(place, np.log(curve.variance), degree, w=weights).tolist()
    shape = Shape(low, high, (0.0, *others))
    mean = float(np.average(shape.at(curve.mean), weights=curve.n))
    return float(np.sqrt(mean * np.exp(constant))), Shape(low, high, (-float(np.log(mean)), *others))
