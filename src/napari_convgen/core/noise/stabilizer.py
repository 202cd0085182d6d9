"""Transforms that make noise Gaussian with the same variance everywhere, and the way back without bias.

A denoiser of stabilized data finds the mean of the transformed values, which is not the transform of their mean. So the way
back is no algebraic inverse: it returns the clean value for which that mean is expected.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

HALF_STEP = 0.01
"""Half of the step of the central differences that a slope is taken from, small against the transformed noise, which is 1."""


CURVED_STEP = 0.5
"""Step of the second differences that a curvature is taken from: half the transformed noise, so that tables are smooth over it."""


class Stabilizer(ABC):
    """A transform of one channel."""

    @property
    @abstractmethod
    def noise_level(self) -> float:
        """Standard deviation of the noise after `forward`."""

    @abstractmethod
    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Transform noisy values, in the image's units; never falls."""

    @abstractmethod
    def inverse(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the clean values, in the image's units, for which the transformed ones have the means ``y``."""

    @abstractmethod
    def noise_variance(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the variance of the transformed values, in theory, where they have the means ``y``."""

    def ends(self, limits: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
        """Return limits of the transformed values of a channel with these limits."""
        return self.forward(limits)

    def slope(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the slope of `inverse`, by central differences."""
        return np.asarray((self.inverse(y + HALF_STEP) - self.inverse(y - HALF_STEP)) / (2 * HALF_STEP))

    def signal_share(
        self, y: Float[np.ndarray, "*shape"], is_observed: Bool[np.ndarray, "*shape"]
    ) -> Float[np.ndarray, "*shape"]:
        """Return the probability that there is any signal at a pixel, given estimates of a whole channel's transformed means.

        It is 1 where estimates of no signal are as often too low as too high, so that their errors cancel.
        """
        return np.ones_like(y)

    def leveled(self, level: Float[np.ndarray, "*spatial"], center: float) -> Stabilizer:
        """Return a transform after which noise that is ``level`` times as strong at each pixel is the same at all.

        Parameters
        ----------
        level
            Level of the noise at each pixel, at least 1.
        center
            Stabilized value that may stay as it is.
        """
        return Leveled(self, level, center)


@dataclass(frozen=True)
class Unchanged(Stabilizer):
    """The identity, for noise that has the same variance everywhere as it is.

    Parameters
    ----------
    level
        Standard deviation of the noise, in the image's units; NaN if it is not known.
    """

    level: float

    @property
    def noise_level(self) -> float:
        """Standard deviation of the noise, in the image's units."""
        return self.level

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
        return np.full_like(y, self.level**2)


@dataclass(frozen=True, eq=False)
class Leveled(Stabilizer):
    """A transform after which the noise is the same at all places of a channel, where it was the same at all intensities only.

    Parameters
    ----------
    inner
        Transform after which it is the same at all intensities.
    level
        Level of the noise at each pixel, at least 1.
    center
        Value after ``inner`` that stays as it is; distances from it are divided by the level.
    """

    inner: Stabilizer
    level: Float[np.ndarray, "*spatial"]
    center: float

    @property
    def noise_level(self) -> float:
        """Standard deviation of the noise after `forward`: that after ``inner`` where it is weakest."""
        return self.inner.noise_level

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Transform noisy values of a whole channel, in the image's units."""
        return np.asarray(self.center + (self.inner.forward(x) - self.center) / self.level)

    def inverse(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the clean values of a whole channel, in the image's units."""
        return self._for_level(self.inner.inverse, y)

    def slope(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the slope of `inverse` at each pixel of a channel."""
        return np.asarray(self.level * self._for_level(self.inner.slope, y))

    def ends(self, limits: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
        """Return limits of the transformed values of a channel with these limits: those where the noise is weakest."""
        return self.inner.ends(limits)

    def noise_variance(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the variance of the transformed values of a whole channel, in theory."""
        return self.inner.noise_variance(self._unleveled(y))

    def signal_share(
        self, y: Float[np.ndarray, "*shape"], is_observed: Bool[np.ndarray, "*shape"]
    ) -> Float[np.ndarray, "*shape"]:
        """Return the probability that there is any signal at each pixel of a channel."""
        return self.inner.signal_share(self._unleveled(y), is_observed)

    def _for_level(
        self,
        inverse: Callable[[Float[np.ndarray, "*shape"]], Float[np.ndarray, "*shape"]],
        y: Float[np.ndarray, "*shape"],
    ) -> Float[np.ndarray, "*shape"]:
        """Return an inverse that is without bias where the noise has its level, given one for noise of 1, or the same of its slope.

        The mean of a curved transform is off by half its curvature times the noise's variance, of which ``inverse`` takes away that of 1.
        """
        u = self._unleveled(y)
        at = inverse(u)
        curvature = (inverse(u + CURVED_STEP) - 2 * at + inverse(u - CURVED_STEP)) / CURVED_STEP**2
        return np.asarray(at + (self.level**2 - 1) / 2 * curvature)

    def _unleveled(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        return np.asarray(self.center + (y - self.center) * self.level)


@dataclass(frozen=True, eq=False)
class Scaled(Stabilizer):
    """A transform of values that are first divided by the level of the noise, of noise that keeps its kind if both are scaled.

    Parameters
    ----------
    inner
        Transform after which noise of level 1 is the same at all intensities.
    level
        Level of the noise at each pixel, at least 1.
    """

    inner: Stabilizer
    level: Float[np.ndarray, "*spatial"]

    @property
    def noise_level(self) -> float:
        """Standard deviation of the noise after `forward`."""
        return self.inner.noise_level

    def forward(self, x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Transform noisy values of a whole channel, in the image's units."""
        return self.inner.forward(x / self.level)

    def inverse(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the clean values of a whole channel, in the image's units."""
        return np.asarray(self.level * self.inner.inverse(y))

    def slope(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the slope of `inverse` at each pixel of a channel."""
        return np.asarray(self.level * self.inner.slope(y))

    def ends(self, limits: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
        """Return limits of the transformed values of a channel with these limits: those where the noise is weakest."""
        return self.inner.ends(limits)

    def noise_variance(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the variance of the transformed values, in theory."""
        return self.inner.noise_variance(y)

    def signal_share(
        self, y: Float[np.ndarray, "*shape"], is_observed: Bool[np.ndarray, "*shape"]
    ) -> Float[np.ndarray, "*shape"]:
        """Return the probability that there is any signal at each pixel of a channel."""
        return self.inner.signal_share(y, is_observed)


@dataclass(frozen=True)
class StableNoise:
    """The measured noise of a stabilized channel: in theory its variance is 1, but less where there are few events.

    Attributes
    ----------
    mean
        Mean of the stabilized values in each interval of intensity, from the darkest.
    variance
        Variance of the noise in each interval.
    level
        Square root of the mean variance over the whole image.
    """

    mean: tuple[float, ...]
    variance: tuple[float, ...]
    level: float

    def variance_at(self, mean: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the variance of pixels whose stabilized values have the given mean, interpolated between the intervals."""
        return np.asarray(np.interp(mean, self.mean, self.variance))
