"""The two-layer generator of the paper's theory.

References
----------
Heckel and Soltanolkotabi, "Denoising and Regularization via Exploiting the Structural Bias of Convolutional Generators",
ICLR 2020, equation 1 and section 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from napari_convgen.core.generators.generator import FLOAT_BYTES, N_IMAGES, N_WEIGHT_COPIES, Generator
from napari_convgen.errors import ConfigError


class TwoLayer(Generator):
    r"""Independent networks, the members, of one hidden layer with a fixed convolution.

    .. math:: G(C) = \mathrm{ReLU}(UC)v, \quad v = (1, \dots, 1, -1, \dots, -1) / \sqrt k,

    where U is the circular convolution with a kernel and the columns of C are learned. There is no output range map: values are
    around zero, so that the theory's formulas hold as they stand.

    The parameters ``weights`` are ``(m, *spatial, k)``. A member has the same bits as a generator of this member alone.

    Parameters
    ----------
    kernel
        Kernel of the fixed convolution, of the image's shape, with its origin at the first sample; see
        `napari_convgen.core.theory.kernels`. Weights have its dtype.
    n_channels
        Number of channels k, even.
    weight_scale
        Standard deviation :math:`\omega` of the initial weights. The first image has the mean square
        :math:`\omega^2\|u\|^2 (1 - 1/\pi)/2`, which the theory needs to be small beside the measurement's; a tenth of the measurement's
        root mean square does.
    rngs
        Source of chance of each member, for its initial weights; on the CPU whatever the device.

    Raises
    ------
    ConfigError
        The number of channels is odd or less than 2.
    """

    transfer: Tensor
    output_weights: Tensor

    def __init__(
        self,
        kernel: Float[Tensor, "*spatial"],
        *,
        n_channels: int,
        weight_scale: float,
        rngs: Sequence[torch.Generator],
    ) -> None:
        super().__init__()
        if n_channels < 2 or n_channels % 2:
            raise ConfigError(
                f"A two-layer generator's number of channels must be even, got {n_channels}. Give 2, 4, 6, …."
            )
        self.size = tuple(kernel.shape)
        self.register_buffer("transfer", torch.fft.rfftn(kernel)[..., None])
        sign = torch.ones(n_channels, dtype=kernel.dtype)
        sign[n_channels // 2 :] = -1
        self.register_buffer("output_weights", sign / n_channels**0.5)
        shape = (*self.size, n_channels)
        draws = [torch.randn(shape, generator=rng, dtype=torch.float64).to(kernel.dtype) for rng in rngs]
        self.weights = nn.Parameter(weight_scale * torch.stack(draws))

    def forward(self) -> Float[Tensor, "m 1 *spatial"]:
        """Return each member's image, values around zero."""
        return torch.stack([(x.relu() @ self.output_weights)[None] for x in self._hidden()])

    @torch.no_grad()
    def dead_fraction(self) -> float:
        """Return the largest share, over members, of hidden channels that are the same at every pixel."""
        features = [x.relu().flatten(0, -2) for x in self._hidden()]
        return max(float((x.amax(0) == x.amin(0)).float().mean()) for x in features)

    def layer_weights(self) -> Mapping[str, Sequence[Tensor]]:
        """Return the learned weights of the only layer, one tensor a member."""
        return {"layer 1": self.weights.unbind()}

    def _hidden(self) -> list[Tensor]:
        """Each member's UC."""
        axes = tuple(range(len(self.size)))
        return [
            torch.fft.irfftn(self.transfer * torch.fft.rfftn(member, dim=axes), s=self.size, dim=axes)
            for member in self.weights.unbind()
        ]


def memory_bytes(size: Sequence[int], n_outputs: int, *, n_members: int, n_channels: int, **_: Any) -> int:
    """Return about how many bytes a step of a fit takes at its peak.

    Beside the weights there are the hidden tensor before and after its ReLU of each member, and of one member two tensors of its
    Fourier transform, which has half as many complex numbers.
    """
    n_pixels = math.prod(size)
    values = (N_WEIGHT_COPIES + 2) * n_channels + N_IMAGES * n_outputs
    return FLOAT_BYTES * n_pixels * (n_members * values + 2 * n_channels)
