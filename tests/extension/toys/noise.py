"""A toy kind of noise: Laplace noise, which is not recognized but has to be named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from napari_convgen.core.noise.estimation.channel import Channel
from napari_convgen.core.noise.estimation.variance import noise_variance
from napari_convgen.core.noise.models.base import NoiseModel, Settings, given, per_channel
from napari_convgen.core.noise.stabilizer import Unchanged


@dataclass(frozen=True)
class ToyNoise(NoiseModel):
    """Noise with the density of Laplace, of the variance ``2 scale²`` everywhere."""

    strengths: ClassVar[tuple[str, ...]] = ("scale",)
    is_signal_dependent: ClassVar[bool] = False

    kind: str = field(init=False, default="toy")
    scale: tuple[float, ...]

    @classmethod
    def recognizes(cls, channel: Channel) -> bool:
        return False

    @classmethod
    def estimate(cls, channel: Channel, settings: Settings) -> ToyNoise:
        scale = given(settings, "scale")
        if scale is None:
            scale = float(np.sqrt(noise_variance(channel.reliable_blocks) / 2))
        return cls((2**0.5 * scale,), (scale,))

    def variance(self, x: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        return np.asarray(2 * self.column("scale", x.ndim) ** 2 + 0 * x)

    def stabilizers(self) -> tuple[Unchanged, ...]:
        return tuple(Unchanged(2**0.5 * scale) for scale in self.scale)

    @property
    def sentence(self) -> str:
        return f"Laplace noise of scale {per_channel(self.scale)}"
