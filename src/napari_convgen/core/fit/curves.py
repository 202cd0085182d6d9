"""Loss and stopping criterion at each step of a fit."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Curves:
    """Loss and criterion of all steps so far; new values stay on the device until `fetch`.

    Attributes
    ----------
    loss
        Mean loss of the kept members (see `Members`) at each step, in squared generator units.
    worst
        Largest loss of any member at each step, in squared generator units.
    criterion
        Value of the stopping rule's criterion at each step; NaN if it has none.
    """

    loss: list[float] = field(default_factory=list)
    worst: list[float] = field(default_factory=list)
    criterion: list[float] = field(default_factory=list)
    _waiting: list[Tensor] = field(default_factory=list)

    def add(self, loss: Tensor, worst: Tensor, criterion: Tensor) -> None:
        """Append the values of one step, without waiting for the device."""
        self._waiting.append(torch.stack((loss, worst, criterion)))

    def fetch(self) -> None:
        """Copy the values that are still on the device to the lists."""
        if self._waiting:
            for values in torch.stack(self._waiting).tolist():
                for curve, value in zip((self.loss, self.worst, self.criterion), values, strict=True):
                    curve.append(value)
            self._waiting.clear()

    def cut(self, step: int) -> None:
        """Remove all values after a step."""
        self.fetch()
        for curve in (self.loss, self.worst, self.criterion):
            del curve[step:]
