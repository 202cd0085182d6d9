"""The automatic stop: pixels left out of the fit choose the step, rules that cost nothing say what they think of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping.agreement import SeedAgreement
from napari_convgen.core.stopping.discrepancy import Discrepancy
from napari_convgen.core.stopping.held_out import HeldOutPixels
from napari_convgen.core.stopping.rule import Iterate, Judgment, Members, StoppingRule
from napari_convgen.core.stopping.whiteness import ResidualWhiteness
from napari_convgen.core.stopping.windowed_variance import RunningVariance

WINDOW_SHARE = 0.08
"""The running variance reaches back over about this share of the steps, as the running average does."""


class AutomaticStop:
    """Keep the step that held-out pixels choose, and let every free rule that the noise allows vote beside them.

    The votes are for the user to see. Warnings say when an assumption does not hold: a residual with too little or too much energy,
    or outputs that varied least long before.

    Parameters
    ----------
    held_out
        Chooses the members, the step, and the error's estimate.
    """

    def __init__(self, held_out: HeldOutPixels) -> None:
        self.held_out = held_out
        self._voters: dict[str, StoppingRule] = {}

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Return those of held-out pixels."""
        return self.held_out.members(problem, n_seeds, rng)

    def begin(self, problem: Problem, members: Members) -> None:
        """Choose the rules that can vote."""
        output = self.held_out.output
        self._variance = RunningVariance(share=WINDOW_SHARE, start=10)
        self._discrepancy = None if problem.noise_level is None else Discrepancy(output)
        self._voters = {"running-variance": self._variance}
        if self._discrepancy is not None:
            self._voters["discrepancy"] = self._discrepancy
        if problem.correlation_length == 1:
            self._voters["whiteness"] = ResidualWhiteness(output)
        if sum(members.is_kept) > 1:
            self._voters["agreement"] = SeedAgreement(output)
        for rule in (self.held_out, *self._voters.values()):
            rule.begin(problem, members)

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the criterion of held-out pixels."""
        for rule in self._voters.values():
            rule.observe(iterate)
        return self.held_out.observe(iterate)

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Decide by held-out pixels, with the votes and objections of the others."""
        judgment = self.held_out.judge(steps)
        votes = {name: rule.judge(steps).step for name, rule in self._voters.items()}
        objections = [self._variance.veto(judgment.step)]
        if self._discrepancy is not None:
            objections.append(self._discrepancy.veto(judgment.step))
        return dataclasses.replace(
            judgment,
            votes={"held-out": judgment.step, **votes},
            warnings=(*judgment.warnings, *(sentence for sentence in objections if sentence is not None)),
        )
