"""Generators with other convolutions than the decoder's: fixed ones without upsampling, learned ones, and transposed ones.

References
----------
Heckel and Soltanolkotabi, "Denoising and Regularization via Exploiting the Structural Bias of Convolutional Generators",
ICLR 2020, appendix B; Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks", ICLR 2016 (the transposed convolutions).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_convgen.core.generators.grids import Size, grid_sizes, strides
from napari_convgen.core.generators.layers import (
    CONVOLUTIONS,
    LayeredNetwork,
    NormInit,
    SeparateNetworks,
    Start,
    layered_memory_bytes,
    mirrored,
    reflect,
)

Convolution = Literal["fixed", "learned", "transposed"]

WIDTHS: dict[Convolution, int] = {"fixed": 1, "learned": 3, "transposed": 4}
"""Number of learned weights along each axis."""

FIXED_TAPS = (0.25, 0.75, 0.75, 0.25)
"""The kernel of linear upsampling along an axis. It sums to two, as in the authors' code, where the image then has four times the gain."""

_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class ConvolutionalGenerator(SeparateNetworks):
    r"""Layers of one kind of convolution :math:`T_i`, each with ReLU and channel normalization; then a 1×1 convolution and a sigmoid.

    .. math:: B_{i+1} = \mathrm{cn}(\mathrm{ReLU}(T_i B_i)), \quad x = \mathrm{sigmoid}(B_n c),

    of the fixed random latent :math:`B_0`, uniform in [0, 0.1]. No convolution has an offset. With k channels, n layers, c outputs and w
    learned weights of a convolution between two channels there are :math:`n (w k^2 + 2 k) + k c` parameters. On a gray image of
    256² pixels that is, over the pixels:

    ============== ======== ==== ================== ====================
    convolution    n        w    channels           parameters per pixel
    ============== ======== ==== ================== ====================
    ``fixed``      4        1    128, 256, 512      1.02, 4.04, 16.1
    ``learned``    5        9    42, 85, 170        1.22, 4.98, 19.9
    ``transposed`` 3        16   42, 85, 170        1.30, 5.30, 21.2
    ============== ======== ==== ================== ====================

    Parameters
    ----------
    size
        Spatial shape of the image, 1 to 3 axes.
    n_outputs
        Number of channels of the image.
    convolution
        Convolution of a hidden layer. ``"fixed"``: the kernel of linear upsampling, (1, 3, 3, 1) along each axis, but without
        upsampling, then a learned 1×1 convolution. ``"learned"``: 3×3. Both are on the image's grid, which is reflected at its edges; the
        authors' fixed kernel takes one more row and column of zeros instead. ``"transposed"``: 4×4 with stride 2, so that each layer
        doubles the grid, as in the generator of DC-GAN; with stride 1 along an axis that is not halved, see
        `napari_convgen.core.generators.grids`.
    n_channels
        Number of channels ``k`` of every hidden layer.
    n_layers
        Number of hidden layers ``n``.
    rngs
        Source of chance of each member, for its latent and its initial weights; on the CPU whatever the device.
    norm_init
        Initial scale of the channel norm: ``"ones"`` (default), or ``"uniform"`` in [0, 1] as in the PyTorch of the paper's time.
    spacing
        Distance between neighboring pixels along each axis, in a common unit; ``None``, the default, if it is the same along all.
    dtype
        Type of the weights; float32 by default.
    """

    def __init__(
        self,
        size: Sequence[int],
        n_outputs: int,
        *,
        convolution: Convolution,
        n_channels: int,
        n_layers: int,
        rngs: Sequence[torch.Generator],
        norm_init: NormInit = "ones",
        spacing: Sequence[float] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        sizes = layer_grids(size, convolution, n_layers, spacing)
        super().__init__(
            _Member(sizes, n_outputs, convolution, n_channels, norm_init, Start(rng, dtype)) for rng in rngs
        )


def layer_grids(
    size: Sequence[int], convolution: Convolution, n_layers: int, spacing: Sequence[float] | None = None
) -> list[Size]:
    """Return the spatial shapes of the latent and of each hidden layer's output."""
    return grid_sizes(size, n_layers, spacing) if convolution == "transposed" else [tuple(size)] * (n_layers + 1)


def memory_bytes(
    size: Sequence[int],
    n_outputs: int,
    *,
    n_members: int,
    convolution: Convolution,
    n_channels: int,
    n_layers: int,
    spacing: Sequence[float] | None = None,
    **_: Any,
) -> int:
    """Return about how many bytes a step of a fit takes at its peak."""
    sizes = layer_grids(size, convolution, n_layers, spacing)
    return layered_memory_bytes(sizes, n_outputs, n_members=n_members, n_channels=n_channels, width=WIDTHS[convolution])


class _Member(LayeredNetwork):
    def __init__(
        self,
        sizes: Sequence[Size],
        n_outputs: int,
        convolution: Convolution,
        n_channels: int,
        norm_init: NormInit,
        start: Start,
    ) -> None:
        super().__init__(sizes, n_outputs, n_channels, WIDTHS[convolution], norm_init, "sigmoid", start)
        self.convolution = convolution
        axes = enumerate(sizes[0], 2) if convolution == "fixed" else ()
        self.smoothings = nn.Sequential(*(Smoothing(axis, n, start.dtype) for axis, n in axes))

    def convolved(self, x: Tensor, weights: Tensor, size: Size) -> Tensor:
        """Convolve by the chosen kind."""
        n_axes = len(size)
        if self.convolution == "transposed":
            x = _TRANSPOSED[n_axes](x, weights, stride=strides(x.shape[2:], size), padding=1)
            for axis, n in enumerate(size, 2):
                x = x.narrow(axis, 0, n)  # an odd size, and stride 1, drop the last sample
            return x
        x = self.smoothings(x) if self.convolution == "fixed" else reflect(x, 1, 1)
        return CONVOLUTIONS[n_axes](x, weights)


class Smoothing(nn.Module):
    """The fixed kernel along an axis of n samples, whose ends are reflected; two of its taps lie before a sample, and one after.

    It is a matrix product: on grids of some hundred samples faster than sums of shifted slices.
    """

    matrix: Tensor

    def __init__(self, axis: int, n: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.axis = axis
        matrix = torch.zeros(n, n, dtype=dtype)
        for after in range(n):
            for offset, tap in zip(range(-2, 2), FIXED_TAPS, strict=True):
                matrix[mirrored(after + offset, n), after] += tap
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        return (x.movedim(self.axis, -1) @ self.matrix).movedim(-1, self.axis)
