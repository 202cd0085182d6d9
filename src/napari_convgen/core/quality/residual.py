"""The residual of a denoiser: what it removed from an image, ideally nothing but the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise import NoiseModel


@dataclass(frozen=True)
class Residual:
    """The difference of a noisy image from its denoised one, in standard deviations of the noise.

    Attributes
    ----------
    spread
        Standard deviation of the residual, in standard deviations of the noise: 1 if exactly the noise was removed, less if noise was
        left, more if structure was lost.
    autocorrelation
        Correlation coefficient of neighboring pixels, averaged over the last two axes. If no structure was lost, it is that of the
        noise itself: 0 for white noise. NaN if there are no neighbors.
    """

    spread: float
    autocorrelation: float

    @classmethod
    def mean(cls, parts: Sequence[Residual]) -> Self:
        """Return the residual statistics of several frames together; those that have none, as they have no noise, do not count."""
        spreads, correlations = (
            np.array([value for value in values if np.isfinite(value)])
            for values in ([part.spread for part in parts], [part.autocorrelation for part in parts])
        )
        return cls(
            float(np.sqrt(np.mean(spreads**2))) if spreads.size else float("nan"),
            float(correlations.mean()) if correlations.size else float("nan"),
        )


def residual_of(
    noisy: Float[np.ndarray, "c *spatial"],
    denoised: Float[np.ndarray, "c *spatial"],
    is_observed: Bool[np.ndarray, "c *spatial"],
    noise: NoiseModel,
) -> Residual:
    """Measure what was removed from a frame.

    Parameters
    ----------
    noisy, denoised
        Images before and after denoising, in image units.
    is_observed
        True for each value that was measured.
    noise
        Noise model of the frame.
    """
    deviation = np.sqrt(noise.variance_in(denoised))
    counts = is_observed & (deviation > 0)
    residual = np.where(counts, (noisy - denoised) / np.where(counts, deviation, 1.0), np.nan)
    over = tuple(range(1, residual.ndim))
    counted = residual[counts.any(over)]
    if not counted.size:
        return Residual(np.nan, np.nan)
    centered = counted - np.nanmean(counted, over, keepdims=True)
    variance = float(np.nanmean(centered**2))
    products = []
    for axis in over[-2:]:
        first, last = (np.delete(centered, side, axis) for side in (-1, 0))
        both = np.isfinite(first) & np.isfinite(last)
        if both.any():
            products.append(float(np.mean((first * last)[both])))
    correlation = np.mean(products) / variance if products and variance else np.nan
    return Residual(float(np.sqrt(variance)), float(correlation))
