"""Transforms that make noise Gaussian with the same variance everywhere, and the way back without bias.

A denoiser of stabilized data finds the mean of the transformed values, which is not the transform of their mean. So the way
back is no algebraic inverse: it asks for which clean value that mean is expected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from napari_convgen.core.noise.floor import background_share
from napari_convgen.core.noise.model import NoiseModel
from napari_convgen.core.noise.rice import rice_density

POISSON_TABLE_END = 60.0
"""Events up to which the mean of the Anscombe transform is tabulated; beyond, its square grows by 4 an event."""

RICE_TABLE_END = 20.0
"""Amplitude, in standard deviations, beyond which Rician noise is taken for Gaussian."""

N_REFINEMENTS = 150
"""Rounds in which the Rician transform's slope is refined; the variance is then within 4 % of 1 for all amplitudes."""


class Stabilizer(Protocol):
    """A transform of one channel."""

    @property
    def noise_level(self) -> float:
        """Standard deviation of the noise after `forward`."""
        ...

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Transform noisy values, in the image's units; never falls."""
        ...

    def inverse(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the clean values, in the image's units, for which the transformed ones have the means ``y``."""
        ...

    def slope(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the slope of `inverse`."""
        ...

    def noise_variance(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the variance of the transformed values, in theory, where they have the means ``y``."""
        ...

    def signal_share(
        self, y: Float[np.ndarray, "*shape"], is_observed: Bool[np.ndarray, "*shape"]
    ) -> Float[np.ndarray, "*shape"]:
        """Return the probability that there is any signal at a pixel, given estimates of a whole channel's transformed means."""
        ...


def stabilizers(noise: NoiseModel) -> tuple[Stabilizer, ...]:
    """Return a transform for each channel of a noise model."""
    return tuple(
        _stabilizer(noise, sigma, gain, offset)
        for sigma, gain, offset in zip(noise.sigma, noise.gain, noise.offset, strict=True)
    )


def _stabilizer(noise: NoiseModel, sigma: float, gain: float, offset: float) -> Stabilizer:
    if noise.kind == "poisson-gaussian" and gain > 0:
        return PoissonGaussianStabilizer(sigma, gain, offset)
    if noise.kind == "rician" and sigma > 0:
        return RicianStabilizer(sigma)
    return Unchanged(sigma)


@dataclass(frozen=True)
class Unchanged:
    """For Gaussian noise, which is stable as it is.

    Parameters
    ----------
    noise_level
        Standard deviation of the noise, in the image's units.
    """

    noise_level: float

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the values."""
        return x

    def inverse(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the values."""
        return y

    def slope(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return 1."""
        return np.ones_like(y)

    def noise_variance(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the square of the noise level."""
        return np.full_like(y, self.noise_level**2)

    def signal_share(
        self, y: Float[np.ndarray, "*shape"], is_observed: Bool[np.ndarray, "*shape"]
    ) -> Float[np.ndarray, "*shape"]:
        """Return 1: without signal the estimates are as often too low as too high."""
        return np.ones_like(y)


@dataclass(frozen=True)
class PoissonGaussianStabilizer:
    """The generalized Anscombe transform with its exact unbiased inverse.

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

    noise_level = 1.0

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Transform noisy values, in the image's units."""
        return np.asarray(_anscombe((x - self.offset) / self.gain, self.sigma / self.gain))

    def inverse(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the clean values, in the image's units, for which the transformed ones have the means ``y``."""
        events, means, _ = _anscombe_moments(self.sigma / self.gain)
        beyond = np.maximum(y**2 - means[-1] ** 2, 0) / 4
        return np.asarray(self.offset + self.gain * (np.interp(y, means, events) + beyond))

    def slope(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the slope of `inverse`."""
        return _slope(self.inverse, y)

    def noise_variance(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the variance of the transformed values, in theory, where they have the means ``y``."""
        _, means, variances = _anscombe_moments(self.sigma / self.gain)
        return np.asarray(np.interp(y, means, variances))

    def signal_share(
        self, y: Float[np.ndarray, "*shape"], is_observed: Bool[np.ndarray, "*shape"]
    ) -> Float[np.ndarray, "*shape"]:
        """Return 1: without signal the estimates are as often too low as too high."""
        return np.ones_like(y)


def _anscombe(events: Float[np.ndarray, "*shape"], sigma: float) -> Float[np.ndarray, "*shape"]:
    return np.asarray(2 * np.sqrt(np.maximum(events + 0.375 + sigma**2, 0)))


def _slope(
    function: Callable[[Float[np.ndarray, "*shape"]], Float[np.ndarray, "*shape"]], y: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """By central differences, of values whose noise is 1."""
    half = 0.01
    return np.asarray((function(y + half) - function(y - half)) / (2 * half))


@cache
def _anscombe_moments(
    sigma: float,
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """Numbers of expected events, and for each the mean and the variance of the transform."""
    roots = np.linspace(0, np.sqrt(POISSON_TABLE_END), 400)
    events = roots**2
    counts = np.arange(int(POISSON_TABLE_END + 12 * np.sqrt(POISSON_TABLE_END)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    transformed, weights = _anscombe(counts[:, None] + sigma * nodes, sigma), weights / weights.sum()
    probability = stats.poisson.pmf(counts, events[:, None])
    means = probability @ (transformed @ weights)
    return events, means, probability @ (transformed**2 @ weights) - means**2


@dataclass(frozen=True)
class RicianStabilizer:
    """A variance-stabilizing transform for magnitudes, with an inverse that takes the Rician bias away.

    Its slope is 1 over the standard deviation of magnitudes with that mean, refined until the variance is near 1 for all
    amplitudes.

    Parameters
    ----------
    sigma
        Standard deviation of the noise in the real and the imaginary part, in the image's units.

    References
    ----------
    A. Foi, "Noise estimation and removal in MR imaging: the variance-stabilization approach", IEEE ISBI 2011.
    """

    sigma: float

    noise_level = 1.0

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Transform magnitudes, in the image's units."""
        magnitudes, transformed, *_ = _rice_tables()
        return _interpolate(x / self.sigma, magnitudes, transformed)

    def inverse(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the clean amplitudes, in the image's units, for which the transformed magnitudes have the means ``y``."""
        _, _, amplitudes, means, _ = _rice_tables()
        return self.sigma * _interpolate(y, means, amplitudes)

    def slope(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the slope of `inverse`."""
        return _slope(self.inverse, y)

    def noise_variance(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the variance of the transformed values, in theory, where they have the means ``y``."""
        *_, means, variances = _rice_tables()
        return np.asarray(np.interp(y, means, variances))

    def signal_share(
        self, y: Float[np.ndarray, "*shape"], is_observed: Bool[np.ndarray, "*shape"]
    ) -> Float[np.ndarray, "*shape"]:
        """Return the probability that there is any signal at a pixel.

        Near the floor an amplitude grows with the root of the mean: a mean that is estimated a little too high looks like signal, one that
        is too low cannot make up for it.
        """
        *_, means, _ = _rice_tables()
        return 1 - background_share(y - means[0], is_observed)


def _interpolate(
    x: Float[np.ndarray, "*shape"], xs: Float[np.ndarray, "n"], ys: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "*shape"]:
    """Interpolate in a table, and go on with slope 1 beyond its end."""
    return np.asarray(np.interp(x, xs, ys) + np.maximum(x - xs[-1], 0))


@cache
def _rice_tables() -> tuple[
    Float[np.ndarray, "m"],
    Float[np.ndarray, "m"],
    Float[np.ndarray, "n"],
    Float[np.ndarray, "n"],
    Float[np.ndarray, "n"],
]:
    """Magnitudes and their transform; amplitudes, and for each the mean and the variance of the transform. For noise of 1."""
    step = 0.04
    magnitudes = np.arange(0, RICE_TABLE_END + 8, step)
    amplitudes = np.linspace(0, RICE_TABLE_END, 200)
    density = rice_density(magnitudes, amplitudes[:, None])
    density /= density.sum(1, keepdims=True)
    posterior = density / np.maximum(density.sum(0), np.finfo(float).tiny)
    mean = density @ magnitudes
    slope = 1 / np.interp(magnitudes, mean, np.sqrt(density @ magnitudes**2 - mean**2))
    for _ in range(N_REFINEMENTS):
        transformed = step * (np.cumsum(slope) - slope / 2 - slope[0] / 2)
        means = density @ transformed
        variance = density @ transformed**2 - means**2
        slope *= np.exp(-0.5 * np.log(variance) @ posterior)
    return magnitudes, transformed, amplitudes, means, variance
