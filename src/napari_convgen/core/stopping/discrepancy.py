"""The discrepancy principle: an image that leaves no more than the noise explains the measurement."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, Output, StopReason
from napari_convgen.core.stopping.residual import noise_variance, required_noise_level, residual_energy
from napari_convgen.core.stopping.rule import Iterate, Judgment, Members, plain_members


class Discrepancy:
    """Keep the first step whose mean squared residual is no more than the noise's variance.

    The rule costs nothing, needs no second fit, and holds for any operator. It says when the residual is as large as the noise, not that
    it is the noise: for busy images the residual gets there while both structure and noise are fitted in part. A wrong noise level
    shifts the stop, and a fit with few weights never gets there.

    Parameters
    ----------
    output
        Kind of image that is evaluated, ``"average"`` (default) or ``"iterate"``: the kind that is kept.
    tau
        Energy of the residual at the stop in units of the noise's variance, above 0; default 1, as in theory; 0.95 to 1.05 in use.

    References
    ----------
    Morozov, "On the solution of functional equations by the method of regularization", Soviet Math. Dokl. 7 (1966).
    """

    needs_identity = False

    LEAST_SHARE = 0.85
    """An image whose residual has less than this share of the noise's energy contains noise: chosen well below what good stops leave."""

    def __init__(self, output: Output = "average", tau: float = 1.0) -> None:
        self.output: Output = output
        self.tau = tau
        self._ratios: dict[int, Tensor] = {}

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Fit every observed pixel.

        Raises
        ------
        ConfigError
            The noise level is not known.
        """
        required_noise_level(problem, "discrepancy")
        return plain_members(problem, n_seeds)

    def begin(self, problem: Problem, members: Members) -> None:
        """Note the measurement and its noise."""
        self._problem = problem
        variance = noise_variance(problem)
        assert variance is not None  # or there would be no members
        self._variance = variance

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the residual's mean square over the noise's variance."""
        ratio = residual_energy(iterate.image(self.output), self._problem) / self._variance
        if iterate.is_snapshot:
            self._ratios[iterate.step] = ratio
        return ratio

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Take the first snapshot that leaves no more than the noise, and end with it; until then the latest."""
        self._ratios = {step: self._ratios[step] for step in steps}
        first = next((step for step in steps if float(self._ratios[step]) <= self.tau), None)
        if first is None:
            return Judgment(steps[-1])
        sentence = (
            f"At step {first} the residual came down to the noise: its mean square is "
            f"{float(self._ratios[first]):.2f} of the noise's variance."
        )
        return Judgment(first, StopReason(Outcome.RULE, sentence))

    def veto(self, step: int) -> str | None:
        """Say what speaks against a snapshot that another rule would keep; ``None`` if nothing does."""
        if float(self._ratios[step]) >= self.LEAST_SHARE:
            return None
        return (  # the same for all frames of a stack, so that it is said once
            f"The residual of the kept step has less than {100 * self.LEAST_SHARE:.0f} % of the noise's energy: "
            "the image contains noise, as where it was filtered before, or the noise level is too high. Its quality cannot be told."
        )
