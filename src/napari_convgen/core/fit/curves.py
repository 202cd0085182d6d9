"""Loss and criterion, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Curves:
    """Loss and criterion of every step so far; values wait on the device until `fetch`.

    Attributes
    ----------
    loss
        Mean loss over the kept members, by step.
    worst
        Loss of the member that fits worst, by step.
    criterion
        Value that the stopping rule watches, by step; NaN where it watches none.
    """

    loss: list[float] = field(default_factory=list)
    worst: list[float] = field(default_factory=list)
    criterion: list[float] = field(default_factory=list)
    _waiting: list[Tensor] = field(default_factory=list)

    def add(self, loss: Tensor, worst: Tensor, criterion: Tensor) -> None:
        """Note one step, without waiting for the device."""
        self._waiting.append(torch.stack((loss, worst, criterion)))

    def fetch(self) -> None:
        """Bring the values that wait on the device over."""
        if self._waiting:
            for values in torch.stack(self._waiting).tolist():
                for curve, value in zip((self.loss, self.worst, self.criterion), values, strict=True):
                    curve.append(value)
            self._waiting.clear()

    def cut(self, step: int) -> None:
        """Forget all values after a step."""
        self.fetch()
        for curve in (self.loss, self.worst, self.criterion):
            del curve[step:]
