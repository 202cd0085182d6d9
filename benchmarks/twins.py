"""The deep decoder made of PyTorch's own layers, with which the package is compared."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.generators.deep_decoder import ExtraLayer

EXTRA_LAYERS: tuple[ExtraLayer, ...] = ("none", "first", "last")
"""Places of a further hidden layer without upsampling: none in the paper's formula, the first or the last in the authors' code."""


class PlainDecoder(nn.Module):
    """A deep decoder of convolution, upsampling, ReLU and batch norm, channels first: the paper's formula, or the authors' network.

    The authors' network has one more hidden layer than the formula, without upsampling.

    Parameters
    ----------
    latent
        Fixed input of shape ``(1, k, *spatial)`` with two or three spatial axes.
    n_outputs
        Number of output channels.
    is_upsampled
        True for each hidden layer that upsamples, in their order.
    inside
        The part of the last grid that is the image.
    """

    latent: Tensor

    def __init__(self, latent: Tensor, n_outputs: int, is_upsampled: Sequence[bool], inside: tuple[slice, ...]) -> None:
        super().__init__()
        self.inside = inside
        is_volume = latent.ndim == 5
        convolution = nn.Conv3d if is_volume else nn.Conv2d
        norm = nn.BatchNorm3d if is_volume else nn.BatchNorm2d
        mode = "trilinear" if is_volume else "bilinear"
        k = latent.shape[1]
        layers: list[nn.Module] = []
        for upsamples in is_upsampled:
            layers.append(convolution(k, k, 1, bias=False))
            if upsamples:
                layers.append(nn.Upsample(scale_factor=2, mode=mode, align_corners=False))
            layers += [nn.ReLU(), norm(k)]
        self.layers = nn.Sequential(*layers, convolution(k, n_outputs, 1, bias=False), nn.Sigmoid())
        self.register_buffer("latent", latent)

    def forward(self) -> Tensor:
        """Return the image of the only member, of shape ``(1, c, *spatial)``."""
        return self.layers(self.latent)[(..., *self.inside)]

    @classmethod
    def of(cls, decoder: DeepDecoder) -> Self:
        """Return the twin of a decoder, with the same start.

        The decoder has one member, the order of the formula, a linear kernel and a sigmoid.
        """
        assert len(decoder.latent) == 1
        assert (decoder.order, decoder.kernel, decoder.output_map) == ("relu-norm", "linear", "sigmoid")
        latent = decoder.latent.movedim(-1, 1).clone(memory_format=torch.contiguous_format)
        n_outputs = decoder.output_convolution.shape[2]
        is_upsampled = [a != b for a, b in itertools.pairwise(decoder.sizes)]
        twin = cls(latent, n_outputs, is_upsampled, decoder.inside).to(latent)
        convolutions = [layer for layer in twin.layers if isinstance(layer, nn.Conv2d | nn.Conv3d)]
        norms = [layer for layer in twin.layers if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d)]
        with torch.no_grad():
            for layer, matrix in zip(convolutions, [*decoder.convolutions, decoder.output_convolution], strict=True):
                layer.weight.copy_(matrix[0].t().reshape(layer.weight.shape))
            for layer, scale, offset in zip(norms, decoder.norm_scales, decoder.norm_offsets, strict=True):
                layer.weight.copy_(scale[0])
                layer.bias.copy_(offset[0])
        return twin


def check_twins() -> None:
    """Assert that twins are the same functions: their images agree in double precision, also after a step of gradient descent."""
    for size in [(32, 48), (16, 24, 40)]:
        for extra_layer in EXTRA_LAYERS:
            decoder = DeepDecoder(
                size,
                2,
                n_channels=8,
                n_scales=3,
                rngs=[torch.Generator().manual_seed(0)],
                extra_layer=extra_layer,
                dtype=torch.float64,
            )
            twin = PlainDecoder.of(decoder)
            torch.testing.assert_close(twin(), decoder())
            for generator in (decoder, twin):
                generator().square().mean().backward()
                torch.optim.SGD(generator.parameters(), lr=1).step()
            torch.testing.assert_close(twin(), decoder())
