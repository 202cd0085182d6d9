"""Tensors that an operator is made of, such as a transfer function or coil maps."""

from __future__ import annotations

import torch
from torch import Tensor


class Constant:
    """A tensor that is at hand on every device and in every precision that an operator is asked for.

    Parameters
    ----------
    values
        Values in the highest precision there is: real, complex, or truth values.
    """

    def __init__(self, values: Tensor) -> None:
        self._values = values
        self._copies: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def like(self, x: Tensor) -> Tensor:
        """Return the values on the device and in the precision of a real or complex tensor; truth values keep their type."""
        dtype = self._values.dtype
        if self._values.is_complex():
            dtype = x.dtype.to_complex()
        elif self._values.is_floating_point():
            dtype = x.dtype.to_real()
        place = (x.device, dtype)
        if place not in self._copies:
            self._copies[place] = self._values.to(dtype).to(x.device)
        return self._copies[place]
