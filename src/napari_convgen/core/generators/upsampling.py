"""Fixed-kernel upsampling by two, the operator ``U`` of the deep decoder.

Along one axis, sample ``2j + p`` of the output is a fixed combination of the samples around ``j`` of the input, with one set
of weights for the even outputs (``p = 0``) and one for the odd (``p = 1``): the polyphase form. Beyond its ends the
input is continued by its last sample. An odd output size drops the last sample, so that any size can be reached from
its half, rounded up, without padding the image and without seams.

The tensors have their channels last. Both the map and its adjoint are sums of shifted contiguous slices: no gathers, no
atomic additions, hence the same bits every time on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

Taps = tuple[tuple[int, float], ...]
"""Pairs of (offset from j, weight)."""

KERNELS: dict[str, tuple[Taps, Taps]] = {
    # The four-tap kernel (1, 3, 3, 1)/4 of bilinear upsampling with half-pixel centers.
    "linear": (((-1, 0.25), (0, 0.75)), ((0, 0.75), (1, 0.25))),
    # The six-tap kernel (1, 5, 10, 10, 5, 1)/16: subdivision of the quartic B-spline, smoother than linear.
    "smooth": (
        ((-1, 5 / 16), (0, 10 / 16), (1, 1 / 16)),
        ((-1, 1 / 16), (0, 10 / 16), (1, 5 / 16)),
    ),
}
"""Weights of the even and of the odd outputs, by name; each set sums to one."""


def half_size(size: Sequence[int]) -> tuple[int, ...]:
    """Return the grid size that `upsample` doubles to ``size``: half of it, rounded up."""
    return tuple((n + 1) // 2 for n in size)


def upsample(x: Float[Tensor, "*coarse k"], size: Sequence[int], kernel: str = "linear") -> Float[Tensor, "*fine k"]:
    """Upsample by two along each spatial axis that is longer afterwards.

    Parameters
    ----------
    x
        Coarse grid, channels last; along each axis half as long as ``size``, rounded up, or as long.
    size
        Spatial shape of the result.
    kernel
        Name in `KERNELS`. ``"linear"`` equals ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)``.
    """
    dtype = x.dtype
    # Sums in half precision are slow on a CPU, and round at each term.
    x = x.to(torch.promote_types(dtype, torch.float32))
    # The last axis first, on the smaller tensor: along the others the slices are longer, which is faster.
    for axis, n in reversed(list(enumerate(size))):
        if n != x.shape[axis]:
            x = _apply(x, axis, n, kernel, is_adjoint=False)
    return x.to(dtype)


def _upsample_axis(x: Tensor, axis: int, n: int, kernel: str) -> Tensor:
    shape = list(x.shape)
    shape[axis] = n
    result = x.new_empty(shape)
    fine, coarse = result.movedim(axis, 0), x.movedim(axis, 0)
    for phase, taps in enumerate(KERNELS[kernel]):
        target = fine[phase::2]
        for i, (offset, weight) in enumerate(taps):
            for outputs, inputs in _runs(len(target), len(coarse), offset):
                if i == 0:
                    torch.mul(coarse[inputs].expand_as(target[outputs]), weight, out=target[outputs])
                else:
                    target[outputs].add_(coarse[inputs], alpha=weight)
    return result


def _adjoint_axis(g: Tensor, axis: int, n: int, kernel: str) -> Tensor:
    """Map a gradient on the fine grid back to the coarse grid of ``n`` samples."""
    shape = list(g.shape)
    shape[axis] = n
    result = g.new_zeros(shape)
    fine, coarse = g.movedim(axis, 0), result.movedim(axis, 0)
    for phase, taps in enumerate(KERNELS[kernel]):
        source = fine[phase::2]
        for offset, weight in taps:
            for outputs, inputs in _runs(len(source), n, offset):
                part = source[outputs]
                if len(part) != inputs.stop - inputs.start:
                    part = part.sum(0, keepdim=True)
                coarse[inputs].add_(part, alpha=weight)
    return result


def _runs(n_out: int, n_in: int, offset: int) -> list[tuple[slice, slice]]:
    """Split outputs 0..n_out into runs and name the input samples each run reads at ``offset``, the ends held."""
    first = min(max(0, -offset), n_out)
    last = max(min(n_out, n_in - offset), first)
    runs = [
        (slice(0, first), slice(0, 1)),
        (slice(first, last), slice(first + offset, last + offset)),
        (slice(last, n_out), slice(n_in - 1, n_in)),
    ]
    return [(outputs, inputs) for outputs, inputs in runs if outputs.stop > outputs.start]


def _apply(x: Tensor, axis: int, n: int, kernel: str, is_adjoint: bool) -> Tensor:
    result: Tensor = _AlongAxis.apply(x, axis, n, kernel, is_adjoint)  # type: ignore[no-untyped-call]
    return result


class _AlongAxis(torch.autograd.Function):
    """Upsampling along an axis to ``n`` samples, or its adjoint: each is the other's gradient, and its own derivative."""

    @staticmethod
    def forward(x: Tensor, axis: int, n: int, kernel: str, is_adjoint: bool) -> Tensor:
        return (_adjoint_axis if is_adjoint else _upsample_axis)(x, axis, n, kernel)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, int, str, bool], output: Tensor) -> None:
        x, ctx.axis, ctx.n, ctx.kernel, ctx.is_adjoint = inputs
        ctx.n_before = x.shape[ctx.axis]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        gradient = _apply(gradients[0], ctx.axis, ctx.n_before, ctx.kernel, not ctx.is_adjoint)
        return gradient, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return _apply(tangent, ctx.axis, ctx.n, ctx.kernel, ctx.is_adjoint)
