"""Matrix products of a tall tensor and a small matrix, written to existing memory."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_weight

Precision = Literal["float32", "bfloat16"]

PART_VALUES = 2**20
"""Number of values of a tall tensor that are multiplied at once if the library allocates the result: 4 MB of scratch in float32."""

ALIGNMENT = 64
"""Alignment of newly allocated memory in PyTorch, in bytes."""


class Products:
    """The two products of a layer, computed separately for each member, so that a member's result does not depend on the others.

    Parameters
    ----------
    precision
        Number format, ``"float32"`` by default. ``"bfloat16"`` rounds factors and products to 8 significant bits but sums with more; it is
        faster on processors with instructions for it.
    """

    def __init__(self, precision: Precision = "float32") -> None:
        self.precision = precision

    def multiply(self, x: Tensor, matrix: Tensor, out: Tensor) -> None:
        """Write ``x @ matrix``; x is ``(m, n, k)``, the matrix ``(m, k, k)``, and ``out`` is not x."""
        for factor, small, target in zip(x, matrix, out, strict=True):
            result = _aligned(target)
            self._multiply(_aligned(factor), _aligned(small), result)
            if result is not target:
                target.copy_(result)

    def inner(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ``x.mT @ y``, ``(m, k, k)``, the gradient with respect to the matrix."""
        return torch.stack([self._inner(_aligned(one), _aligned(other)) for one, other in zip(x, y, strict=True)])

    def _multiply(self, x: Tensor, matrix: Tensor, out: Tensor) -> None:
        if self.precision == "bfloat16":
            matrix = matrix.bfloat16()
            for part, target in _parts(x, out):
                target.copy_(part.bfloat16() @ matrix)
        elif _is_convolution_faster(x):
            kernel = matrix.t().contiguous()[:, :, None, None]
            for part, target in _parts(x, out):
                target.copy_(F.conv2d(_image(part), kernel)[0, :, 0].t())
        else:
            torch.mm(x, matrix, out=out)

    def _inner(self, x: Tensor, y: Tensor) -> Tensor:
        if self.precision == "bfloat16":
            total = x.new_zeros(x.shape[1], y.shape[1])
            for part, other in _parts(x, y):
                total += part.bfloat16().t() @ other.bfloat16()
            return total
        if _is_convolution_faster(x):
            shape = (y.shape[1], x.shape[1], 1, 1)
            gradient: Tensor = conv2d_weight(_image(x), shape, _image(y))
            return gradient[:, :, 0, 0].t()
        return x.t() @ y


def _aligned(x: Tensor) -> Tensor:
    """Return the tensor, or a copy if its memory is not aligned: the last bits of a product depend on the alignment."""
    return x.clone() if x.device.type == "cpu" and x.data_ptr() % ALIGNMENT else x


def _parts(x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    n = max(1, PART_VALUES // x.shape[1])
    return list(zip(x.split(n), y.split(n), strict=True))


def _image(x: Tensor) -> Tensor:
    """Return a view of ``(n, k)`` as an image with one row of n pixels, in the strides of channels-last order."""
    n, k = x.shape
    return x.as_strided((1, k, 1, n), (n * k, 1, n * k, k))


def _is_convolution_faster(x: Tensor) -> bool:
    # On x86 PyTorch multiplies matrices with MKL, which does not use AVX-512 on processors of other makers than Intel and takes twice as
    # long there. Its convolutions use oneDNN, which does.
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and len(x) >= 2048
        and x.shape[1] > 1
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
    )
