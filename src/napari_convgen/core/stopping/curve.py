"""The criterion of a stopping rule at each step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

SMOOTHING = 9
"""Number of steps, centered on a step, over which the criterion is averaged.

Chosen so that it is odd, and so that four steps to either side remove the fluctuation of single steps but not the minimum."""


class Curve:
    """The criterion of all steps so far; new values stay on the device until they are needed."""

    def __init__(self) -> None:
        self._values: list[float] = []
        self._waiting: list[Tensor] = []

    def add(self, step: int, value: Tensor) -> None:
        """Set the value of a step, from 1, without waiting for the device, and remove the values of later steps."""
        if step <= len(self._values) + len(self._waiting):
            self._fetch()
            del self._values[step - 1 :]
        self._waiting.append(value)

    def smoothed(self, step: int) -> float:
        """Return the mean over those of the `SMOOTHING` steps around ``step`` that have been taken; infinite if none has a value."""
        self._fetch()
        half = SMOOTHING // 2
        around = [v for v in self._values[max(0, step - 1 - half) : step + half] if not math.isnan(v)]
        return sum(around) / len(around) if around else math.inf

    def least(self, steps: Sequence[int]) -> int:
        """Return the first of ``steps`` with the lowest smoothed value."""
        return min(steps, key=self.smoothed)

    def _fetch(self) -> None:
        if self._waiting:
            self._values += torch.stack(self._waiting).tolist()
            self._waiting.clear()
