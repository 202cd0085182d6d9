"""The automatic stop: entries left out of the fit choose the step, and rules that cost nothing vote beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping.agreement import SeedAgreement
from napari_convgen.core.stopping.discrepancy import Discrepancy
from napari_convgen.core.stopping.held_out import HeldOut
from napari_convgen.core.stopping.rule import Iterate, Judgment, Members, StoppingRule
from napari_convgen.core.stopping.whiteness import ResidualWhiteness
from napari_convgen.core.stopping.windowed_variance import RunningVariance

WINDOW_SHARE = 0.08
"""The running variance reaches back over about this share of the steps, as the running average does."""


class AutomaticStop:
    """Keep the step that held-out entries choose; every other rule that costs nothing and that the noise and the operator allow votes.

    The votes are for the user to see. A warning says when the residual has less energy than the noise. The variance of the outputs votes
    but does not warn: by measurement its valley lies far before the best step of most images.

    Parameters
    ----------
    held_out
        Rule that chooses the members and the step, and estimates the error.
    """

    needs_identity = False

    def __init__(self, held_out: HeldOut) -> None:
        self.held_out = held_out
        self._voters: dict[str, StoppingRule] = {}

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Return the members of the rule with held-out entries."""
        return self.held_out.members(problem, n_seeds, rng)

    def begin(self, problem: Problem, members: Members) -> None:
        """Choose the rules that can vote."""
        output = self.held_out.output
        self._discrepancy = None if problem.noise_level is None else Discrepancy(output)
        self._voters = {"running-variance": RunningVariance(share=WINDOW_SHARE, start=10)}
        if self._discrepancy is not None:
            self._voters["discrepancy"] = self._discrepancy
        if problem.correlation_length == 1:
            self._voters["whiteness"] = ResidualWhiteness(output)
        if sum(members.is_kept) > 1:
            self._voters["agreement"] = SeedAgreement(output)
        for rule in (self.held_out, *self._voters.values()):
            rule.begin(problem, members)

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the criterion of the rule with held-out entries."""
        for rule in self._voters.values():
            rule.observe(iterate)
        return self.held_out.observe(iterate)

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Decide by held-out entries, with the votes of the others; if one speaks against the image, its error is not known."""
        judgment = self.held_out.judge(steps)
        votes = {name: rule.judge(steps).step for name, rule in self._voters.items()}
        objection = None if self._discrepancy is None else self._discrepancy.veto(judgment.step)
        judgment = dataclasses.replace(judgment, votes={"held-out": judgment.step, **votes})
        if objection is None:
            return judgment
        return dataclasses.replace(judgment, error=None, warnings=(*judgment.warnings, objection))
