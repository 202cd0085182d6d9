"""A rule's criterion, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

SMOOTHING = 9
"""Steps that the criterion is averaged over, half of them before and half of them after."""


class Curve:
    """The criterion of every step so far; values wait on the device until they are asked for."""

    def __init__(self) -> None:
        self._values: list[float] = []
        self._waiting: list[Tensor] = []

    def add(self, step: int, value: Tensor) -> None:
        """Note the value of a step, from 1, without waiting for the device; what was known of it and later steps is forgotten."""
        if step <= len(self._values) + len(self._waiting):
            self._fetch()
            del self._values[step - 1 :]
        self._waiting.append(value)

    def smoothed(self, step: int) -> float:
        """Return the mean over the `SMOOTHING` steps around ``step`` as far as they have been taken; infinite without any value."""
        self._fetch()
        half = SMOOTHING // 2
        around = [v for v in self._values[max(0, step - 1 - half) : step + half] if not math.isnan(v)]
        return sum(around) / len(around) if around else math.inf

    def least(self, steps: Sequence[int]) -> int:
        """Return the first of ``steps`` with the least smoothed value."""
        return min(steps, key=self.smoothed)

    def _fetch(self) -> None:
        if self._waiting:
            self._values += torch.stack(self._waiting).tolist()
            self._waiting.clear()
