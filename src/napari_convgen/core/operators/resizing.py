"""Operators of enlarging: the measurement has fewer pixels than the image, each a weighted mean of pixels around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.constant import Constant
from napari_convgen.errors import ConfigError, InputError

N_LOBES = 3
"""Zero crossings of the Lanczos kernel on each side: the usual choice, of Pillow and others."""


def box_downsampling(shape: Sequence[int], factors: Sequence[int]) -> LinearMap:
    """Return the map to the means over blocks of pixels, which is what larger pixels of a camera measure.

    Parameters
    ----------
    shape
        Shape of the measurement: channels first, then space.
    factors
        Number of the image's pixels in one of the measurement's along each spatial axis, at least 1.

    Raises
    ------
    InputError
        No factor for each axis.
    ConfigError
        Factors below 1.
    """
    return _downsampling(shape, factors, lambda factor: torch.full((factor,), 1 / factor, dtype=torch.float64))


def lanczos_downsampling(shape: Sequence[int], factors: Sequence[int]) -> LinearMap:
    r"""Return the map to the samples of an image that a Lanczos filter of `N_LOBES` lobes has freed of finer structures.

    The weights along an axis are :math:`\operatorname{sinc}(t) \operatorname{sinc}(t / 3)`, with t the distance from the pixel's center
    in pixels of the measurement. Weights of pixels within the image sum to 1, at its borders also.

    Parameters
    ----------
    shape, factors
        As for `box_downsampling`.

    Raises
    ------
    InputError, ConfigError
        As for `box_downsampling`.

    References
    ----------
    Duchon, "Lanczos filtering in one and two dimensions", J. Appl. Meteorol. 18, 1979.
    """

    def weights(factor: int) -> Float[Tensor, "n"]:
        if factor == 1:
            return torch.ones(1, dtype=torch.float64)
        reach = math.ceil(N_LOBES * factor + factor / 2 - 0.5) - factor  # taps beyond the pixel itself, on each side
        distance = (torch.arange(-reach, factor + reach, dtype=torch.float64) + 0.5) / factor - 0.5
        return torch.sinc(distance) * torch.sinc(distance / N_LOBES) * (distance.abs() < N_LOBES)

    return _downsampling(shape, factors, weights)


def _downsampling(
    shape: Sequence[int], factors: Sequence[int], weights: Callable[[int], Float[Tensor, "n"]]
) -> LinearMap:
    """Return the weighted means along each axis in turn; ``weights`` is a function from a factor to the weights of one pixel."""
    if len(factors) != len(shape) - 1:
        raise InputError(f"There must be a factor for each of {len(shape) - 1} spatial axes, got {len(factors)}.")
    if any(factor < 1 for factor in factors):
        raise ConfigError(f"Factors of enlarging must be at least 1, got {tuple(factors)}.")
    lines = [_Line(n, factor, weights(factor)) for n, factor in zip(shape[1:], factors, strict=True)]

    def apply(x: Tensor) -> Tensor:
        for axis, line in enumerate(lines, start=1):
            x = line.apply(x.movedim(axis, -1)).movedim(-1, axis)
        return x

    def adjoint(y: Tensor) -> Tensor:
        for axis, line in enumerate(lines, start=1):
            y = line.adjoint(y.movedim(axis, -1)).movedim(-1, axis)
        return y

    in_shape = (shape[0], *(n * factor for n, factor in zip(shape[1:], factors, strict=True)))
    return LinearMap(apply, in_shape, tuple(shape), adjoint)


class _Line:
    """Weighted means along the last axis: a convolution at every ``factor``-th place, divided by the sum of the weights inside.

    Parameters
    ----------
    n
        Number of means.
    factor
        Number of values from one mean to the next.
    weights
        Weights of a mean: those of its ``factor`` values, and equally many on each side of them.
    """

    def __init__(self, n: int, factor: int, weights: Float[Tensor, "k"]) -> None:
        self.factor, self.reach = factor, (len(weights) - factor) // 2
        self._weights = Constant(weights)
        ones = torch.ones(1, n * factor, dtype=torch.float64)
        self._sums = Constant(self._convolve(ones)[0])

    def _convolve(self, x: Tensor) -> Tensor:
        weights = self._weights.like(x).view(1, 1, -1)
        rows = x.reshape(-1, 1, x.shape[-1])
        means = torch.nn.functional.conv1d(rows, weights, stride=self.factor, padding=self.reach)
        return means.view(*x.shape[:-1], -1)

    def apply(self, x: Float[Tensor, "*rows n_in"]) -> Float[Tensor, "*rows n"]:
        """Return the means."""
        return self._convolve(x) / self._sums.like(x)

    def adjoint(self, y: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows n_in"]:
        """Return the adjoint of `apply`."""
        weights = self._weights.like(y).view(1, 1, -1)
        rows = (y / self._sums.like(y)).reshape(-1, 1, y.shape[-1])
        spread = torch.nn.functional.conv_transpose1d(rows, weights, stride=self.factor, padding=self.reach)
        return spread.view(*y.shape[:-1], -1)
