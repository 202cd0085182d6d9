"""A toy forward operator: a circular blur that also shifts, so that it is not its own adjoint."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap


def toy_blur(shape: Sequence[int], width: float) -> LinearMap:
    """Return the circular convolution with a Gaussian of that standard deviation in pixels, one pixel off its center."""
    size = tuple(shape[1:])
    axes = tuple(range(1, len(shape)))
    frequencies = torch.meshgrid(*(torch.fft.fftfreq(n, dtype=torch.float64) for n in size), indexing="ij")
    squares = torch.stack([f**2 for f in frequencies]).sum(0)
    transfer = torch.exp(-2 * (math.pi * width) ** 2 * squares) * torch.exp(-2j * math.pi * frequencies[0])

    def filtered(x: Tensor, by: Tensor) -> Tensor:
        return torch.fft.ifftn(by.to(x.device) * torch.fft.fftn(x, dim=axes), dim=axes).real.to(x.dtype)

    return LinearMap(
        lambda x: filtered(x, transfer), tuple(shape), tuple(shape), lambda y: filtered(y, transfer.conj())
    )
