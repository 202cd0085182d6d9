"""How much memory a fit takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from napari_convgen.core.generators.deep_decoder import grid_sizes
from napari_convgen.core.generators.skip import Padding, scale_widths, widths_up

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


def skip_bytes(
    size: Sequence[int],
    n_outputs: int,
    *,
    n_members: int,
    n_channels: int,
    n_fine_channels: int,
    n_scales: int,
    n_skip_channels: int,
    n_inputs: int,
    has_dropout: bool = False,
    padding: Padding = "zeros",
    itemsize: int = 4,
) -> int:
    """Return about how many bytes a step of a skip network takes at its peak, the optimizer's among them.

    Parameters
    ----------
    size, n_outputs, n_channels, n_fine_channels, n_scales, n_skip_channels
        As for the network.
    n_inputs
        Channels of what it draws from: the latent, or the image.
    n_members
        Nets, whose hidden tensors are all alive at once.
    has_dropout
        Whether values are dropped.
    padding
        As for the network; what is reflected is copied.
    itemsize
        Bytes of a hidden value.
    """
    pixels = [math.prod(grid) for grid in reversed(grid_sizes(size, n_scales))]
    widths = scale_widths(n_channels, n_fine_channels, n_scales)
    hidden = n_weights = 0
    n_in = n_inputs
    for n, n_up, n_fine, n_coarse in zip(widths, widths_up(widths), pixels[:-1], pixels[1:], strict=True):
        n_joined = n_skip_channels + n
        # Autograd keeps what goes into each norm and what comes out.
        hidden += 2 * n_fine * (n_skip_channels + n_joined + n + n_up) + 2 * n_coarse * 2 * n
        hidden += n_fine * n_joined * has_dropout
        if padding == "reflection":
            hidden += n_fine * (n_in + n_joined) + n_coarse * n
        n_weights += n_in * n_skip_channels + 3 ** len(size) * n * (n_in + n + n_joined) + n * n_up
        n_in = n
    gradients = 3 * pixels[0] * (n_skip_channels + n_fine_channels)
    copied = n_fine_channels if itemsize < 4 else 0  # the last convolution is not rounded
    finest = 4 * pixels[0] * (copied + 2 * n_inputs + N_IMAGES * n_outputs)
    return n_members * (itemsize * hidden + finest + 4 * N_WEIGHT_COPIES * n_weights) + itemsize * gradients
