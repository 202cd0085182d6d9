"""Rules that say which step of a fit to keep, and when to end it, without ground truth.

The loop in `napari_convgen.core.fit` asks a rule three things, through the protocol `StoppingRule`: which pixels to leave
to the rule, its criterion at each step, and its judgment whenever a snapshot has been taken. A new rule is a new class
here and a name in `napari_convgen.run`; the loop stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, Output, StopReason


@dataclass(frozen=True)
class Iterate:
    """One forward pass of a fit, on the fit's device.

    Attributes
    ----------
    step
        From 1.
    loss
        Mean squared error over the fitted pixels.
    output
        Of the generator, detached.
    average
        Running average of the outputs; the next step changes it in place.
    is_snapshot
        Whether a snapshot is taken of this step.
    """

    step: int
    loss: Float[Tensor, ""]
    output: Float[Tensor, "c *spatial"]
    average: Float[Tensor, "c *spatial"]
    is_snapshot: bool


@dataclass(frozen=True)
class Judgment:
    """What a rule says after a snapshot.

    Attributes
    ----------
    step
        The snapshot to keep, were the fit to end now.
    reason
        Why the fit should end now, or ``None`` to go on.
    """

    step: int
    reason: StopReason | None = None


class StoppingRule(Protocol):
    """Chooses the step that is kept. One object serves one fit."""

    def begin(self, problem: Problem, generator: nn.Module, rng: torch.Generator) -> Float[Tensor, "c *spatial"]:
        """Return the weights of the pixels in the loss; called once, before the first step.

        ``generator`` is at its start: a rule that needs a second fit copies it. ``rng`` is the run's own, on the CPU.
        """
        ...

    def observe(self, iterate: Iterate) -> Float[Tensor, ""]:
        """Return the criterion at a step, on the device; NaN if there is none. Called at every step, in order."""
        ...

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Choose among the snapshots kept, ``steps``, the last of which has just been observed."""
        ...


class FixedStep:
    """Keep the last step: the number of steps, chosen beforehand, is the stop, as in the paper."""

    def begin(self, problem: Problem, generator: nn.Module, rng: torch.Generator) -> Tensor:
        """Fit every observed pixel."""
        self._none = problem.measurement.new_tensor(math.nan)
        return problem.weights

    def observe(self, iterate: Iterate) -> Tensor:
        """There is no criterion."""
        return self._none

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Keep the latest snapshot and go on."""
        return Judgment(steps[-1])


class HeldOutPixels:
    """Leave a random share of the pixels out of the loss and watch the error there.

    While structure is being drawn, the error at the pixels left out falls with the loss; once noise is being drawn it
    rises, provided that the noise of one pixel says nothing of its neighbor's. The step kept is the latest one whose
    error is within one standard error of the least; the standard error is that of the paired difference, pixel by
    pixel, between the two steps, so that the noise common to both drops out.

    Parameters
    ----------
    fraction
        Share of the pixels left out, all channels of a pixel together.
    patience, min_patience
        The fit ends at step ``t`` once ``t > t_min (1 + patience) + min_patience``, with ``t_min`` the step of the least error.
    output
        Which image is watched: the one that is kept.
    """

    MAX_PAIRED = 2**16
    """Pixels whose errors are remembered for the paired differences; a random subset of those held out."""

    def __init__(self, fraction: float, patience: float, min_patience: int, output: Output) -> None:
        self.fraction = fraction
        self.patience = patience
        self.min_patience = min_patience
        self.output = output
        self._errors: dict[int, Tensor] = {}

    def begin(self, problem: Problem, generator: nn.Module, rng: torch.Generator) -> Tensor:
        """Draw the pixels that are left out."""
        y = problem.measurement
        observed = (problem.weights > 0).any(0).flatten().nonzero().squeeze(1).cpu()
        n = int((torch.rand(len(observed), generator=rng, dtype=torch.float64) < self.fraction).sum())
        n = min(max(1, n), max(1, len(observed) - 1))
        self._places = observed[torch.randperm(len(observed), generator=rng)[:n]].to(y.device)
        self._target = y.flatten(1)[:, self._places]
        self._weights = problem.weights.flatten(1)[:, self._places]
        return problem.weights.flatten(1).index_fill(1, self._places, 0).view_as(y)

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the mean squared error over the pixels held out."""
        image = iterate.average if self.output == "average" else iterate.output
        errors = self._weights * (image.flatten(1)[:, self._places] - self._target) ** 2
        if iterate.is_snapshot:
            self._errors[iterate.step] = errors[:, : self.MAX_PAIRED].mean(0).cpu()
        return errors.sum() / self._weights.sum()

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Take the latest snapshot within one standard error of the least error; end once that lies far enough back."""
        self._errors = {step: self._errors[step] for step in steps}
        means = {step: float(errors.mean()) for step, errors in self._errors.items()}
        best = min(steps, key=means.__getitem__)
        kept = max(step for step in steps if self._is_as_good(step, best))
        if steps[-1] <= best * (1 + self.patience) + self.min_patience:
            return Judgment(kept)
        sentence = (
            f"The error at pixels left out of the fit was least at step {best} and has not improved by step {steps[-1]}; "
            f"step {kept} is the latest within one standard error of it."
        )
        return Judgment(kept, StopReason(Outcome.RULE, sentence))

    def _is_as_good(self, step: int, best: int) -> bool:
        if step < best:
            return False
        difference = self._errors[step] - self._errors[best]
        standard_error = float(difference.std(correction=0)) / math.sqrt(len(difference))
        return float(difference.mean()) <= standard_error
