"""The stop of the paper: a number of steps, chosen beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping.rule import Iterate, Judgment, Members, plain_members


class FixedStep:
    """Keep the last step, as in Heckel and Soltanolkotabi (2020), section 4; for any operator."""

    needs_identity = False

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Fit every observed pixel."""
        return plain_members(problem, n_seeds)

    def begin(self, problem: Problem, members: Members) -> None:
        """Prepare nothing."""
        self._none = problem.weights.new_tensor(math.nan)

    def observe(self, iterate: Iterate) -> Tensor:
        """There is no criterion."""
        return self._none

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Keep the latest snapshot and go on."""
        return Judgment(steps[-1])
