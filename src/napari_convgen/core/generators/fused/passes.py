r"""What the fused block needs of a backend: a few passes over a coarse tensor.

With ``u = U z`` on the fine grid, which is never written, a pass computes one of

.. math:: r = \max(u, l_1), \\quad f = \max(a r + b, l_2),

the sums over pixels that the channel norm and its gradient need, or the gradient with respect to z. The bounds say which
side of the norm the ReLU is on: one is 0, the other −∞.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from napari_convgen.core.generators.fused.grid import Grid

EPSILON = 1e-5
"""Added to the variance by the channel norm."""


@dataclass(frozen=True)
class Block:
    """Channel norm and ReLU of one layer, at given moments. Each tensor has a number for each member and channel, ``(m, k)``.

    Attributes
    ----------
    low1, low2
        Bounds ``l1`` and ``l2``.
    a, b
        Slope and intercept of the norm.
    mean, deviation
        Of ``r`` over the pixels, in double precision.
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
        """Set the norm up from the moments of ``r``."""
        deviation = (variance + EPSILON).sqrt()
        a = scale / deviation
        b = offset - a * mean
        return cls(low1, -math.inf if low1 == 0 else 0.0, a.to(scale.dtype), b.to(scale.dtype), mean, deviation, scale)


@dataclass(frozen=True)
class Slope:
    """What the moments' own dependence on ``r`` adds to its gradient: ``constant + linear * (r - mean)``, ``(m, k)`` each."""

    constant: Tensor
    linear: Tensor


def norm_gradient(block: Block, sums: Tensor, n_pixels: int) -> tuple[Slope, Tensor, Tensor]:
    """Return the slope, and the gradients with respect to the norm's scale and offset.

    Parameters
    ----------
    block
        The layer.
    sums
        Over the pixels, of the gradient with respect to ``a r + b``, and of that times ``r``: ``(m, 2, k)``.
    n_pixels
        Of the fine grid.
    """
    plain, weighted = sums.unbind(1)
    centered = weighted - block.mean * plain
    linear = -block.scale * centered / (n_pixels * block.deviation**3)
    constant = -block.scale * plain / (n_pixels * block.deviation)
    dtype = block.a.dtype
    return Slope(constant, linear), (centered / block.deviation).to(dtype), plain.to(dtype)


class Passes(Protocol):
    """The passes over a layer's ``z``: a tensor ``(m, n_coarse, k)`` of m members, contiguous, in place on one device.

    Features and their gradients are ``(m, n_fine, k)``, outputs and theirs ``(m, n_outputs, n_fine)``, weights of the outputs
    ``(m, n_outputs, k)``. What is written goes to the last argument. Sums come in double precision. A sum is taken in the same
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

        What ``out`` gets is for `output_adjoint` to complete.
        """

    def feature_sums(self, z: Tensor, grid: Grid, block: Block, g: Tensor, out: Tensor) -> Tensor:
        """Return the same for a gradient of the features, ``(m, 2, k)``; `feature_adjoint` completes ``out``."""

    def output_adjoint(
        self, z: Tensor, grid: Grid, block: Block, slope: Slope, g: Tensor, weights: Tensor, out: Tensor
    ) -> None:
        """Write the gradient with respect to z, given that of the outputs."""

    def feature_adjoint(self, z: Tensor, grid: Grid, block: Block, slope: Slope, g: Tensor, out: Tensor) -> None:
        """Write the gradient with respect to z, given that of the features."""
