"""Rules that say which step of a fit to keep, and when to end it, without ground truth.

The loop in `napari_convgen.core.fit` asks a rule three things, through the protocol `StoppingRule`: which pixels to leave
to the rule, its criterion at each step, and its judgment whenever a snapshot has been taken. A new rule is a new class
here and a name in `napari_convgen.run`; the loop stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from napari_convgen.core.noise import correlation_length
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
    size
        Side in pixels of the squares (cubes in a volume) that are left out together. Where the noise of neighbors is alike, a
        pixel left out alone could be guessed from its neighbors' noise, and the error would not rise. ``"auto"`` takes 1 for
        white noise and otherwise enough for the middle of a square to be out of reach, see
        `napari_convgen.core.noise.correlation_length`. Of larger squares only the 3 pixels in the middle of each axis are watched.
    patience, min_patience
        The fit ends at step ``t`` once ``t > t_min (1 + patience) + min_patience``, with ``t_min`` the step of the least error.
    output
        Which image is watched: the one that is kept.
    """

    MAX_PAIRED = 2**16
    """Pixels whose errors are remembered for the paired differences; a random subset of those held out."""

    MIN_WATCHED = 128
    """Pixels in the middle of squares that are enough to judge by; with fewer, single pixels are left out."""

    def __init__(
        self, fraction: float, size: Literal["auto"] | int, patience: float, min_patience: int, output: Output
    ) -> None:
        self.fraction = fraction
        self.size = size
        self.patience = patience
        self.min_patience = min_patience
        self.output = output
        self._errors: dict[int, Tensor] = {}

    def begin(self, problem: Problem, generator: nn.Module, rng: torch.Generator) -> Tensor:
        """Draw the pixels that are left out."""
        y, is_observed = problem.measurement, problem.weights > 0
        observed = is_observed.any(0).flatten().cpu()
        n_least = 1
        if self.size == "auto":
            length = correlation_length(y.cpu().numpy(), is_observed.cpu().numpy())
            self.size = 1 if length == 1 else 2 * length + 1
            n_least = self.MIN_WATCHED
        left_out, watched = self._draw_squares(y.shape[1:], self.size, rng)
        if self.size == 1 or (observed & watched).sum() < n_least or not (observed & ~left_out).any():
            self.size = 1
            left_out = watched = self._draw_pixels(observed, rng)
        places = (observed & watched).nonzero().squeeze(1)
        self._places = places[torch.randperm(len(places), generator=rng)].to(y.device)
        self._target = y.flatten(1)[:, self._places]
        self._weights = problem.weights.flatten(1)[:, self._places]
        return problem.weights * ~left_out.view(y.shape[1:]).to(y.device)

    def _draw_pixels(self, observed: Tensor, rng: torch.Generator) -> Tensor:
        """Draw single pixels: at least one of those observed, and not all."""
        places = observed.nonzero().squeeze(1)
        n = int((torch.rand(len(places), generator=rng, dtype=torch.float64) < self.fraction).sum())
        n = min(max(1, n), max(1, len(places) - 1))
        drawn = torch.zeros_like(observed)
        drawn[places[torch.randperm(len(places), generator=rng)[:n]]] = True
        return drawn

    def _draw_squares(self, shape: Sequence[int], size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw squares of a shifted grid; return the pixels in them, and those in their middle."""
        drawn = torch.rand([n // size + 2 for n in shape], generator=rng, dtype=torch.float64) < self.fraction
        middle = torch.ones([], dtype=torch.bool)
        for axis, n in enumerate(shape):
            shift = int(torch.randint(size, (), generator=rng))
            position = torch.arange(n) + shift
            drawn = drawn.index_select(axis, position // size)
            middle = middle[..., None] & ((position % size - (size - 1) / 2).abs() <= 1)
        return drawn.flatten(), (drawn & middle).flatten()

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
        kept = max(step for step in steps if step >= best and self._is_as_good(step, best))
        if steps[-1] <= best * (1 + self.patience) + self.min_patience:
            return Judgment(kept)
        squares = "" if self.size == 1 else f" (squares of {self.size}, as the noise of neighbors is alike)"
        sentence = (
            f"The error at pixels left out of the fit{squares} was least at step {best} and has not improved by step {steps[-1]}; "
            f"step {kept} is the latest within one standard error of it."
        )
        return Judgment(kept, StopReason(Outcome.RULE, sentence))

    def _is_as_good(self, step: int, best: int) -> bool:
        difference = self._errors[step] - self._errors[best]
        standard_error = float(difference.std(correction=0)) / math.sqrt(len(difference))
        return float(difference.mean()) <= standard_error
