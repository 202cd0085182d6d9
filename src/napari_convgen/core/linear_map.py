"""Linear maps known by what they do, not by a matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Inexact
from torch import Tensor

from napari_convgen.core.operators.forward_model import ForwardModel


@dataclass(frozen=True, eq=False)
class LinearMap(ForwardModel):
    r"""A linear map :math:`A` between tensors, with its adjoint :math:`A^*`.

    A real tensor can be mapped to a complex one. The adjoint is then that of the real inner product,
    :math:`\mathrm{Re} \langle A x, y \rangle = \langle x, A^* y \rangle`.

    Attributes
    ----------
    adjoint
        Function from a tensor of shape ``out_shape`` to one of shape ``in_shape``.
    has_complex_input
        True if ``apply`` takes complex tensors; default False.
    """

    adjoint: Callable[[Tensor], Tensor]
    has_complex_input: bool = False

    def __matmul__(self, inner: LinearMap) -> LinearMap:
        """Return the composition: ``(A @ B).apply(x)`` is ``A.apply(B.apply(x))``.

        Raises
        ------
        ValueError
            The output of the inner map does not have the shape of this map's input.
        """
        if inner.out_shape != self.in_shape:
            raise ValueError(f"Maps cannot be composed: {inner.out_shape} comes out, {self.in_shape} goes in.")
        outer = self
        return LinearMap(
            lambda x: outer.apply(inner.apply(x)),
            inner.in_shape,
            outer.out_shape,
            lambda y: inner.adjoint(outer.adjoint(y)),
            inner.has_complex_input,
            entry_groups=outer.entry_groups,
            is_identity=outer.is_identity and inner.is_identity,
        )

    @classmethod
    def stack(cls, maps: Sequence[LinearMap]) -> LinearMap:
        """Return the map to the outputs of several maps, one after the other along the first axis.

        Parameters
        ----------
        maps
            One or more, of the same input shape, and of output shapes that differ in their first axis at most.

        Raises
        ------
        ValueError
            No map, or shapes that do not fit.
        """
        if not maps:
            raise ValueError("There are no maps to stack.")
        first = maps[0]
        if any(m.in_shape != first.in_shape or m.out_shape[1:] != first.out_shape[1:] for m in maps):
            raise ValueError(f"Maps cannot be stacked: their shapes are {[(m.in_shape, m.out_shape) for m in maps]}.")
        lengths = [m.out_shape[0] for m in maps]

        def adjoint(y: Tensor) -> Tensor:
            parts = [m.adjoint(part) for m, part in zip(maps, y.split(lengths), strict=True)]
            return torch.stack(parts).sum(0)

        return cls(
            lambda x: torch.cat([m.apply(x) for m in maps]),
            first.in_shape,
            (sum(lengths), *first.out_shape[1:]),
            adjoint,
            first.has_complex_input,
            entry_groups=first.entry_groups,
        )

    def matrix(self, like: Tensor) -> Inexact[Tensor, "n_out n_in"]:
        """Return the matrix, column by column; for small maps.

        Parameters
        ----------
        like
            Tensor of the dtype and on the device wanted.
        """
        n_in = math.prod(self.in_shape)
        columns = (self.apply(unit.view(self.in_shape)).flatten() for unit in torch.eye(n_in).to(like))
        return torch.stack(list(columns), 1)

    def norm(self, like: Tensor, rng: torch.Generator, tolerance: float = 1e-4, n_steps: int = 1000) -> float:
        """Return the largest factor by which the map lengthens an image, by power iteration.

        The iteration gets there from below, and ends where ten steps more lengthen the result by less than the tolerance.

        Parameters
        ----------
        like
            Real tensor of the dtype and on the device wanted.
        rng
            Source of chance on the CPU, for the first image.
        tolerance
            Relative change in ten steps at which to end; default 0.0001.
        n_steps
            Number of steps at most; default 1000.
        """
        x = _random(self.in_shape, self.has_complex_input, like, rng)
        norms = [0.0]
        for step in range(1, n_steps + 1):
            length = float(x.norm())
            if not length:
                return 0.0
            x = self.apply(x / length)
            norms.append(float(x.norm()))
            x = self.adjoint(x)
            if step > 10 and norms[-1] - norms[-11] <= tolerance * norms[-1]:
                break
        return norms[-1]

    def dot_error(self, like: Tensor, rng: torch.Generator) -> float:
        r"""Return how far the adjoint is from being one, for random x and y.

        That is :math:`|\langle A x, y \rangle - \langle x, A^* y \rangle| / (\|A x\| \|y\|)`, about the rounding error of the dtype
        for a right adjoint. Between a real and a complex tensor the real parts are compared.

        Parameters
        ----------
        like
            Real tensor of the dtype and on the device wanted.
        rng
            Source of chance on the CPU.
        """
        x = _random(self.in_shape, self.has_complex_input, like, rng)
        forward = self.apply(x)
        y = _random(self.out_shape, forward.is_complex(), like, rng)
        difference = (forward.conj() * y).sum() - (x.conj() * self.adjoint(y)).sum()
        if difference.is_complex() and not (x.is_complex() and y.is_complex()):
            difference = difference.real
        return float(difference.abs() / (forward.norm() * y.norm()))


def _random(shape: tuple[int, ...], is_complex: bool, like: Tensor, rng: torch.Generator) -> Tensor:
    real = torch.randn(shape, generator=rng).to(like)
    return torch.complex(real, torch.randn(shape, generator=rng).to(like)) if is_complex else real
