"""Poisson-Gaussian noise: events are counted, with a gain, an offset and read noise, as by a camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln, xlogy

from napari_convgen.core.noise.estimation.channel import MIN_INTERVALS, Channel
from napari_convgen.core.noise.estimation.coils import is_of_coils
from napari_convgen.core.noise.estimation.curve import Curve, dark_level, fit_line, is_proportional
from napari_convgen.core.noise.models.base import NoiseModel, Settings, given, per_channel
from napari_convgen.core.noise.stabilizer import Stabilizer, Unchanged

MIN_GROWTH, MIN_SIGNIFICANCE, MAX_MISFIT = 1.6, 8.0, 0.25
"""Least growth of the variance from the dark to the bright parts, least slope in its standard errors, and largest relative distance of
measured variances from the line, with which noise depends on the signal. Chosen on the tuning images of benchmarks/noise.py."""

MIN_ON_LINE = 0.8
"""Least share of the blocks of white noise on the line that is near enough too: where most of an image is dark, few blocks lie between
the dark and the bright, across edges, and fill half of the intervals. Checked with the images of benchmarks/cases.py: noise that is the
same everywhere has no significant line."""

MIN_READ_NOISE = 3.0
"""Least variance of read noise, in its standard errors, that is told from shot noise. Our choice, a cautious significance."""

PROPORTIONAL = "it grows as the signal itself, as speckle does: better denoise the logarithm of the image"
"""What is said of noise whose standard deviation is a share of the signal."""

OF_COILS = "it grows as that of magnitudes of several coils: their floor is kept, so that dark places are too bright"
COILS_UNTOLD = (
    "The quality of the image cannot be told: it looks like a magnitude of several coils, whose noise makes dark places too bright, which "
    "is kept."
)
"""What is said of such noise."""

SHAPES: Mapping[str, Callable[[Curve], bool]] = {"is_proportional": is_proportional, "is_of_coils": is_of_coils}
"""Functions that recognize other ways to grow, by the attribute that says so."""

LOWEST = 6.0
"""Standard deviations of the read noise. Values that lie further than that, and 3/8 of an event, below the value of no events are
transformed as if they lay there: they can be no noise of this model, and would be outliers. Our choice, no benchmark."""

ANSCOMBE = 0.375
"""3/8, which makes the variance of the root most even (F. J. Anscombe, Biometrika 35, 1948, equation 2)."""

ROOT_BIAS = 0.25
"""The mean of 2 √(X + 3/8) is 2 √(λ + 3/8 - 1/4) to second order, of X events where λ are expected (Taylor series of the root)."""

TABLE_END, N_TABLE, N_BELOW, N_KEPT = 60.0, 400, 100, 32
"""Events up to which the mean of the Anscombe transform is tabulated, entries from 0 on and below, and tables that are
kept: those of a long stack's frames would fill the memory. Beyond, the square of the mean grows by 4 an event."""

TAIL = 12.0
"""Standard deviations of a Poisson distribution that its table goes beyond the mean: what is left has a probability below 1e-22."""

N_NODES = 60
"""Nodes of the Gauss-Hermite quadrature over the read noise, enough for the kink of the transform at zero."""


@dataclass(frozen=True)
class PoissonGaussianNoise(NoiseModel):
    """Noise of the variance ``gain (x - offset) + sigma²`` where the clean value is ``x``; ``sigma²`` where that is below ``offset``.

    Attributes
    ----------
    sigma
        Standard deviation of the read noise, in the image's units; one a channel.
    gain
        Image units per detected event, one a channel; 0 where the noise does not depend on the signal.
    offset
        Value of a pixel without events, in the image's units; one a channel.
    is_proportional
        True if the noise of all channels grows as the signal itself, as that of speckle, which this model fits only roughly.
    is_of_coils
        True if it grows as that of magnitudes of several coils, whose floor this model takes for signal.
    """

    strengths: ClassVar[tuple[str, ...]] = ("sigma", "gain")

    kind: str = field(init=False, default="poisson-gaussian")
    gain: tuple[float, ...]
    offset: tuple[float, ...]
    _: KW_ONLY
    is_proportional: bool = False
    is_of_coils: bool = False

    @classmethod
    def recognizes(cls, channel: Channel) -> bool:
        """Return True if the variance clearly grows with the intensity, along a line, or in another way that a line is near enough to."""
        curve = channel.reliable_curve
        if len(curve.mean) < MIN_INTERVALS:
            return False
        line = fit_line(curve)
        first, last = line.at(curve.mean[[0, -1]])
        is_significant = line.slope > MIN_SIGNIFICANCE * line.slope_error
        is_on_line = channel.blocks.spacing == 1 and line.share_on_line > MIN_ON_LINE
        has_shape = line.misfit < MAX_MISFIT or is_on_line or is_proportional(curve) or is_of_coils(curve)
        return bool(is_significant and last > MIN_GROWTH * first and has_shape)

    @classmethod
    def of_channels(cls, channels: Sequence[NoiseModel], *, correlation_length: int, is_shared: bool) -> Self:
        """Join models of one channel each."""
        joined = super().of_channels(channels, correlation_length=correlation_length, is_shared=is_shared)
        own = [each for each in channels if isinstance(each, cls)]
        flags: dict[str, Any] = {name: bool(own) and all(getattr(each, name) for each in own) for name in SHAPES}
        return replace(joined, **flags)

    @classmethod
    def estimate(cls, channel: Channel, settings: Settings) -> Self:
        """Estimate gain, offset and read noise, and see whether the noise grows in another way than that of photons."""
        curve = channel.reliable_curve
        shapes: dict[str, Any] = {name: each(curve) for name, each in SHAPES.items()}
        return replace(cls._on_line(channel, settings), **shapes)

    @classmethod
    def _on_line(cls, channel: Channel, settings: Settings) -> Self:
        """Fit the line ``variance = gain x + b``, and tell read noise from shot noise by the third cumulant, see `dark_level`.

        If neither offset nor sigma is given and there is no significant read noise, the noise in the dark is shot noise as far as possible:
        ``offset = -b / gain, sigma = 0``, also below 0 if the image has negative values. In one that has none and ``b >= 0``,
        ``offset = 0, sigma = sqrt(b)``.
        """
        sigma, slope, offset = (given(settings, name) for name in ("sigma", "gain", "offset"))
        dark = None if sigma is None or offset is None else (offset, sigma**2)
        curve = channel.reliable_curve
        line = fit_line(curve, slope, dark)
        gain = max(line.slope, 0.0)
        if not gain:
            return cls(
                (float(np.sqrt(max(line.intercept, 0.0))) if sigma is None else sigma,), (0.0,), (offset or 0.0,)
            )
        if offset is not None:
            in_dark = float(line.at(np.array([offset]))[0])
            return cls((float(np.sqrt(max(in_dark, 0.0))) if sigma is None else sigma,), (gain,), (offset,))
        if sigma is not None:
            return cls((sigma,), (gain,), ((sigma**2 - line.intercept) / gain,))
        level, error = dark_level(curve, line)
        level = min(level, float(curve.mean.min()))
        read_variance = line.intercept + gain * level
        if read_variance > MIN_READ_NOISE * gain * error:
            return cls((float(np.sqrt(read_variance)),), (gain,), (level,))
        if line.intercept < 0 or np.min(channel.values) < 0:
            return cls((0.0,), (gain,), (-line.intercept / gain,))
        return cls((float(np.sqrt(line.intercept)),), (gain,), (0.0,))

    @property
    def has_noise(self) -> bool:
        """True if any channel has noise."""
        return max(*self.sigma, *self.gain) > 0

    def variance(self, x: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return the variance of shot noise and read noise where the clean values are ``x``."""
        sigma, gain, offset = (self.column(name, x.ndim) for name in ("sigma", "gain", "offset"))
        return np.asarray(sigma**2 + gain * np.maximum(x - offset, 0) + np.zeros_like(x))

    def multiplied(self, factor: float) -> PoissonGaussianNoise:
        """Return noise that is stronger by a factor."""
        return replace(super().multiplied(factor), gain=tuple(factor**2 * gain for gain in self.gain))

    def stabilizers(self) -> tuple[Stabilizer, ...]:
        """Return the Anscombe transform of each channel; the identity where no events are counted."""
        return tuple(
            PoissonGaussianStabilizer(sigma, gain, offset) if gain > 0 else Unchanged(sigma)
            for sigma, gain, offset in zip(self.sigma, self.gain, self.offset, strict=True)
        )

    @property
    def has_counts(self) -> bool:
        """True if all channels count events, and the noise is that of their number: not if a flat field has divided it."""
        return min(self.gain) > 0 and self.level_map is None

    def counts(self, values: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return detected events; read noise is taken for as many more events as give its variance."""
        gain, offset, extra = self._events(values.ndim)
        return np.asarray(np.maximum((values - offset) / gain + extra, 0))

    def from_counts(
        self, counts: Float[np.ndarray, "c *spatial"], share: float = 1.0
    ) -> Float[np.ndarray, "c *spatial"]:
        """Return the values of detected events, of which each was kept with the probability ``share``."""
        gain, offset, extra = self._events(counts.ndim)
        return np.asarray(offset + gain * ((counts + ROOT_BIAS) / share - ROOT_BIAS - extra))

    def _events(self, n_axes: int) -> tuple[Float[np.ndarray, "..."], ...]:
        """Return gain, offset, and the events that read noise is taken for."""
        sigma, gain, offset = (self.column(name, n_axes) for name in ("sigma", "gain", "offset"))
        return gain, offset, (sigma / gain) ** 2

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to do about noise that grows in another way than that of photons."""
        return (PROPORTIONAL,) * self.is_proportional + (OF_COILS,) * self.is_of_coils

    @property
    def untold(self) -> str:
        """Why the quality cannot be told: a floor is no signal."""
        return COILS_UNTOLD if self.is_of_coils else ""

    @property
    def sentence(self) -> str:
        """Kind and parameters in words."""
        gain, offset, sigma = (per_channel(each) for each in (self.gain, self.offset, self.sigma))
        return f"Poisson-Gaussian noise: gain {gain} per photon, offset {offset}, read noise {sigma}"


@dataclass(frozen=True)
class PoissonGaussianStabilizer(Stabilizer):
    """The generalized Anscombe transform with its exact unbiased inverse.

    Below the value of no events, where all noise is read noise, the transform is straight, as steep as it is from no event to one: the root
    would stretch the lower tail of Gaussian noise to outliers.

    Parameters
    ----------
    sigma
        Standard deviation of the Gaussian part, in the image's units.
    gain
        Image units per event.
    offset
        Value of a pixel without events.

    References
    ----------
    J. L. Starck, F. Murtagh, A. Bijaoui, *Image Processing and Data Analysis*, 1998 (the transform).
    M. Mäkitalo, A. Foi, "Optimal inversion of the generalized Anscombe transformation for Poisson-Gaussian noise", IEEE TIP
    22(1), 2013 (the exact unbiased inverse).
    """

    sigma: float
    gain: float
    offset: float

    @property
    def noise_level(self) -> float:
        """Return 1."""
        return 1.0

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Transform noisy values, in the image's units."""
        return np.asarray(_anscombe((x - self.offset) / self.gain, self.sigma / self.gain))

    def inverse(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the clean values, in the image's units, for which the transformed ones have the means ``y``.

        It goes on below the value of no events. An inverse that stopped there would make the dark too bright: estimates are as often too
        low as too high.
        """
        sigma = self.sigma / self.gain
        events, means, _ = _anscombe_moments(sigma)
        beyond = np.maximum(y**2 - means[-1] ** 2, 0) / 4
        below = np.minimum(y - means[0], 0) / _slope_below(sigma)
        return np.asarray(self.offset + self.gain * (np.interp(y, means, events) + beyond + below))

    def noise_variance(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the variance of the transformed values, in theory, where they have the means ``y``."""
        _, means, variances = _anscombe_moments(self.sigma / self.gain)
        return np.asarray(np.interp(y, means, variances))


def _anscombe(events: Float[np.ndarray, "*shape"], sigma: float) -> Float[np.ndarray, "*shape"]:
    constant, events = ANSCOMBE + sigma**2, np.maximum(events, _least_events(sigma))
    return np.asarray(2 * np.sqrt(np.maximum(events, 0) + constant) + _slope_below(sigma) * np.minimum(events, 0))


def _slope_below(sigma: float) -> float:
    return 2 * float(np.sqrt(1 + ANSCOMBE + sigma**2) - np.sqrt(ANSCOMBE + sigma**2))


def _least_events(sigma: float) -> float:
    return -ANSCOMBE - LOWEST * sigma


def _poisson(counts: Float[np.ndarray, "n"], events: Float[np.ndarray, "m 1"]) -> Float[np.ndarray, "m n"]:
    """Return the probability of each count, in the formula of SciPy, whose module for statistics takes half a second to load."""
    return np.asarray(np.exp(xlogy(counts, events) - gammaln(counts + 1) - events))


@lru_cache(maxsize=N_KEPT)
def _anscombe_moments(
    sigma: float,
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Return numbers of expected events, and for each the mean and the variance of the transform.

    Numbers below 0 stand for values below that of no events, with the read noise alone.
    """
    roots = np.linspace(0, np.sqrt(TABLE_END), N_TABLE)
    below = np.linspace(_least_events(sigma), 0, N_BELOW, endpoint=False)
    counts = np.arange(float(int(TABLE_END + TAIL * np.sqrt(TABLE_END))))
    nodes, weights = np.polynomial.hermite_e.hermegauss(N_NODES)
    probability = _poisson(counts, roots[:, None] ** 2)
    transformed, weights = _anscombe(np.append(below, counts)[:, None] + sigma * nodes, sigma), weights / weights.sum()
    first, second = (
        np.concatenate((x[:N_BELOW], probability @ x[N_BELOW:]))
        for x in (transformed @ weights, transformed**2 @ weights)
    )
    return np.append(below, roots**2), first, second - first**2
