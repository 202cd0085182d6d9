"""What the loop needs of a generator."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class Generator(nn.Module):
    """Several untrained networks of one architecture, the members, each with parameters and a latent of its own.

    Attributes
    ----------
    is_capturable
        Whether a step can be recorded as a CUDA graph: it takes no values from the host.
    """

    is_capturable = True

    def forward(self) -> Float[Tensor, "m c *spatial"]:
        """Return each member's image, values around [0, 1]."""
        raise NotImplementedError

    def dead_fraction(self) -> float:
        """Return the largest share, over members and hidden layers, of channels that are the same at every pixel."""
        raise NotImplementedError
