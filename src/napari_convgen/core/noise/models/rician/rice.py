"""Moments of the Rice distribution: the magnitude of a complex number whose two parts have Gaussian noise."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import ive

INVERTED_TO, N_INVERTED = 10.0, 2000
"""Amplitude up to which the mean is inverted by a table, and its entries: enough for three digits near 0, where the mean is flat."""

FAR = 100.0
"""Amplitude from which the variance is that of the first terms of its series, 1 - 1 / (2 ν²), exact to 1e-8 there."""


def rice_mean(nu: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return the mean of the magnitude where the clean amplitude is ``nu``, for noise of standard deviation 1.

    Notes
    -----
    sqrt(pi/2) L(-nu²/2), with the Laguerre function L of order 1/2 written in Bessel functions that do not overflow.
    """
    t = nu**2 / 4
    return np.asarray(np.sqrt(np.pi / 2) * ((1 + 2 * t) * ive(0, t) + 2 * t * ive(1, t)))


def rice_amplitude(mean: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return the clean amplitude of which magnitudes have this mean, for noise of standard deviation 1; 0 for means below the least."""
    far = mean > INVERTED_TO  # sqrt(mean² - 1) is exact to 1e-3 there
    amplitudes = np.linspace(0, INVERTED_TO, N_INVERTED)
    near = np.interp(mean, rice_mean(amplitudes), amplitudes)
    return np.asarray(np.where(far, np.sqrt(np.where(far, mean, 1.0) ** 2 - 1), near))


def rice_variance(nu: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return the variance of the magnitude where the clean amplitude is ``nu``, for noise of standard deviation 1."""
    far = nu > FAR  # the difference of two large numbers, of which the first terms of its series are left
    near = np.where(far, 0.0, nu)
    return np.where(far, 1 - 0.5 / np.where(far, nu, 1.0) ** 2, 2 + near**2 - rice_mean(near) ** 2)


def rice_density(m: Float[np.ndarray, "*shape"], nu: Float[np.ndarray, "*shape2"]) -> Float[np.ndarray, "*shape3"]:
    """Return the density of the magnitude ``m`` where the clean amplitude is ``nu``, for noise of standard deviation 1."""
    return np.asarray(m * np.exp(-((m - nu) ** 2) / 2) * ive(0, m * nu))
