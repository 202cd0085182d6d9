"""A toy stopping rule: end as soon as the loss is small."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, StopReason
from napari_convgen.core.stopping.rule import Iterate, Judgment, Members, plain_members


class ToyRule:
    """Keep the first snapshot whose loss is below a threshold."""

    needs_identity = False

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        return plain_members(problem, n_seeds)

    def begin(self, problem: Problem, members: Members) -> None:
        pass

    def observe(self, iterate: Iterate) -> Tensor:
        self._loss = iterate.loss
        return iterate.loss / self.threshold

    def judge(self, steps: Sequence[int]) -> Judgment:
        if self._loss > self.threshold:
            return Judgment(steps[-1])
        return Judgment(steps[-1], StopReason(Outcome.RULE, f"The loss is below {self.threshold:g}."))
