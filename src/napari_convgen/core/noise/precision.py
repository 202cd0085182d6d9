"""How well each pixel of an image is known, where its noise depends on the signal or the place and is not stabilized."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

from napari_convgen.core.noise.models.base import NoiseModel
from napari_convgen.core.noise.models.gaussian import GaussianNoise

SMOOTHING = 2.0
"""Standard deviation, in pixels, of the Gaussian that smooths an image before the variance of its noise is taken from it. Our choice, no
benchmark."""

LEAST_VARIANCE = 0.05
"""Least variance of a pixel's noise, relative to the mean: in the dark a few photons say little of how many are expected. Our choice, no
benchmark."""


@dataclass(frozen=True, eq=False)
class Precision:
    """Uniform noise and weights that together say what a model of noise says that is not the same everywhere.

    Attributes
    ----------
    noise
        Gaussian noise whose variance is the harmonic mean of the variances of the pixels.
    weights
        Ratio of that variance to the pixel's own: 1 on average over the pixels of a channel that are observed, 0 at the others.
    """

    noise: GaussianNoise
    weights: Float[np.ndarray, "c *spatial"]

    @classmethod
    def of(
        cls, noise: NoiseModel, values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
    ) -> Precision:
        """Take the variance of each pixel from the image around it.

        Parameters
        ----------
        noise
            Model of the noise.
        values, is_observed
            Noisy image in its own units, and where it is known.
        """
        smooth = np.stack([_smooth(x, seen) for x, seen in zip(values.astype(float), is_observed, strict=True)])
        variance, weights = noise.variance_in(noise.clean_of_mean(smooth)), np.zeros(values.shape)
        levels = []
        for own, seen, weight in zip(variance, is_observed, weights, strict=True):
            known = own[seen]
            mean = float(known.mean()) if known.size else 0.0
            if not mean > 0:
                weight[seen] = 1.0
                levels.append(0.0)
                continue
            known = np.maximum(known, LEAST_VARIANCE * mean)
            harmonic = float(1 / np.mean(1 / known))
            weight[seen] = harmonic / known
            levels.append(harmonic**0.5)
        return cls(GaussianNoise(tuple(levels), correlation_length=noise.correlation_length), weights)


def _smooth(values: Float[np.ndarray, "*spatial"], seen: Bool[np.ndarray, "*spatial"]) -> Float[np.ndarray, "*spatial"]:
    """Return the local mean of the values that are known; the mean of all where none is near."""
    total, share = (gaussian_filter(x, SMOOTHING) for x in (np.where(seen, values, 0.0), seen.astype(float)))
    mean = values[seen].mean() if seen.any() else 0.0
    return np.asarray(np.where(share > 1e-6, total / np.maximum(share, 1e-6), mean))
