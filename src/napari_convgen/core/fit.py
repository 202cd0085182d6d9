"""The one loop: a generator is moved towards a measurement, step by step.

`Fit` is iterated to advance. It can be left and taken up again, and its budget can be raised after it has ended.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from napari_convgen.core.captured import CapturedStep
from napari_convgen.core.fused import FusedDecoder
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import (
    Outcome,
    SnapshotStore,
    StopReason,
    next_snapshot_step,
)
from napari_convgen.core.stopping import Iterate, StoppingRule

AVERAGING = 0.08
"""The running average at step ``t`` reaches back over about ``AVERAGING * t`` steps."""

COARSE_BLOCKS, COLLAPSE_FACTOR = 8, 2.0
"""A fit has collapsed when it rests above so many times the error of the image made of so many constant blocks a side."""

MIN_STEPS_TO_JUDGE = 200
"""Steps before a fit that rests can be called collapsed."""


@dataclass
class Curves:
    """Loss and criterion of every step so far; values wait on the device until `fetch`."""

    loss: list[float] = field(default_factory=list)
    criterion: list[float] = field(default_factory=list)
    _waiting: list[Tensor] = field(default_factory=list)

    def add(self, loss: Tensor, criterion: Tensor) -> None:
        """Note one step, without waiting for the device."""
        self._waiting.append(torch.stack((loss, criterion)))

    def fetch(self) -> None:
        """Bring what waits on the device over."""
        if self._waiting:
            for loss, criterion in torch.stack(self._waiting).tolist():
                self.loss.append(loss)
                self.criterion.append(criterion)
            self._waiting.clear()


class Fit:
    """A generator on its way to a measurement.

    Iterating advances the fit by a step at a time until the rule or the budget ends it; ``reason`` then says why, and
    ``kept_step`` which snapshot to keep. After `extend` it can be iterated again. At each yield the weights have already moved on from the
    step that is yielded, and nothing of the forward pass but the iterate is alive.

    Parameters
    ----------
    problem
        What is fitted.
    generator
        At its start; its weights are moved in place.
    optimizer
        Over the generator's parameters.
    rule
        Chooses the step that is kept.
    snapshots
        Where snapshots go.
    rng
        The run's own source of chance, on the CPU.
    n_steps
        Budget.
    """

    def __init__(
        self,
        problem: Problem,
        generator: DeepDecoder | FusedDecoder,
        optimizer: torch.optim.Optimizer,
        rule: StoppingRule,
        snapshots: SnapshotStore,
        rng: torch.Generator,
        n_steps: int,
    ) -> None:
        self.problem = problem
        self.generator = generator
        self.optimizer = optimizer
        self.rule = rule
        self.snapshots = snapshots
        self.n_steps = n_steps
        self.step = 0
        self.kept_step = 0
        self.reason: StopReason | None = None
        self.curves = Curves()
        self._average = torch.zeros_like(problem.measurement)
        self._next_snapshot = 1
        self._coarse_error = _coarse_error(problem)
        self._weights = rule.begin(problem, generator, rng)
        self._weights = self._weights / self._weights.sum()
        self.iterate: Iterate | None = None
        self._is_stopping = False
        self.is_extended = False
        is_cuda = problem.measurement.device.type == "cuda"
        self._take_step = CapturedStep(self._move) if is_cuda else self._move

    def __iter__(self) -> Iterator[Iterate]:
        while self.reason is None:
            self.iterate = iterate = self._advance()
            if iterate.is_snapshot:
                self.reason = self._take_snapshot(iterate)
            yield iterate

    def stop(self) -> None:
        """End the fit with its next step. May be called from another thread."""
        self._is_stopping = True

    def extend(self, n_steps: int) -> None:
        """Allow that many steps more than have been taken, and let nothing but them end the fit."""
        self.n_steps = self.step + n_steps
        self.reason = None
        self.is_extended = True
        self._is_stopping = False

    def _advance(self) -> Iterate:
        self.step += 1
        output, loss = self._take_step()
        self._average.lerp_(output, 1 / (1 + AVERAGING * (self.step - 1)))
        is_snapshot = self._is_stopping or self.step >= min(self._next_snapshot, self.n_steps)
        iterate = Iterate(self.step, loss, output, self._average, is_snapshot)
        self.curves.add(loss, self.rule.observe(iterate))
        return iterate

    def _move(self) -> tuple[Tensor, ...]:
        """Move the weights; return the output and the loss from before."""
        with torch.enable_grad():
            output = self.generator()[0]
            loss = (self._weights * (output - self.problem.measurement) ** 2).sum()
            self.optimizer.zero_grad()
            loss.backward()
        self.optimizer.step()
        return output.detach(), loss.detach()

    def _take_snapshot(self, iterate: Iterate) -> StopReason | None:
        """Keep this step's images, then ask whether the fit was stopped, failed, is done, or has used its budget."""
        if self.step >= self._next_snapshot:  # an end is no reason to leave the schedule
            self._next_snapshot = next_snapshot_step(self.step)
        self.curves.fetch()
        if not math.isfinite(self.curves.loss[-1]):
            sentence = f"The fit diverged at step {self.step}: its loss is no longer finite."
            return StopReason(Outcome.DIVERGED, sentence)
        self.snapshots.add(
            self.step,
            self.curves.loss[-1],
            self.curves.criterion[-1],
            iterate.output.cpu().numpy(),
            iterate.average.cpu().numpy(),
        )
        judgment = self.rule.judge(self.snapshots.steps)
        self.kept_step = judgment.step
        self.snapshots.thin(keep=[judgment.step])
        if self._is_stopping:
            return StopReason(Outcome.USER, f"Stopped by the user at step {self.step}; step {self.kept_step} is kept.")
        reason = None if self.is_extended else judgment.reason
        if reason is None and self.step >= self.n_steps:
            reason = StopReason(Outcome.BUDGET, f"All {self.n_steps} steps were taken; step {self.kept_step} is kept.")
        if not self.is_extended and (reason is not None or self.step >= MIN_STEPS_TO_JUDGE):
            reason = self._collapse() or reason
        return reason

    def _collapse(self) -> StopReason | None:
        """Recognize a fit that rests far above what any healthy one reaches."""
        loss = self.curves.loss
        if self.generator.dead_fraction() == 1:
            return StopReason(
                Outcome.COLLAPSED, f"The fit collapsed by step {self.step}: all channels of a layer are dead."
            )
        if self.step < MIN_STEPS_TO_JUDGE:
            return None
        quarter = len(loss) // 4
        earlier, later = (statistics.fmean(part) for part in (loss[-2 * quarter : -quarter], loss[-quarter:]))
        if later <= COLLAPSE_FACTOR * self._coarse_error or later < 0.99 * earlier:
            return None
        sentence = (
            f"The fit collapsed: at step {self.step} its loss rests at {later:.2g}, "
            f"while coarse blocks of one value each leave {self._coarse_error:.2g}."
        )
        return StopReason(Outcome.COLLAPSED, sentence)


def _coarse_error(problem: Problem) -> float:
    """What a healthy fit gets below soon: the error of coarse blocks, or a twentieth of the variance if that is more."""
    size = problem.measurement.shape[1:]
    blocks = [min(COARSE_BLOCKS, max(1, n // 4)) for n in size]
    return max(problem.low_pass_error(blocks), 0.05 * problem.low_pass_error([1] * len(size)))
