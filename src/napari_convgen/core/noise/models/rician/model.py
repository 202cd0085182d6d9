"""Rician noise: the magnitude of a complex image whose two parts have Gaussian noise, as in magnetic resonance imaging."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.estimation.channel import Channel
from napari_convgen.core.noise.estimation.curve import Curve, fit_line
from napari_convgen.core.noise.models.base import NoiseModel, Settings, given
from napari_convgen.core.noise.models.rician.rice import rice_amplitude, rice_mean, rice_variance
from napari_convgen.core.noise.models.rician.stabilizer import RicianStabilizer
from napari_convgen.core.noise.stabilizer import Stabilizer, Unchanged
from napari_convgen.errors import InputError

RAYLEIGH_MEAN, RAYLEIGH_VARIANCE = np.sqrt(np.pi / 2), 2 - np.pi / 2
"""Mean and variance of magnitudes without signal, for noise of standard deviation 1."""

MEAN_TOLERANCE = 0.05
"""Largest relative error of the background's mean, given its variance. Chosen on the tuning images of benchmarks/noise.py."""

BACKGROUND_END, MIN_BACKGROUND = 1.6, 0.02
"""Largest mean of a background block, in standard deviations of the noise, about four standard errors of 64 pixels above the Rayleigh
distribution's, and the least share of such blocks. Chosen on the tuning images of benchmarks/noise.py."""

NEAR_ZERO, BELOW_ONE = 0.5, 1.0
"""Magnitudes, in standard deviations of the noise, below which values are counted: signal hardly reaches there."""

ON_GRID = 1e-3
"""Largest distance of values from multiples of their least difference, relative to it, where they are rounded to these."""

RATIO_TOLERANCE, MIN_BELOW = 0.04, 50
"""Largest error of that ratio, and the least number of values that it is taken from. Chosen on the tuning images of benchmarks/noise.py."""

BRIGHT, MIN_BRIGHT = 3.0, 3
"""Mean in standard deviations of the noise from which the Rice distribution's variance is 1 within 8 %, and the least number of
intervals of intensity above it. Chosen on the tuning images of benchmarks/noise.py."""

MIN_VARIANCE, MAX_VARIANCE = 0.75, 2.5
"""Least variance of half of the blocks where it is bright, and largest of the least variance there, relative to that of the noise:
structure only adds to a variance, and in a small image no interval of intensity may be without. Blocks across the edge of an object have
less, as part of them is background; they are few. Chosen on the tuning images of benchmarks/noise.py."""

LIKE, PHOTON_SHARE, FAINT_SHARE = 0.2, 0.5, 0.8
"""Largest relative distance of a variance from that of magnitudes, largest share of the blocks with such a variance that photons have, and
least share of magnitudes where nothing is bright. Our choice, no benchmark."""

PROPORTIONAL, LEAST_GROWTH = 0.5, 4.0
"""Growth of the variance from the dark to the bright, relative to that of the mean, and least growth, from which it can be that of photons:
the variance of magnitudes grows by 2.3, and more if the noise is stronger in the middle. Our choice, no benchmark."""

OFF_LINE, CLEARLY_LESS = 0.06, 0.5
"""Largest distance of the variances' logarithm from that of a line, as the root of the mean square over the blocks, and relative to the
distance from the curve of magnitudes, with which they are those of photons, off by 0.02 to 0.05. Magnitudes are nearer to their curve, or
off by 0.08 and more where the noise is stronger in the middle. Our choice, on images by formula."""

COARSE = 0.1
"""Largest step of values, in standard deviations of the noise, of magnitudes without a bright part: a background of 3.7 photons looks like
that of magnitudes, but has a step of 0.34."""

TABLE_END, N_TABLE = 30.0, 600
"""Largest amplitude that means are tabulated for, in standard deviations of the noise, and entries; the variance is 0.999 there."""

UNEVEN = (
    "The quality of the image cannot be told: the noise is stronger in some places, and it is not known well enough how much it raises "
    "the background of magnitudes there."
)
"""What is said of the quality where the level differs between places."""

N_ROUNDS = 20
"""Rounds in which the standard deviation settles, as the expected variances depend on it."""


@dataclass(frozen=True)
class RicianNoise(NoiseModel):
    """Noise of the magnitude of a complex image; clean values are amplitudes.

    Attributes
    ----------
    sigma
        Standard deviation of the noise in the real and in the imaginary part, in the image's units; one a channel.
    """

    is_of_all_channels: ClassVar[bool] = True
    is_of_magnitudes: ClassVar[bool] = True

    kind: str = field(init=False, default="rician")

    @classmethod
    def recognizes(cls, channel: Channel) -> bool:
        """Return True if the dark is Rayleigh distributed and what is bright has the variance that goes with it."""
        values, curve = channel.values, channel.curve_without(channel.is_low)
        if values.min() < 0 or curve.variance[0] <= 0:
            return False
        sigma = float(np.sqrt(curve.variance[0] / RAYLEIGH_VARIANCE))
        is_bright = curve.mean > BRIGHT * sigma
        n_below, off = _rayleigh_ratio(values, sigma)
        return bool(
            abs(curve.mean[0] / sigma / RAYLEIGH_MEAN - 1) < MEAN_TOLERANCE
            and (channel.blocks.mean < BACKGROUND_END * sigma).mean() > MIN_BACKGROUND
            and n_below > MIN_BELOW
            and abs(off) < RATIO_TOLERANCE
            and (_is_faint(values, curve) if is_bright.sum() < MIN_BRIGHT else _is_bright(curve, is_bright, sigma))
        )

    @classmethod
    def estimate(cls, channel: Channel, settings: Settings) -> RicianNoise:
        """Estimate the standard deviation from the variance at each intensity."""
        sigma = given(settings, "sigma")
        return cls((_sigma(channel.curve_without(channel.is_low | channel.is_high)) if sigma is None else sigma,))

    def variance(self, x: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return the variance of the Rice distribution where the clean amplitudes are ``x``."""
        sigma = self.column("sigma", x.ndim)
        unit = np.where(sigma > 0, sigma, 1.0)
        return np.asarray(sigma**2 * rice_variance(np.maximum(x, 0) / unit))

    def clean_of_mean(self, mean: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return the clean amplitudes of which magnitudes have these means."""
        sigma = self.column("sigma", mean.ndim) * self.level_in(mean)
        return np.where(sigma > 0, sigma * rice_amplitude(mean / np.where(sigma > 0, sigma, 1.0)), mean)

    @property
    def untold(self) -> str:
        """Why the quality cannot be told: the floor of uneven noise is known too roughly."""
        return UNEVEN if self.level_map is not None else ""

    def variance_in(self, image: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return the variance at each pixel of a clean image: that of the Rice distribution with the level of the noise there."""
        level = self.level_in(image)
        return np.asarray(self.variance(image / level) * level**2)

    def stabilizers(self) -> tuple[Stabilizer, ...]:
        """Return the transform of each channel; the identity where there is no noise."""
        return tuple(RicianStabilizer(sigma) if sigma > 0 else Unchanged(sigma) for sigma in self.sigma)

    def check(self, values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> None:
        """Refuse negative values."""
        if np.any(values < 0, where=is_observed):
            raise InputError(
                "Rician noise is that of magnitudes, which are not negative, but the image has negative values. "
                "Choose another kind of noise."
            )

    def least(self, low: Float[np.ndarray, "c"]) -> Float[np.ndarray, "c"]:
        """Return 0: noise raises the smallest magnitudes, so that the minimum of the noisy ones is too high."""
        return np.zeros_like(low)


def _is_bright(curve: Curve, is_bright: Bool[np.ndarray, "k"], sigma: float) -> bool:
    """Return True if the variance where it is bright is that of magnitudes, and not that of photons."""
    return _has_variance(curve.take(is_bright), sigma**2) and not (
        _grows_as_photons(curve) or _is_nearer_to_line(curve)
    )


def _is_faint(values: Float[np.ndarray, "*shape"], curve: Curve) -> bool:
    """Return True if the variance at nearly all intensities, and the least values, are those of magnitudes: no counts of few photons."""
    sigma = _sigma(curve)
    if sigma <= 0 or _rounding(values[values < 2 * BELOW_ONE * sigma]) > COARSE * sigma:
        return False
    n_below, off = _rayleigh_ratio(values, sigma, (NEAR_ZERO / 2, NEAR_ZERO))
    return n_below > MIN_BELOW and abs(off) < RATIO_TOLERANCE and _share_like(curve) > FAINT_SHARE


def _share_like(curve: Curve) -> float:
    """Return the share of the blocks whose variance is that of magnitudes with their mean."""
    expected = _expected(curve)
    return float(curve.n[np.abs(curve.variance - expected) < LIKE * expected].sum() / curve.n.sum())


def _expected(curve: Curve) -> Float[np.ndarray, "k"]:
    """Return the variance of magnitudes with these means; 0 if there is no noise."""
    sigma = _sigma(curve)
    amplitudes = np.linspace(0, TABLE_END, N_TABLE)
    relative = curve.mean / sigma if sigma > 0 else curve.mean
    return np.asarray(sigma**2 * np.interp(relative, rice_mean(amplitudes), rice_variance(amplitudes)))


def _is_nearer_to_line(curve: Curve) -> bool:
    """Return True if the variances lie on a line, as those of photons, and far less well on the curve of magnitudes."""
    on_line, expected = fit_line(curve).at(curve.mean), _expected(curve)
    if min(on_line.min(), expected.min(), curve.variance.min()) <= 0:
        return False
    of_line, of_curve = (
        np.average(np.log(curve.variance / each) ** 2, weights=curve.n) for each in (on_line, expected)
    )
    return bool(of_line < min(OFF_LINE**2, CLEARLY_LESS**2 * of_curve))


def _has_variance(bright: Curve, expected: float) -> bool:
    """Return True if the noise has an expected variance, where it is bright."""
    order = np.argsort(bright.variance)
    n = np.cumsum(bright.n[order])
    of_half = bright.variance[order][np.searchsorted(n, n[-1] / 2)]
    return bool(of_half > MIN_VARIANCE * expected and bright.variance.min() < MAX_VARIANCE * expected)


def _rayleigh_ratio(
    values: Float[np.ndarray, "*shape"], sigma: float, ends: tuple[float, float] = (NEAR_ZERO, BELOW_ONE)
) -> tuple[int, float]:
    """Return how many values are small, and how the share of those near zero among them differs from that of a Rayleigh distribution.

    Values near zero, and small ones, are below the two ends, in standard deviations of the noise.

    Zeros, which may mark what was not measured, are not counted. A Rayleigh distribution has the share exp(-m² / 2) above m. Rounded values
    are counted between the limits to which they were rounded.
    """
    step = _rounding(values[values < 2 * BELOW_ONE * sigma]) / sigma
    limits = [0.5 * step, *((np.floor(m / step) + 0.5) * step if step else m for m in ends)]
    n_near_zero, n_below = (int(((values > 0) & (values < limit * sigma)).sum()) for limit in limits[1:])
    none, near_zero, below = (np.exp(-(limit**2) / 2) for limit in limits)
    if not n_below or limits[1] <= limits[0]:
        return 0, np.inf
    return n_below, float(n_near_zero / n_below - (none - near_zero) / (none - below))


def _rounding(values: Float[np.ndarray, "n"]) -> float:
    """Return the unit to which values are rounded; 0 if they are not."""
    different = np.unique(values)
    if len(different) < 2:
        return 0.0
    step = float(np.diff(different).min())
    multiples = different / step
    return step if np.abs(multiples - np.rint(multiples)).max() < ON_GRID else 0.0


def _sigma(curve: Curve) -> float:
    """Return the standard deviation with which the variance at each intensity is that of a Rice distribution with this mean."""
    amplitudes = np.linspace(0, TABLE_END, N_TABLE)
    means, variances = rice_mean(amplitudes), rice_variance(amplitudes)
    sigma = float(np.sqrt(curve.variance.max()))
    for _ in range(N_ROUNDS):
        if sigma <= 0:
            break
        expected = np.interp(curve.mean / sigma, means, variances)
        line = fit_line(replace(curve, mean=expected), origin=(0.0, 0.0), has_events=False)
        sigma = float(np.sqrt(max(0.0, line.slope)))
    return sigma


def _grows_as_photons(curve: Curve) -> bool:
    """Return True if the variance grows nearly as much as the mean, and is that of magnitudes at few intensities."""
    first, last = fit_line(curve).at(curve.mean[[0, -1]])
    least = max(LEAST_GROWTH, PROPORTIONAL * curve.mean[-1] / curve.mean[0])
    return bool(last > least * first > 0) and _share_like(curve) < PHOTON_SHARE
