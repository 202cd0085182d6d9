"""Gaussian noise: the same variance everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from napari_convgen.core.noise.estimation.channel import Channel
from napari_convgen.core.noise.estimation.variance import noise_variance
from napari_convgen.core.noise.models.base import NoiseModel, Settings, given
from napari_convgen.core.noise.stabilizer import Unchanged


@dataclass(frozen=True)
class GaussianNoise(NoiseModel):
    """Noise of the variance ``sigma²`` everywhere.

    Attributes
    ----------
    sigma
        Standard deviation in the image's units, one a channel.
    """

    can_be_shared: ClassVar[bool] = True
    is_signal_dependent: ClassVar[bool] = False

    kind: str = field(init=False, default="gaussian")

    @classmethod
    def recognizes(cls, channel: Channel) -> bool:
        """Return True: it is what remains."""
        return True

    @classmethod
    def estimate(cls, channel: Channel, settings: Settings) -> GaussianNoise:
        """Estimate the standard deviation from the blocks of all intensities together."""
        sigma = given(settings, "sigma")
        return cls((float(np.sqrt(noise_variance(channel.reliable_blocks))) if sigma is None else sigma,))

    def variance(self, x: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return ``sigma²``; NaN where ``x`` is NaN."""
        return np.asarray(self.column("sigma", x.ndim) ** 2 + 0 * x)

    def stabilizers(self) -> tuple[Unchanged, ...]:
        """Return the identity."""
        return tuple(Unchanged(sigma) for sigma in self.sigma)
