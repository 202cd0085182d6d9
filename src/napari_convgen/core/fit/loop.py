"""The one loop: the members of a generator are moved towards a measurement, step by step.

`Fit` is iterated to advance. It can be left and taken up again, its budget can be raised after it has ended, and it can go
back to an earlier step and on from there.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.core.fit.cuda_graph import CapturedStep
from napari_convgen.core.fit.states import StateRing
from napari_convgen.core.generators import Generator
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import (
    Outcome,
    SnapshotStore,
    StopReason,
    next_snapshot_step,
)
from napari_convgen.core.stopping import Iterate, Judgment, Members, StoppingRule
from napari_convgen.core.stopping.ensemble import local_variance

COARSE_BLOCKS, COLLAPSE_FACTOR = 8, 2.0
"""A fit has collapsed when it rests above so many times the error of the image made of so many constant blocks a side."""

MIN_STEPS_TO_JUDGE = 200
"""Steps before a fit that rests can be called collapsed."""


@dataclass
class Curves:
    """Loss and criterion of every step so far; values wait on the device until `fetch`.

    Attributes
    ----------
    loss
        Mean over the kept members.
    worst
        Loss of the member that fits worst.
    criterion
        Of the stopping rule.
    """

    loss: list[float] = field(default_factory=list)
    worst: list[float] = field(default_factory=list)
    criterion: list[float] = field(default_factory=list)
    _waiting: list[Tensor] = field(default_factory=list)

    def add(self, loss: Tensor, worst: Tensor, criterion: Tensor) -> None:
        """Note one step, without waiting for the device."""
        self._waiting.append(torch.stack((loss, worst, criterion)))

    def fetch(self) -> None:
        """Bring what waits on the device over."""
        if self._waiting:
            for values in torch.stack(self._waiting).tolist():
                for curve, value in zip((self.loss, self.worst, self.criterion), values, strict=True):
                    curve.append(value)
            self._waiting.clear()

    def cut(self, step: int) -> None:
        """Forget all that came after a step."""
        self.fetch()
        for curve in (self.loss, self.worst, self.criterion):
            del curve[step:]


class Fit:
    """A generator on its way to a measurement.

    Iterating advances the fit by a step at a time until the rule or the budget ends it; ``reason`` then says why, and
    ``judgment`` which snapshot to keep. After `extend` it can be iterated again. At each yield the weights have already moved on from the
    step that is yielded, and nothing of the forward pass but the iterate is alive.

    Parameters
    ----------
    problem
        What is fitted.
    generator
        At its start, with as many members as there are in ``members``; its weights are moved in place.
    optimizer
        Over the generator's parameters.
    rule
        Chooses the step that is kept.
    members
        Of the rule, for this problem.
    snapshots
        Where snapshots go.
    n_steps
        Budget.
    averaging
        The running average at step ``t`` reaches back over about ``averaging * t`` steps.
    """

    def __init__(
        self,
        problem: Problem,
        generator: Generator,
        optimizer: torch.optim.Optimizer,
        rule: StoppingRule,
        members: Members,
        snapshots: SnapshotStore,
        n_steps: int,
        averaging: float = 0.08,
    ) -> None:
        self.averaging = averaging
        self.problem = problem
        self.generator = generator
        self.optimizer = optimizer
        self.rule = rule
        self.members = members
        self.snapshots = snapshots
        self.n_steps = n_steps
        self.step = 0
        self.judgment: Judgment | None = None
        self.reason: StopReason | None = None
        self.curves = Curves()
        self.iterate: Iterate | None = None
        self.is_extended = False
        self._is_stopping = False
        self._next_snapshot = 1
        self._coarse_error = _coarse_error(problem)
        rule.begin(problem, members)
        generator.meet(members.measurements, members.weights, problem.noise_level, problem.noise_spectrum)
        over = tuple(range(1, members.weights.ndim))
        self._weights = members.weights / members.weights.sum(over, keepdim=True)
        self._kept = tuple(i for i, is_kept in enumerate(members.is_kept) if is_kept)
        self._kept_index = torch.tensor(self._kept, device=problem.measurement.device)
        self._averages = torch.zeros_like(members.measurements)
        self._states = StateRing(generator, optimizer, self._averages)
        is_cuda = problem.measurement.device.type == "cuda"
        self._take_step = CapturedStep(self._move) if is_cuda and generator.is_capturable else self._move

    @property
    def kept_step(self) -> int:
        """The snapshot to keep, were the fit to end now; 0 before the first."""
        return 0 if self.judgment is None else self.judgment.step

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

    def goes_back_to(self, step: int) -> int:
        """Return the step that `go_back` would return to."""
        return self._states.latest(step)

    def go_back(self, step: int) -> int:
        """Return to the latest state kept that is not after ``step``, and forget what came later.

        States are kept of the first snapshot, the last, and some between, closest around the step that the rule would keep.

        Returns
        -------
        int
            The step that the fit is at.
        """
        state = self._states.restore(step)
        self.step = state
        self.curves.cut(state)
        self.snapshots.cut(state)
        self.iterate = None
        self._next_snapshot = next_snapshot_step(state)
        self.judgment = self.rule.judge(self.snapshots.steps)
        self.reason = StopReason(Outcome.USER, f"The fit was taken back to step {state}.")
        return state

    def _advance(self) -> Iterate:
        self.step += 1
        outputs, losses = self._take_step()
        self._averages.lerp_(outputs, 1 / (1 + self.averaging * (self.step - 1)))
        is_settled = self.generator.is_settled
        self.generator.follow(self.step, self._averages)
        is_snapshot = self._is_stopping or self.step >= min(self._next_snapshot, self.n_steps)
        loss = losses[self._kept_index].mean()
        iterate = Iterate(self.step, loss, outputs, self._averages, is_snapshot, self._kept, is_settled)
        self.curves.add(iterate.loss, losses.amax(), self.rule.observe(iterate))
        return iterate

    def _move(self) -> tuple[Tensor, ...]:
        """Move the weights; return the members' outputs and losses from before."""
        measurements = self.members.measurements
        with torch.enable_grad():
            outputs = self.generator()
            targets = self.generator.targets(measurements)
            losses = self._mean_squares(outputs - targets)
            self.optimizer.zero_grad()
            losses.sum().backward()  # each member's gradient is that of its own loss
        self.optimizer.step()
        outputs, losses = outputs.detach(), losses.detach()
        return outputs, losses if targets is measurements else self._mean_squares(outputs - measurements)

    def _mean_squares(self, difference: Tensor) -> Tensor:
        """Of each member, over the pixels that it is fitted to."""
        return (self._weights * difference**2).flatten(1).sum(1)

    def _take_snapshot(self, iterate: Iterate) -> StopReason | None:
        """Keep this step's images, then ask whether the fit was stopped, failed, is done, or has used its budget."""
        if self.step >= self._next_snapshot:  # an end is no reason to leave the schedule
            self._next_snapshot = next_snapshot_step(self.step)
        self.curves.fetch()
        if not math.isfinite(self.curves.worst[-1]):
            sentence = f"The fit diverged at step {self.step}: its loss is no longer finite."
            return StopReason(Outcome.DIVERGED, sentence)
        self.judgment = self.rule.judge([*self.snapshots.steps, self.step])
        self.snapshots.add(
            self.step,
            self.curves.loss[-1],
            self.curves.criterion[-1],
            iterate.output.cpu().numpy(),
            iterate.average.cpu().numpy(),
            self._expected_error(iterate, self.judgment),
        )
        self.snapshots.thin(keep=[self.kept_step])
        self._states.save(self.step, around=self.kept_step)
        if self._is_stopping:
            return StopReason(Outcome.USER, f"Stopped by the user at step {self.step}; step {self.kept_step} is kept.")
        reason = None if self.is_extended else self.judgment.reason
        if reason is None and self.step >= self.n_steps:
            reason = StopReason(Outcome.BUDGET, f"All {self.n_steps} steps were taken; step {self.kept_step} is kept.")
        if not self.is_extended and (reason is not None or self.step >= MIN_STEPS_TO_JUDGE):
            reason = self._collapse() or reason
        return reason

    def _expected_error(self, iterate: Iterate, judgment: Judgment) -> NDArray[Any] | None:
        """Return the standard deviation of the image's error at each pixel: the members' variance, calibrated as far as the rule can."""
        if len(self._kept) == 1:
            return None
        variance = local_variance(iterate.images(self.snapshots.output)[self._kept_index])
        if judgment.calibration is not None:
            slope, offset = judgment.calibration
        elif judgment.error is not None:
            worth = self.problem.worth_at(iterate.image(self.snapshots.output))
            slope, offset = judgment.error.mse / (worth.unit * max(worth.mean(variance), 1e-30)), 0.0
        else:
            slope, offset = 1.0, 0.0
        return (slope * variance + offset).sqrt().cpu().numpy()

    def _collapse(self) -> StopReason | None:
        """Recognize a fit with a member that rests far above what any healthy one reaches."""
        loss = self.curves.worst
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
