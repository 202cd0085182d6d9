"""The transform that makes the noise of magnitudes the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.models.rician.background import background_share
from napari_convgen.core.noise.models.rician.rice import rice_density
from napari_convgen.core.noise.stabilizer import Scaled, Stabilizer

TABLE_END, N_TABLE = 20.0, 200
"""Amplitude, in standard deviations, beyond which Rician noise is taken for Gaussian, and entries; the variance is 0.999 there."""

TAIL, STEP = 8.0, 0.04
"""Standard deviations that the table of magnitudes goes beyond that amplitude, which leaves a probability of 1e-15, and its step, small
against the noise, which is 1."""

N_REFINEMENTS = 150
"""Rounds in which the transform's slope is refined; the variance is then within 4 % of 1 for all amplitudes."""


@dataclass(frozen=True)
class RicianStabilizer(Stabilizer):
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

    @property
    def noise_level(self) -> float:
        """Return 1."""
        return 1.0

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Transform magnitudes, in the image's units."""
        magnitudes, transformed, *_ = _tables()
        return _interpolate(x / self.sigma, magnitudes, transformed)

    def inverse(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the clean amplitudes, in the image's units, for which the transformed magnitudes have the means ``y``."""
        _, _, amplitudes, means, _ = _tables()
        return self.sigma * _interpolate(y, means, amplitudes)

    def noise_variance(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the variance of the transformed values, in theory, where they have the means ``y``."""
        *_, means, variances = _tables()
        return np.asarray(np.interp(y, means, variances))

    def signal_share(
        self, y: Float[np.ndarray, "*shape"], is_observed: Bool[np.ndarray, "*shape"]
    ) -> Float[np.ndarray, "*shape"]:
        """Return the probability that there is any signal at a pixel.

        Near the floor an amplitude grows with the root of the mean: a mean that is estimated a little too high looks like signal, one that
        is too low cannot make up for it.
        """
        *_, means, _ = _tables()
        return 1 - background_share(y - means[0], is_observed)

    def leveled(self, level: Float[np.ndarray, "*spatial"], center: float) -> Scaled:
        """Return the transform of magnitudes that are divided by the level of the noise, which are magnitudes too."""
        return Scaled(self, level)


def _interpolate(
    x: Float[np.ndarray, "*shape"], xs: Float[np.ndarray, "n"], ys: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "*shape"]:
    """Interpolate in a table, and go on with slope 1 beyond its end."""
    return np.asarray(np.interp(x, xs, ys) + np.maximum(x - xs[-1], 0))


@cache
def _tables() -> tuple[
    Float[np.ndarray, "m"],
    Float[np.ndarray, "m"],
    Float[np.ndarray, "n"],
    Float[np.ndarray, "n"],
    Float[np.ndarray, "n"],
]:
    """Return magnitudes and their transform; amplitudes, and for each the mean and the variance of the transform. For noise of 1."""
    magnitudes = np.arange(0, TABLE_END + TAIL, STEP)
    amplitudes = np.linspace(0, TABLE_END, N_TABLE)
    density = rice_density(magnitudes, amplitudes[:, None])
    density /= density.sum(1, keepdims=True)
    posterior = density / np.maximum(density.sum(0), np.finfo(float).tiny)
    mean = density @ magnitudes
    slope = 1 / np.interp(magnitudes, mean, np.sqrt(density @ magnitudes**2 - mean**2))
    for _ in range(N_REFINEMENTS):
        transformed = STEP * (np.cumsum(slope) - slope / 2 - slope[0] / 2)
        means = density @ transformed
        variance = density @ transformed**2 - means**2
        slope *= np.exp(-0.5 * np.log(variance) @ posterior)
    return magnitudes, transformed, amplitudes, means, variance
