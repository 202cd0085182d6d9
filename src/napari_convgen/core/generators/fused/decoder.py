"""The deep decoder, evaluated and differentiated block by block without a tensor of all channels on the finest grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.generators.deep_decoder import DeepDecoder
from napari_convgen.core.generators.fused.grid import grids
from napari_convgen.core.generators.fused.passes import Block, Passes, norm_gradient
from napari_convgen.core.generators.fused.products import Products
from napari_convgen.core.generators.generator import Generator


class FusedDecoder(Generator):
    """A faster deep decoder with the same outputs, parameters and gradients; each pass computes all members of an ensemble.

    It allocates the memory of a step once: the tensor of each layer before upsampling, and one scratch tensor as large as the largest of
    these. Everything else that the backward pass needs is computed again.

    Parameters
    ----------
    decoder
        Plain decoder; the fused one uses its parameters in place.
    passes
        Backend for the passes over a layer.
    products
        Backend for the matrix products.
    """

    def __init__(self, decoder: DeepDecoder, passes: Passes, products: Products) -> None:
        super().__init__()
        self.decoder = decoder
        self.passes = passes
        self.products = products
        self.grids = grids(decoder.sizes, decoder.kernel)
        self._low1 = 0.0 if decoder.order == "relu-norm" else -math.inf
        self._allocate()
        self._blocks: list[Block] = []

    def forward(self) -> Float[Tensor, "m c *spatial"]:
        """Return each member's image, as the decoder would."""
        flat: Tensor = _Whole.apply(self, *self.decoder.parameters())  # type: ignore[no-untyped-call]
        return self.decoder.to_image(flat.unflatten(-1, self.decoder.sizes[-1]))

    @torch.no_grad()
    def dead_fraction(self) -> float:
        """Return the largest share, over members and hidden layers, of channels that are the same at every pixel."""
        self._evaluate()
        layers = zip(self._z, self._blocks, strict=True)
        return max(float(_is_dead(z, block).float().mean(1).max()) for z, block in layers)

    def layer_weights(self) -> Mapping[str, Sequence[Tensor]]:
        """Return the convolution weights of each layer, one tensor a member."""
        return self.decoder.layer_weights()

    def _apply(self, *arguments: Any, **options: Any) -> Self:
        """Move the parameters, as `to` and others do, and take the memory of a step where they are then."""
        super()._apply(*arguments, **options)  # type: ignore[no-untyped-call]
        self._allocate()
        return self

    def _allocate(self) -> None:
        latent = self.decoder.latent.flatten(1, -2)
        m, _, k = latent.shape
        self._z = [latent.new_empty(m, grid.n_coarse, k) for grid in self.grids]
        self._scratch = latent.new_empty(max(z.numel() for z in self._z))

    def _evaluate(self) -> Tensor:
        """Return the outputs before the range map, ``(m, n_outputs, n_pixels)``; keep z and norm of each layer for `_differentiate`."""
        decoder = self.decoder
        x = decoder.latent.flatten(1, -2)
        self._blocks = []
        for i, (grid, z) in enumerate(zip(self.grids, self._z, strict=True)):
            self.products.multiply(x, decoder.convolutions[i], z)
            mean, variance = self.passes.moments(z, grid, self._low1)
            block = Block.of(self._low1, mean, variance, decoder.norm_scales[i], decoder.norm_offsets[i])
            self._blocks.append(block)
            if i + 1 < len(self.grids):
                x = self._in_scratch(grid.n_fine)
                self.passes.features(z, grid, block, x)
        weights = decoder.output_convolution.mT.contiguous()
        out = z.new_empty(*weights.shape[:2], grid.n_fine)
        self.passes.output(z, grid, block, weights, out)
        return out

    def _differentiate(self, g: Tensor) -> dict[Tensor, Tensor]:
        """Return the gradient of each parameter, given that of the outputs; it overwrites what `_evaluate` kept."""
        decoder, passes = self.decoder, self.passes
        gradients: dict[Tensor, Tensor] = {}
        for i in reversed(range(len(self.grids))):
            grid, z, block = self.grids[i], self._z[i], self._blocks[i]
            gz = self._in_scratch(grid.n_coarse)
            if i == len(self.grids) - 1:
                weights = decoder.output_convolution.mT.contiguous()
                sums = passes.output_sums(z, grid, block, g, weights, gz)
                by_weights = block.a[:, None] * sums[:, 1] + block.b[:, None] * sums[:, 0]
                gradients[decoder.output_convolution] = by_weights.mT.to(g.dtype)
                slope, by_scale, by_offset = norm_gradient(block, (sums * weights[:, None]).sum(2), grid.n_fine)
                passes.output_adjoint(z, grid, block, slope, g, weights, gz)
            else:
                sums = passes.feature_sums(z, grid, block, g, gz)
                slope, by_scale, by_offset = norm_gradient(block, sums, grid.n_fine)
                passes.feature_adjoint(z, grid, block, slope, g, gz)
            gradients[decoder.norm_scales[i]] = by_scale
            gradients[decoder.norm_offsets[i]] = by_offset
            if i == 0:
                x = decoder.latent.flatten(1, -2)
                gradients[decoder.convolutions[0]] = self.products.inner(x, gz)
                break
            # z is not needed any more: its memory is reused for the input of the layer, computed again, and then for the gradient of that.
            passes.features(self._z[i - 1], self.grids[i - 1], self._blocks[i - 1], z)
            gradients[decoder.convolutions[i]] = self.products.inner(z, gz)
            self.products.multiply(gz, decoder.convolutions[i].mT, z)
            g = z
        self._blocks = []
        return gradients

    def _in_scratch(self, n_pixels: int) -> Tensor:
        """Return the scratch memory as a tensor with ``n_pixels`` pixels of each member."""
        m, _, k = self._z[0].shape
        return self._scratch[: m * n_pixels * k].view(m, n_pixels, k)


def _is_dead(z: Tensor, block: Block) -> Tensor:
    """Return True for each channel whose features are all equal; upsampled values stay within the range of the coarse ones."""
    low, high = (block.a * extreme.clamp_min(block.low1) + block.b for extreme in (z.amin(1), z.amax(1)))
    return low.clamp_min(block.low2) == high.clamp_min(block.low2)


class _Whole(torch.autograd.Function):
    """The decoder from its parameters to its outputs as one operation."""

    @staticmethod
    def forward(ctx: Any, fused: FusedDecoder, *parameters: Tensor) -> Tensor:
        output = fused._evaluate()
        ctx.fused, ctx.blocks = fused, fused._blocks
        ctx.save_for_backward(*parameters)  # PyTorch then reports parameters that change before the backward pass
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        fused: FusedDecoder = ctx.fused
        _ = ctx.saved_tensors
        if ctx.blocks is not fused._blocks:
            raise RuntimeError("A fused decoder can be differentiated once, before it is evaluated again.")
        gradients = fused._differentiate(g.contiguous())
        return (None, *(gradients[parameter] for parameter in fused.decoder.parameters()))
