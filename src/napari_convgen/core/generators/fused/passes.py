r"""The passes over a coarse tensor that a backend of the fused block provides.

Let ``u = U z`` be the upsampled tensor on the fine grid, which is never stored. A pass computes either

.. math:: r = \max(u, l_1), \\quad f = \max(a r + b, l_2),

or the sums over pixels that the channel norm and its gradient need, or the gradient with respect to z. One bound is 0 and the other −∞:
:math:`l_1 = 0` puts the ReLU before the norm, :math:`l_2 = 0` after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from napari_convgen.core.generators.fused.grid import Grid

EPSILON = 1e-5
"""Constant that the channel norm adds to the variance, the default of `torch.nn.BatchNorm2d`."""


@dataclass(frozen=True)
class Block:
    """Channel norm and ReLU of one layer, for given moments. Each tensor has a value for each member and channel, ``(m, k)``.

    Attributes
    ----------
    low1, low2
        Bounds ``l1`` and ``l2``.
    a, b
        Slope and intercept of the norm.
    mean, deviation
        Mean and standard deviation of ``r`` over the pixels, in double precision.
    scale
        Learned scale of the norm.
    """

    low1: float
    low2: float
    a: Tensor
    b: Tensor
    mean: Tensor
    deviation: Tensor
    scale: Tensor

    @classmethod
    def of(cls, low1: float, mean: Tensor, variance: Tensor, scale: Tensor, offset: Tensor) -> Block:
        """Return the norm for the moments of ``r``."""
        deviation = (variance + EPSILON).sqrt()
        a = scale / deviation
        b = offset - a * mean
        return cls(low1, -math.inf if low1 == 0 else 0.0, a.to(scale.dtype), b.to(scale.dtype), mean, deviation, scale)


@dataclass(frozen=True)
class Slope:
    """The part of the gradient of ``r`` that comes through the moments: ``constant + linear * (r - mean)``, each ``(m, k)``."""

    constant: Tensor
    linear: Tensor


def norm_gradient(block: Block, sums: Tensor, n_pixels: int) -> tuple[Slope, Tensor, Tensor]:
    """Return the slope, and the gradients with respect to the norm's scale and offset.

    Parameters
    ----------
    block
        Norm of the layer.
    sums
        Sums over the pixels of the gradient with respect to ``a r + b``, and of its product with ``r``: ``(m, 2, k)``.
    n_pixels
        Number of pixels of the fine grid.
    """
    plain, weighted = sums.unbind(1)
    centered = weighted - block.mean * plain
    linear = -block.scale * centered / (n_pixels * block.deviation**3)
    constant = -block.scale * plain / (n_pixels * block.deviation)
    dtype = block.a.dtype
    return Slope(constant, linear), (centered / block.deviation).to(dtype), plain.to(dtype)


class Passes(Protocol):
    """The passes over the tensor ``z`` of a layer: ``(m, n_coarse, k)`` for m members and k channels, contiguous.

    Features and their gradients are ``(m, n_fine, k)``, outputs and their gradients ``(m, n_outputs, n_fine)``, weights of the outputs
    ``(m, n_outputs, k)``. Results are written to the last argument. Sums are returned in double precision. They are added in the same
    order every time, whatever the other members.
    """

    def moments(self, z: Tensor, grid: Grid, low: float) -> tuple[Tensor, Tensor]:
        """Return mean and variance of ``max(u, low)`` over the fine pixels, ``(m, k)`` each."""

    def features(self, z: Tensor, grid: Grid, block: Block, out: Tensor) -> None:
        """Write ``f``."""

    def output(self, z: Tensor, grid: Grid, block: Block, weights: Tensor, out: Tensor) -> None:
        """Write the sums over channels of the weights times ``f``."""

    def output_sums(self, z: Tensor, grid: Grid, block: Block, g: Tensor, weights: Tensor, out: Tensor) -> Tensor:
        """Return, ``(m, 2, n_outputs, k)``, the sums of ``m g`` and of ``m g r``; m is 1 where ``a r + b > low2``, else 0.

        ``out`` holds an intermediate result that `output_adjoint` completes.
        """

    def feature_sums(self, z: Tensor, grid: Grid, block: Block, g: Tensor, out: Tensor) -> Tensor:
        """Return the same sums for a gradient of the features, ``(m, 2, k)``; `feature_adjoint` completes ``out``."""

    def output_adjoint(
        self, z: Tensor, grid: Grid, block: Block, slope: Slope, g: Tensor, weights: Tensor, out: Tensor
    ) -> None:
        """Write the gradient with respect to z, given that of the outputs."""

    def feature_adjoint(self, z: Tensor, grid: Grid, block: Block, slope: Slope, g: Tensor, out: Tensor) -> None:
        """Write the gradient with respect to z, given that of the features."""
