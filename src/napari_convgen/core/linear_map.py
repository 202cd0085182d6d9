"""Linear maps known by what they do, not by a matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class LinearMap:
    """A linear map between tensors, with its adjoint.

    Attributes
    ----------
    apply
        From a tensor of ``in_shape`` to one of ``out_shape``.
    adjoint
        The way back: ``(apply(x) * y).sum() == (x * adjoint(y)).sum()``.
    in_shape, out_shape
        Of the tensors.
    """

    apply: Callable[[Tensor], Tensor]
    adjoint: Callable[[Tensor], Tensor]
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]

    def matrix(self, like: Tensor) -> Float[Tensor, "n_out n_in"]:
        """Return the matrix, column by column, in the dtype and on the device of ``like``; for small maps."""
        n_in = math.prod(self.in_shape)
        columns = (self.apply(unit.view(self.in_shape)).flatten() for unit in torch.eye(n_in).to(like))
        return torch.stack(list(columns), 1)

    def dot_error(self, like: Tensor, rng: torch.Generator) -> float:
        """Return how far the adjoint is from one: ``|<Ax, y> - <x, A'y>| / (|Ax| |y|)`` for random x and y."""
        x, y = (torch.randn(shape, generator=rng).to(like) for shape in (self.in_shape, self.out_shape))
        forward, back = self.apply(x), self.adjoint(y)
        difference = (forward * y).sum() - (x * back).sum()
        return float(difference.abs() / (forward.norm() * y.norm()))
