"""What is known of a phase before it is measured: it is smooth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.operators.constant import Constant

DEVIATION = 0.5
"""Standard deviation of the phase in radians: thin objects. Our choice, no benchmark."""

POWER = 1.5
"""Power of the inverse frequency that amplitudes fall with: between that of cells, and that of sharp edges, 2."""

LARGEST = 40.0
"""Period in pixels of the largest structures: amplitudes of longer ones are as large."""


class SmoothPrior:
    r"""Draws smooth objects: white numbers :math:`\xi`, filtered.

    A fit finds :math:`\xi`, whose squares are the penalty, in the place of the object: coarse structures, which images out of focus show
    weakly, are then found in as few steps as fine ones.

    Parameters
    ----------
    size
        Number of rows and columns of the object.
    """

    def __init__(self, size: Sequence[int]) -> None:
        rows, columns = (np.fft.fftfreq(n) for n in size)
        amplitude = (LARGEST**-2 + rows[:, None] ** 2 + columns**2) ** (-POWER / 2)
        amplitude *= DEVIATION / np.sqrt(np.mean(amplitude**2))
        self._amplitude = Constant(torch.from_numpy(amplitude[:, : size[1] // 2 + 1]))

    def __call__(self, white: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
        """Return the object of white numbers; the map is its own adjoint."""
        axes = (-2, -1)
        spectrum = self._amplitude.like(white) * torch.fft.rfftn(white, dim=axes)
        drawn: Tensor = torch.fft.irfftn(spectrum, white.shape[1:], axes)
        return drawn
