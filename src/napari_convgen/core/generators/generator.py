"""What the loop needs of a generator."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor, nn


class Generator(nn.Module):
    """Several untrained networks of one architecture, the members, each with parameters and a latent of its own.

    Attributes
    ----------
    is_capturable
        Whether a step can be recorded as a CUDA graph: it takes no values from the host.
    """

    is_capturable = True

    @property
    def is_settled(self) -> bool:
        """Whether its images are what it is for, and no longer made to draw better ones from."""
        return True

    def meet(
        self,
        measurements: Shaped[Tensor, "m c *entries"],
        weights: Float[Tensor, "m c *entries"],
        noise_level: Float[Tensor, "c"] | None,
        noise_spectrum: Float[np.ndarray, "a b"] | None,
    ) -> None:
        """Get to know what the members are to be fitted to, and its noise, before the first step; most generators need not."""

    def forward(self) -> Float[Tensor, "m c *spatial"]:
        """Return each member's image, values around [0, 1]."""
        raise NotImplementedError

    def targets(self, measurements: Shaped[Tensor, "m c *entries"]) -> Shaped[Tensor, "m c *entries"]:
        """Return what the images of the last forward pass are to be near: the measurements, unless they were part of its input."""
        return measurements

    def follow(self, step: int, averages: Float[Tensor, "m c *spatial"]) -> None:
        """Take note of a step that was taken, and of the running average of each member's images."""

    def dead_fraction(self) -> float:
        """Return the largest share, over members and hidden layers, of channels that are the same at every pixel."""
        raise NotImplementedError
