"""Total variation of an image, its channels together: the sum over the pixels of the length of the gradient."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.regularized.gradient import gradient, gradient_adjoint

N_INNER = 10
"""Steps on the dual problem for each proximal map, which begins where the one before ended."""


class TotalVariation:
    r"""The proximal map of isotropic total variation, by fast gradient steps on its dual.

    The gradient of a pixel is that of all channels together, so that edges of real and imaginary part lie at the same places.

    References
    ----------
    A. Beck, M. Teboulle, "Fast gradient-based algorithms for constrained total variation image denoising", IEEE TIP 18(11), 2009.
    """

    def __init__(self) -> None:
        self._dual: Tensor | None = None

    def __call__(self, image: Float[Tensor, "c *spatial"], weight: float) -> Float[Tensor, "c *spatial"]:
        """Return the image near ``image`` whose total variation, times the weight, is small."""
        n_axes = image.ndim - 1
        length = 1 / (4 * n_axes * weight)
        dual = torch.zeros((n_axes, *image.shape)).to(image) if self._dual is None else self._dual
        ahead, momentum = dual, 1.0
        for _ in range(N_INNER):
            new = _within_unit_length(ahead + length * gradient(image - weight * gradient_adjoint(ahead)))
            before, momentum = momentum, (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead, dual = new + (before - 1) / momentum * (new - dual), new
        self._dual = dual
        return image - weight * gradient_adjoint(dual)


def _within_unit_length(dual: Tensor) -> Tensor:
    return dual / dual.square().sum((0, 1)).sqrt().clamp_min(1)
