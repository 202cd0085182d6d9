"""Differences between neighboring pixels, along all axes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def gradient(image: Float[Tensor, "c *spatial"]) -> Float[Tensor, "axes c *spatial"]:
    """Return the differences to the next pixel along each axis; 0 at the last."""
    result = image.new_zeros((image.ndim - 1, *image.shape))
    for axis in range(1, image.ndim):
        n = image.shape[axis] - 1
        torch.sub(image.narrow(axis, 1, n), image.narrow(axis, 0, n), out=result[axis - 1].narrow(axis, 0, n))
    return result


def gradient_adjoint(dual: Float[Tensor, "axes c *spatial"]) -> Float[Tensor, "c *spatial"]:
    """Return the adjoint of `gradient`."""
    result = torch.zeros_like(dual[0])
    for axis in range(1, result.ndim):
        n = result.shape[axis] - 1
        part = dual[axis - 1].narrow(axis, 0, n)
        result.narrow(axis, 1, n).add_(part)
        result.narrow(axis, 0, n).sub_(part)
    return result
