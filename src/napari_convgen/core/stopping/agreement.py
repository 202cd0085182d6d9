"""Fits with different starts agree on structure before each of them fits the noise in its own way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, Output, StopReason
from napari_convgen.core.stopping.curve import Curve
from napari_convgen.core.stopping.ensemble import variance_between
from napari_convgen.core.stopping.residual import weighted_mean
from napari_convgen.core.stopping.rule import Iterate, Judgment, Members, is_over, plain_members
from napari_convgen.errors import ConfigError


class SeedAgreement:
    """Keep the step where the members are closest to each other.

    The rule watches the mean square of the kept image's deviation over seeds: the variance over the K members, unbiased, over K; for two
    members it is a quarter of their mean squared difference. It is only a part of the image's error, an eighth or so, as the members
    share most of it; its valley is shallow. The rule needs no noise level, and holds for any operator.

    Parameters
    ----------
    output
        Kind of image that is compared, ``"average"`` (default) or ``"iterate"``: the kind that is kept.
    patience, min_patience
        The fit ends at step ``t`` once ``t > t_min (1 + patience) + min_patience``, with ``t_min`` the step of the least value,
        averaged over `napari_convgen.core.stopping.curve.SMOOTHING` steps.

    References
    ----------
    The spread of deep ensembles: Lakshminarayanan et al., NeurIPS 2017. As a stop it is not from a publication.
    """

    needs_identity = False

    def __init__(self, output: Output = "average", patience: float = 0.4, min_patience: int = 100) -> None:
        self.output: Output = output
        self.patience = patience
        self.min_patience = min_patience
        self._curve = Curve()

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Fit every observed pixel with each member.

        Raises
        ------
        ConfigError
            There is only one member.
        """
        if n_seeds < 2:
            raise ConfigError(
                f"The stopping rule 'agreement' compares fits: n_seeds must be at least 2, got {n_seeds}. Raise it, or choose 'auto'."
            )
        return plain_members(problem, n_seeds)

    def begin(self, problem: Problem, members: Members) -> None:
        """Note which pixels count."""
        self._weights = problem.image_weights

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the variance of the kept image over seeds."""
        images = iterate.kept_images(self.output)
        variance = weighted_mean(variance_between(images), self._weights) / len(images)
        self._curve.add(iterate.step, variance)
        return variance

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Take the snapshot of the least variance; end once that lies far enough back."""
        best = self._curve.least(steps)
        if not is_over(steps[-1], best, self.patience, self.min_patience):
            return Judgment(best)
        sentence = (
            f"Fits with different starts were closest to each other at step {best} and have not come closer by step {steps[-1]}; "
            f"step {best} is kept."
        )
        return Judgment(best, StopReason(Outcome.RULE, sentence))
