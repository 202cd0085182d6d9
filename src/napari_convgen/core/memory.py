"""How much memory a fit takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

N_IMAGES = 16
"""Images on the finest grid that a step has at once beside the generator: measurement, weights, average, their temporaries."""

N_WEIGHT_COPIES = 4
"""The weights, their gradient, and the two moments of Adam."""


class Layer(Protocol):
    """What is asked of a hidden layer."""

    @property
    def n_coarse(self) -> int:
        """Pixels before upsampling."""
        ...

    @property
    def n_fine(self) -> int:
        """Pixels after it."""
        ...


def fit_bytes(
    grids: Sequence[Layer], n_members: int, n_channels: int, n_outputs: int, *, is_fused: bool, itemsize: int = 4
) -> int:
    """Return about how many bytes a fit of a deep decoder takes at the peak of a step.

    Parameters
    ----------
    grids
        Of the hidden layers.
    n_members
        Nets that are fitted together.
    n_channels, n_outputs
        Channels of the hidden layers and of the image.
    is_fused
        Whether fused blocks compute the decoder, or PyTorch's own operations.
    itemsize
        Bytes of a value.
    """
    coarse, fine = [grid.n_coarse for grid in grids], [grid.n_fine for grid in grids]
    if is_fused:
        pixels = sum(coarse) + max(coarse)
    else:  # Autograd keeps two tensors of each layer, and the backward pass has a few more of the largest.
        pixels = 2 * sum(fine) + 3 * max(fine)
    weights = N_WEIGHT_COPIES * len(grids) * n_channels * (n_channels + 2)
    images = N_IMAGES * n_outputs * max(fine)
    return itemsize * n_members * (pixels * n_channels + weights + images)
