"""The deep decoder: an under- or over-parameterized generator without learned convolution kernels.

References
----------
Heckel and Soltanolkotabi, "Denoising and Regularization via Exploiting the Structural Bias of Convolutional Generators",
ICLR 2020, section 1.1; Heckel and Hand, "Deep Decoder", ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from napari_convgen.core.generators.upsampling import half_size, upsample

Order = Literal["relu-norm", "norm-relu"]
OutputMap = Literal["sigmoid", "linear"]
NormInit = Literal["ones", "uniform"]

LATENT_SCALE = 0.1
"""The latent is uniform in [0, 0.1], as in the authors' code."""


class DeepDecoder(nn.Module):
    r"""Fixed upsampling, 1×1 convolutions, ReLU and channel normalization.

    With :math:`B_0` the fixed random latent and channels as columns,

    .. math:: B_{i+1} = \mathrm{cn}(\mathrm{ReLU}(U_i B_i C_i)), \quad x = \rho(B_d C_{d+1}),

    where :math:`U_i` doubles the grid with a fixed kernel, :math:`\mathrm{cn}` gives each channel zero mean and unit variance over
    the pixels and then a learned scale and offset, and :math:`\rho` is the output range map. A 1×1 convolution commutes
    with the upsampling, so it is done before, on a quarter of the pixels.

    Parameters
    ----------
    size
        Spatial shape of the image, 1 to 3 axes of any length, odd and prime ones included.
    n_outputs
        Output channels.
    n_channels
        Channels ``k`` of every hidden layer.
    n_scales
        Upsamplings ``d``. The latent's grid is ``size`` halved ``d`` times, rounded up; 16 pixels is usual.
    rng
        Source of the latent and the initial weights, on the CPU whatever the device, so that a seed means one start.
    order
        ``"relu-norm"`` as in the formula, or ``"norm-relu"`` as in the paper's Table 1.
    output_map
        ``"sigmoid"``, or ``"linear"``: the sigmoid's tangent, ``1/2 + x/4``.
    has_full_resolution_layer
        Add one hidden layer without upsampling before the output, as the authors' code has and the formula has not.
    norm_init
        Initial scale of the channel norm: ``"ones"``, or ``"uniform"`` in [0, 1] as in the torch of the paper's time.
    kernel
        Upsampling kernel, see `napari_convgen.core.generators.upsampling.KERNELS`.
    dtype
        Of the weights.
    """

    latent: Tensor

    def __init__(
        self,
        size: Sequence[int],
        n_outputs: int,
        *,
        n_channels: int,
        n_scales: int,
        rng: torch.Generator,
        order: Order = "relu-norm",
        output_map: OutputMap = "sigmoid",
        has_full_resolution_layer: bool = False,
        norm_init: NormInit = "ones",
        kernel: str = "linear",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.sizes = grid_sizes(size, n_scales)
        self.order, self.output_map, self.kernel = order, output_map, kernel

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            draw = torch.rand(shape, generator=rng, dtype=torch.float64)
            return (low + (high - low) * draw).to(dtype)

        k = n_channels
        n_hidden = n_scales + has_full_resolution_layer
        bound = k**-0.5  # PyTorch's default for a convolution with k inputs
        self.register_buffer("latent", uniform(0, LATENT_SCALE, *self.sizes[0], k))
        self.convolutions = nn.ParameterList(uniform(-bound, bound, k, k) for _ in range(n_hidden))
        self.norm_scales = nn.ParameterList(
            torch.ones(k, dtype=dtype) if norm_init == "ones" else uniform(0, 1, k) for _ in range(n_hidden)
        )
        self.norm_offsets = nn.ParameterList(torch.zeros(k, dtype=dtype) for _ in range(n_hidden))
        self.output_convolution = nn.Parameter(uniform(-bound, bound, k, n_outputs))

    def forward(self) -> Float[Tensor, "c *spatial"]:
        """Return the image: output channels first, values around [0, 1]."""
        return self.to_range((self._features()[-1] @ self.output_convolution).movedim(-1, 0))

    def to_range(self, x: Tensor) -> Tensor:
        """Apply the output range map."""
        return torch.sigmoid(x) if self.output_map == "sigmoid" else 0.5 + x / 4

    @torch.no_grad()
    def dead_fraction(self) -> float:
        """Return the largest share, over hidden layers, of channels that are the same at every pixel."""
        dead = [
            (features.flatten(0, -2).amax(0) == features.flatten(0, -2).amin(0)).float().mean()
            for features in self._features()
        ]
        return max(float(share) for share in dead)

    def _features(self) -> list[Tensor]:
        """The hidden tensors B_1 … B_d, channels last."""
        x, features = self.latent, []
        for i, (convolution, scale, offset) in enumerate(
            zip(self.convolutions, self.norm_scales, self.norm_offsets, strict=True)
        ):
            x = x @ convolution
            if i + 1 < len(self.sizes):
                x = upsample(x, self.sizes[i + 1], self.kernel)
            if self.order == "relu-norm":
                x = channel_norm(F.relu_(x), scale, offset)
            else:
                x = F.relu(channel_norm(x, scale, offset))
            features.append(x)
        return features


def grid_sizes(size: Sequence[int], n_scales: int) -> list[tuple[int, ...]]:
    """Return the spatial shapes from the latent's grid to the image's, ``size``."""
    sizes = [tuple(size)]
    for _ in range(n_scales):
        sizes.insert(0, half_size(sizes[0]))
    return sizes


def channel_norm(
    x: Float[Tensor, "*spatial k"], scale: Float[Tensor, "k"], offset: Float[Tensor, "k"]
) -> Float[Tensor, "*spatial k"]:
    """Give each channel zero mean and unit variance over the pixels (biased, ε = 1e-5), then ``scale`` and ``offset``."""
    k = x.shape[-1]
    # One batch of one image in PyTorch's channels-last format: the library's fast path for this memory order.
    image = x.reshape(1, -1, 1, k).permute(0, 3, 1, 2)
    normed = F.batch_norm(image, None, None, scale, offset, training=True, eps=1e-5)
    return normed.permute(0, 2, 3, 1).reshape(x.shape)
