"""Models of an image's noise: how far a pixel lies from its clean value, in the image's own units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from napari_convgen.core.noise.rice import rice_variance

NoiseKind = Literal["gaussian", "poisson-gaussian", "rician"]


@dataclass(frozen=True)
class StableNoise:
    """The noise of a stabilized channel, as it was measured: in theory its variance is 1, but less where there are few events.

    Attributes
    ----------
    mean, variance
        Of intervals of intensity, from the darkest; stabilized.
    level
        Root of the mean variance over the whole image.
    """

    mean: tuple[float, ...]
    variance: tuple[float, ...]
    level: float

    def variance_at(self, mean: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Return the variance of pixels whose stabilized values have that mean."""
        return np.asarray(np.interp(mean, self.mean, self.variance))


@dataclass(frozen=True)
class NoiseModel:
    """The noise of an image.

    =================  =====================================================================================
    gaussian           variance ``sigma²`` everywhere
    poisson-gaussian   variance ``gain (x - offset) + sigma²`` where the clean value is ``x``, of at least ``offset``
    rician             magnitude of a complex image with Gaussian noise ``sigma`` in its real and imaginary part
    =================  =====================================================================================

    Attributes
    ----------
    kind
        Of the three.
    sigma
        Standard deviation of the part that does not depend on the signal, in the image's units; one a channel.
    gain
        Image units per detected event, one a channel; 0 unless Poisson-Gaussian.
    offset
        Value of a pixel without events, one a channel; 0 unless Poisson-Gaussian.
    stable
        The noise once it is stabilized, one a channel, where it was measured; ``None`` takes the theory's.
    correlation_length
        Distance in pixels from which on the noise of two pixels is independent; 1 for white noise.
    is_shared
        Whether all channels have the very same noise (Gaussian only).
    clipped_low, clipped_high
        Share of the values at the image's minimum and maximum, where the noise was cut off; 0 unless it was.
    impulses
        Share of the values that have nothing to do with their neighbors: salt and pepper, hot pixels.
    """

    kind: NoiseKind
    sigma: tuple[float, ...]
    gain: tuple[float, ...]
    offset: tuple[float, ...]
    stable: tuple[StableNoise, ...] | None = None
    correlation_length: int = 1
    is_shared: bool = False
    clipped_low: float = 0.0
    clipped_high: float = 0.0
    impulses: float = 0.0

    @property
    def n_channels(self) -> int:
        """Channels that the model speaks of."""
        return len(self.sigma)

    def variance(self, x: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return the variance of pixels whose clean values are ``x``, in the image's units squared.

        Parameters
        ----------
        x
            Clean values (of a Rician image: the amplitude), channels first.
        """
        column = (slice(None), *(np.newaxis,) * (x.ndim - 1))
        sigma, gain, offset = (np.array(each)[column] for each in (self.sigma, self.gain, self.offset))
        if self.kind == "rician":
            unit = np.where(sigma > 0, sigma, 1.0)
            return np.asarray(sigma**2 * rice_variance(np.maximum(x, 0) / unit))
        return np.asarray(sigma**2 + gain * np.maximum(x - offset, 0) + np.zeros_like(x))

    def __str__(self) -> str:
        """Say it in a sentence."""
        if self.kind == "poisson-gaussian":
            what = (
                f"Poisson-Gaussian noise: gain {_each(self.gain)} per photon, offset {_each(self.offset)}, "
                f"read noise {_each(self.sigma)}"
            )
        else:
            what = f"{self.kind.capitalize()} noise of standard deviation {_each(self.sigma)}"
            what += ", the same in all channels" if self.is_shared else ""
        notes = [
            what,
            "white" if self.correlation_length == 1 else f"alike within {self.correlation_length} pixels",
        ]
        if clipped := self.clipped_low + self.clipped_high:
            notes.append(f"{_percent(clipped)} of the pixels saturated")
        if self.impulses:
            notes.append(f"{_percent(self.impulses)} of the pixels are impulses")
        return "; ".join(notes)


def _each(values: tuple[float, ...]) -> str:
    texts = [f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}" for value in values]
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
