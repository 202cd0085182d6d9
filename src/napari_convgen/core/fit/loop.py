"""The one loop: the members of a generator are fitted to a measurement, step by step.

`Fit` is iterated to advance. It can be left and taken up again, its budget can be raised after it has ended, and it can go
back to an earlier step and on from there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.core.cpu.threads import for_each_member
from napari_convgen.core.fit.cuda_graph import CapturedStep, Step
from napari_convgen.core.fit.curves import Curves
from napari_convgen.core.fit.guides import Mixture
from napari_convgen.core.fit.health import MIN_STEPS_TO_JUDGE, HealthCheck
from napari_convgen.core.fit.optimizers import Optimizer
from napari_convgen.core.fit.states import FitState, StateRing
from napari_convgen.core.generators import Generator
from napari_convgen.core.problem import Problem, squared
from napari_convgen.core.snapshot import Outcome, SnapshotStore, StopReason, next_snapshot_step
from napari_convgen.core.stopping import Iterate, Judgment, Members, StoppingRule
from napari_convgen.core.stopping.ensemble import local_variance


class Fit:
    """A generator that is being fitted to a measurement.

    Iterating advances the fit by a step at a time until the rule or the budget ends it; ``reason`` then says why, and
    ``judgment`` which snapshot to keep. After `extend` it can be iterated again. At each yield the weights have already moved on from the
    step that is yielded, and nothing of the forward pass but the iterate is alive.

    Parameters
    ----------
    problem
        Measurement, operator and noise.
    generator
        Generator at its start, with as many members as there are in ``members``; its weights are changed in place.
    optimizer
        Optimizer of the generator's parameters.
    rule
        Rule that chooses the step that is kept.
    members
        Measurement and weights of each member, made by the rule for this problem.
    snapshots
        Store that takes the snapshots.
    n_steps
        Number of steps at most.
    averaging
        Share of the steps so far that the running average reaches back over, from 0 to 1; default 0.08.
    has_health_check
        True, the default, to end a fit that has collapsed.
    mixture
        Mixture of the generator's images with guides, which are what it draws from; ``None``, the default, if there are none.
    """

    def __init__(
        self,
        problem: Problem,
        generator: Generator,
        optimizer: Optimizer,
        rule: StoppingRule,
        members: Members,
        snapshots: SnapshotStore,
        n_steps: int,
        averaging: float = 0.08,
        has_health_check: bool = True,
        mixture: Mixture | None = None,
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
        self._is_fitted = mixture is None or not mixture.is_guide_alone
        self._health = HealthCheck(problem) if has_health_check and self._is_fitted else None
        rule.begin(problem, members)
        self._mixture = mixture
        if mixture is None or (problem.is_denoising and mixture.noise_level is None):
            level = problem.bright_noise_level if generator.has_lessons else problem.noise_level
            generator.prepare(members.measurements, members.weights, level, problem.noise_spectrum)
        if mixture is not None:
            generator.guide(mixture.guides, mixture.noise_level)
        self._kept = tuple(i for i, is_kept in enumerate(members.is_kept) if is_kept)
        self._kept_index = torch.tensor(self._kept, device=problem.measurement.device)
        image_shape = (len(members), *problem.forward_model.in_shape)
        self._averages = members.weights.new_zeros(image_shape)
        self._states = StateRing(generator, optimizer, self._averages)
        kind = LessonStep if generator.has_lessons else DescentStep
        self._take_step = _step_taken(kind(problem, generator, optimizer, members), mixture)

    @property
    def is_mixed(self) -> bool:
        """True if the generator's images are mixed with guides."""
        return self._mixture is not None

    @property
    def guide_notes(self) -> tuple[str, ...]:
        """Sentences on the guides that the user should know."""
        return () if self._mixture is None else self._mixture.notes

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
            Number of the step that the fit is at.
        """
        state = self._states.restore(step)
        self.step = state
        self.curves.cut(state)
        self.snapshots.cut(state)
        self.iterate = None
        self._next_snapshot = next_snapshot_step(state)
        # Snapshots up to here may have been dropped, where memory is short.
        self.judgment = self.rule.judge(self.snapshots.steps) if len(self.snapshots) else None
        self.reason = StopReason(Outcome.USER, f"The fit was taken back to step {state}.")
        return state

    def end_at_kept(self) -> FitState:
        """Return the state at the step that is kept, or the latest before it that there is. The fit cannot go on afterwards."""
        self._states.restore(self.kept_step)
        return FitState(dict(self.generator.named_parameters()), self.optimizer.memory, self._averages)

    def begin_at(self, state: FitState) -> bool:
        """Begin where another fit has ended, if its image helps; return False, and begin as it was built, if not.

        It helps if it is of the same shape, and nearer to the measurement than the measurement's mean is: after a cut in a movie it is not.

        Raises
        ------
        RuntimeError
            Steps have been taken.
        """
        if self.step:
            raise RuntimeError("A fit that has begun cannot begin elsewhere.")
        own = dict(self.generator.named_parameters())
        if {name: p.shape for name, p in own.items()} != {name: p.shape for name, p in state.weights.items()}:
            return False
        if not self._is_near(state.averages):
            return False
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state.weights[name])
        self.optimizer.restore(state.optimizer)
        return True

    def _is_near(self, images: Tensor) -> bool:
        """Return True if images are nearer to the members' measurements than the means of these, over all members."""
        y, weights = self.members.measurements, self.members.weights
        over = tuple(range(2, y.ndim))
        means = (weights * y).sum(over, keepdim=True) / weights.sum(over, keepdim=True).clamp_min(1e-12)
        return bool((weights * squared(self.problem.residual(images, y))).sum() < (weights * (y - means) ** 2).sum())

    def _advance(self) -> Iterate:
        self.step += 1
        outputs, losses = self._take_step()
        self._averages.lerp_(outputs, 1 / (1 + self.averaging * (self.step - 1)))
        is_settled = self.generator.is_settled
        self.generator.update(self.step, self._averages)
        is_snapshot = self._is_stopping or self.step >= min(self._next_snapshot, self.n_steps)
        loss = losses[self._kept_index].mean()
        iterate = self._mixed(Iterate(self.step, loss, outputs, self._averages, is_snapshot, self._kept, is_settled))
        self.curves.add(iterate.loss, losses.amax(), self.rule.observe(iterate))
        return iterate

    def _mixed(self, iterate: Iterate) -> Iterate:
        """Mix the members' images with their guides, if there are any."""
        if (mixture := self._mixture) is None:
            return iterate
        outputs, averages = mixture(iterate.outputs), mixture(iterate.averages)
        known = replace(iterate, correction=mixture.correction, guides=mixture.guides, influence=mixture.influence)
        return replace(known, outputs=outputs, averages=averages)

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
            return StopReason(Outcome.USER, self._stop_sentence())
        return self._end(self.judgment)

    def _end(self, judgment: Judgment) -> StopReason | None:
        """Return why the fit ends at this snapshot, if it does; a collapse counts more than the rule and the budget."""
        reason = None if self.is_extended else judgment.reason
        if reason is None and self.step >= self.n_steps:
            reason = StopReason(Outcome.BUDGET, self._budget_sentence())
        is_checked = self._health is not None and not self.is_extended
        if self._health is not None and is_checked and (reason is not None or self.step >= MIN_STEPS_TO_JUDGE):
            dead_fraction = self.generator.dead_fraction()
            reason = self._health.collapse(self.step, self.curves.worst, dead_fraction) or reason
        return reason

    def _budget_sentence(self) -> str:
        if self.n_steps > 1:
            return f"All {self.n_steps} steps were taken; step {self.kept_step} is kept."
        if not self._is_fitted:
            return "No network was fitted: the image is the first estimate."
        return f"The only step was taken; step {self.kept_step} is kept."

    def _stop_sentence(self) -> str:
        if not self._is_fitted:
            return "Stopped by the user. No network was fitted: the image is the first estimate at that moment."
        if self.step == 1:
            return "Stopped by the user before the second step; step 1 is kept."
        return f"Stopped by the user at step {self.step}; step {self.kept_step} is kept."

    def _expected_error(self, iterate: Iterate, judgment: Judgment) -> NDArray[Any] | None:
        """Return the standard deviation of the image's error at each pixel: the members' variance, calibrated as far as the rule can.

        A single member has none, and where no network is fitted, all members are the same.
        """
        if len(self._kept) == 1 or not self._is_fitted:
            return None
        variance = local_variance(iterate.images(self.snapshots.output)[self._kept_index])
        if judgment.calibration is not None:
            slope, offset = judgment.calibration
        elif judgment.error is not None:
            weights = self.problem.error_weights_at(iterate.image(self.snapshots.output))
            slope, offset = judgment.error.mse / (weights.unit * max(weights.mean(variance), 1e-30)), 0.0
        else:
            slope, offset = 1.0, 0.0
        return (slope * variance + offset).sqrt().cpu().numpy()


def _step_taken(step: DescentStep, mixture: Mixture | None) -> Step:
    """Return what takes a step: without effect where nothing of the generator is mixed in, and by a CUDA graph where there can be one."""
    if mixture is not None and mixture.is_guide_alone:
        guides, losses = mixture.guides, step.losses(mixture.guides, step.measurements)
        return lambda: (guides, losses)
    is_cuda = step.measurements.device.type == "cuda"
    return CapturedStep(step) if is_cuda and step.generator.is_capturable else step


class DescentStep:
    """One step of the optimizer on the mean squared residual of each member.

    It holds nothing of the `Fit`, so that a fit that is let go is freed at once, with all its tensors.

    Parameters
    ----------
    problem, generator, optimizer, members
        Parts of a `Fit`.
    """

    def __init__(self, problem: Problem, generator: Generator, optimizer: Optimizer, members: Members) -> None:
        self.problem = problem
        self.generator = generator
        self.optimizer = optimizer
        self.measurements = members.measurements
        over = tuple(range(1, members.weights.ndim))
        self.weights = members.weights / members.weights.sum(over, keepdim=True)

    def __call__(self) -> tuple[Tensor, ...]:
        """Change the weights; return the members' outputs and losses from before."""
        self.optimizer.zero_grad()
        parts: list[Tensor] = []
        with torch.enable_grad():
            for images in self.generator.draw():
                targets = self.generator.targets(self.measurements)
                losses = self.losses(images, targets, sum(map(len, parts)))
                losses.sum().backward()  # each member's gradient is that of its own loss
                parts.append(images.detach())
        self.optimizer.step()
        outputs = parts[0] if len(parts) == 1 else torch.cat(parts)
        is_last = len(parts) == 1 and targets is self.measurements
        return outputs, losses.detach() if is_last else self.losses(outputs, self.measurements)

    def losses(self, images: Tensor, targets: Tensor, first: int = 0) -> Float[Tensor, "p"]:
        """Return the mean squared residual of some members, from the ``first`` on, over the entries that each is fitted to.

        For all operators its curvature by the image is within a factor of about 4 of that of denoising, so that a learning rate of gradient
        descent means about the same. It is not divided by the squared norm of the operator as well: that of an enlargement falls with its
        number of entries, and the mean makes up for it already.
        """
        members = slice(first, first + len(images))
        return (self.weights[members] * squared(self.problem.residual(images, targets[members]))).flatten(1).sum(1)


class LessonStep(DescentStep):
    """One step of a generator that learns from examples that it makes itself: its lessons, and then the members' images."""

    def __call__(self) -> tuple[Tensor, ...]:
        """Change the weights; return the members' outputs and losses from afterwards."""

        def learn(member: int) -> None:
            with torch.enable_grad():
                self.generator.learn(member)

        for _ in range(self.generator.n_lessons):
            self.optimizer.zero_grad()
            for_each_member(learn, len(self.measurements), self.measurements.device)
            self.optimizer.step()
        with torch.no_grad():
            outputs = self.generator()
        return outputs, self.losses(outputs, self.measurements)
