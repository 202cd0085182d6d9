"""Fit one generator from one start to an image and to noise: the verb under the command line, a widget and the Python function."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.config import Config
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import ArrayLike, ImageTensor, channels_first
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import GeneratorUnits, Outcome, Snapshot, SnapshotStore, StopReason, n_snapshots
from napari_convgen.core.stopping import FixedStep, Iterate, Members
from napari_convgen.errors import FitError, InputError, ShortMemoryError
from napari_convgen.run.denoise.run import N_PROBE_STEPS, STATUS_SECONDS, Denoising
from napari_convgen.run.image_vs_noise.config import FitsConfig
from napari_convgen.run.image_vs_noise.panels import format_share
from napari_convgen.run.image_vs_noise.result import FitsResult, TargetFit
from napari_convgen.run.image_vs_noise.targets import Target, build_targets, variance
from napari_convgen.run.image_vs_noise.weights import WeightDistances
from napari_convgen.run.setup.build import (
    build_generator,
    build_noise,
    build_optimizer,
    generator_bytes,
    resolve_scales,
)
from napari_convgen.run.setup.devices import with_threads
from napari_convgen.run.setup.forecast import ADVICE, Forecast, check_memory, free_bytes, is_short_memory
from napari_convgen.run.setup.inputs import check_reference

LEAST_NOTED = 1e-3
"""A part of a target that cannot be drawn is noted from this share of its variance on."""

CONSTANT = 1e-20
"""Variance, in the generator's units squared, below which a target is constant but for rounding."""


@dataclass(frozen=True)
class Moment:
    """What was noted at a step; one value for each target, in their order.

    Attributes
    ----------
    step
        From 1.
    losses, errors
        As in `napari_convgen.run.image_vs_noise.result.TargetFit`.
    distances
        Of each layer's weights after the step.
    """

    step: int
    losses: tuple[float, ...]
    errors: tuple[float, ...]
    distances: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class FitsProgress:
    """Where a run is.

    Attributes
    ----------
    step, n_steps
        Of all fits.
    moment
        What was noted, if it was at this step.
    seconds
        Spent so far.
    """

    step: int
    n_steps: int
    moment: Moment | None
    seconds: float

    @property
    def seconds_left(self) -> float:
        """About."""
        return (self.n_steps - self.step) * self.seconds / self.step


class FitsRun:
    """Fits of one generator, from one start, to an image and to noise: iterate over it to advance, then ask for its `result`.

    All fits are members of one: they go through the same passes, each as it would go alone, to rounding. The image goes through the
    same model of the noise and the same scaling as in `napari_convgen.run.denoise.run.Denoising`. All input is checked here, before
    anything starts. `stop`, called from anywhere, lets the run end after the next step with what there is.

    Parameters
    ----------
    image
        Noisy array that is a single frame; see `napari_convgen.run.denoise.run.Denoising`.
    config
        Of the generator, its fit, and the targets. Each fit is that of all pixels by a single generator, to the last of its steps.
    axes
        A letter for each axis of ``image``; guessed if ``None``.
    reference
        Ground truth of the same shape: a target of its own, that the other fits are compared with.
    n_spared_threads
        That ``n_threads = "auto"`` leaves to others, such as a window.

    Attributes
    ----------
    config
        That is used.
    names, layers
        Of the targets, and of the generator's layers.
    device, n_threads, backend
        Where it is computed, on how many threads of the CPU, and by what.

    Raises
    ------
    InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be done, in a sentence.
    """

    def __init__(
        self,
        image: ArrayLike,
        config: FitsConfig | None = None,
        *,
        axes: str | None = None,
        reference: ArrayLike | None = None,
        n_spared_threads: int = 0,
    ) -> None:
        config = config or FitsConfig()
        # Noise that all channels share would be fitted as their mean: then what was left of the colors would show in the fit to noise.
        changes = {
            "n_seeds": 1,
            "n_restarts": 0,
            "stopping.kind": "fixed",
            "output": "iterate",
            "noise.is_shared": "no",
        }
        base = config.base.replace({name: value for name, value in changes.items() if config.base.has(name)})
        self.config = FitsConfig(base, config.noise, config.mean, config.added_noise)
        checked = Denoising(image, base, axes=axes, n_spared_threads=n_spared_threads)
        if checked.n_frames > 1:
            raise InputError(f"Fits are compared on a single image, got {checked.n_frames} frames. Choose one of them.")
        self.device, self.n_threads, self.backend = checked.device, checked.n_threads, checked.backend
        index, self._layout, self._shape = checked.indices[0], checked.layout, checked.image.shape
        frame, layout = np.asarray(checked.image[index]), checked.layout
        truth = check_reference(reference, None, self._shape)
        self._image = ImageTensor.of(frame, layout, build_noise(frame, layout, base.noise))
        self._n_scales = resolve_scales(base, self._image.values.shape[1:])
        self._targets = tuple(
            build_targets(self._image, layout, None if truth is None else truth.image[index], self.config)
        )
        self.names = tuple(target.name for target in self._targets)
        self._variances = np.array([target.variance for target in self._targets])
        if self._variances.min() < CONSTANT:
            raise InputError(f"The {self.names[int(np.argmin(self._variances))]} is constant. Choose another one.")
        check_memory(self.n_bytes, self.device)
        self._moments: list[Moment] = []
        # Each image is held once, and counted twice: as the iterate, and in the place of the average.
        self._store = SnapshotStore(2 * base.snapshot_memory * 2**20, GeneratorUnits(), "iterate")
        self._seconds = 0.0
        self._fit = self._new_fit()
        self._distances = WeightDistances(self._fit.generator)
        self.layers = self._distances.layers

    @property
    def n_bytes(self) -> int:
        """Bytes that the fits take at their peak, snapshots included; about."""
        base, values = self.config.base, self._image.values
        as_members = base.replace({"n_seeds": len(self.names)})
        fits = generator_bytes(as_members, values.shape[1:], len(values), self._n_scales, self.backend)
        images = len(self.names) * self._image.frame.nbytes * n_snapshots(base.n_steps)
        return fits + int(min(base.snapshot_memory * 2**20, images))

    def forecast(self) -> Forecast:
        """Say what the run will take: a few steps are taken and timed, and forgotten."""
        n_free = free_bytes(self.device)
        fit = self._new_fit()
        started = 0.0
        for iterate in with_threads(iter(fit), self.n_threads):
            if iterate.step == 1:
                started = time.perf_counter()
            if iterate.step > N_PROBE_STEPS or fit.reason is not None:
                break
        return Forecast(
            n_bytes=self.n_bytes,
            n_bytes_free=n_free,
            seconds_per_step=(time.perf_counter() - started) / max(1, fit.step - 1),
            n_frames=1,
            n_steps=self.config.base.n_steps,
            device=str(self.device),
            backend=self.backend,
            n_threads=self.n_threads,
            noise=self._image.noise,
        )

    def __iter__(self) -> Iterator[FitsProgress]:
        """Advance. A run that was left goes on where it was; one that has ended yields nothing.

        Raises
        ------
        ShortMemoryError
            Memory ran out after all.
        """
        fit, started = self._fit, time.perf_counter()
        try:
            for iterate in with_threads(iter(fit), self.n_threads):
                moment = self._note(iterate) if iterate.is_snapshot and not self._has_diverged else None
                now = time.perf_counter()
                if moment is None and now - started < STATUS_SECONDS:
                    continue
                self._seconds += now - started
                yield FitsProgress(iterate.step, fit.n_steps, moment, self._seconds)
                started = time.perf_counter()
        except Exception as error:
            if not is_short_memory(error):
                raise
            raise ShortMemoryError(f"Memory ran out on {self.device}. {ADVICE}") from error
        self._seconds += time.perf_counter() - started

    def stop(self) -> None:
        """End the run after the next step, with what there is. May be called from another thread."""
        self._fit.stop()

    def snapshots(self) -> dict[str, tuple[Snapshot, ...]]:
        """Return each target's snapshots so far, by its name. Of a run that is not advancing meanwhile."""
        losses = {moment.step: moment.losses for moment in self._moments}
        return {
            name: tuple(
                Snapshot(s.step, losses[s.step][i], math.nan, s.iterate[i], s.iterate[i], output="iterate")
                for s in self._store
            )
            for i, name in enumerate(self.names)
        }

    def result(self) -> FitsResult:
        """Return what there is: the finished run, or the steps of one that was stopped.

        Raises
        ------
        FitError
            No step was taken, or the first one diverged.
        """
        if not self._moments:
            reason = self._fit.reason or "No step has been taken: there is no result. Go through the run first."
            raise FitError(f"{reason} Lower optimizer.learning_rate." if self._has_diverged else str(reason))
        snapshots = self.snapshots()
        moments = self._moments
        step = moments[-1].step
        sentence = f"The run is at step {step} of {self._fit.n_steps}."
        return FitsResult(
            targets=tuple(
                TargetFit(
                    name=target.name,
                    values=self._image.restore(target.values, is_denoised=False).reshape(self._shape),
                    losses=np.array([moment.losses[i] for moment in moments]),
                    errors=np.array([moment.errors[i] for moment in moments]),
                    distances=np.array([moment.distances[i] for moment in moments]),
                    snapshots=snapshots[target.name],
                )
                for i, target in enumerate(self._targets)
            ),
            steps=tuple(moment.step for moment in moments),
            layers=self.layers,
            config=self.config,
            image=self._image,
            reason=self._fit.reason or StopReason(Outcome.USER, sentence),
            notes=tuple(self._notes()),
            seconds=self._seconds,
            device=str(self.device),
            n_threads=self.n_threads,
            backend=self.backend,
        )

    @property
    def _has_diverged(self) -> bool:
        return self._fit.reason is not None and self._fit.reason.outcome is Outcome.DIVERGED

    def _notes(self) -> Iterator[str]:
        reason, n_steps = self._fit.reason, self._fit.n_steps
        if self._has_diverged:
            yield f"{reason} Lower optimizer.learning_rate."
        elif reason is not None and reason.outcome is Outcome.USER and self._fit.step < n_steps:
            yield f"Stopped at step {self._fit.step} of {n_steps}."
        if self.config.base.generator.is_bounded:
            for target in self._targets:
                if (share := target.unreachable) > LEAST_NOTED:
                    yield (
                        f"{format_share(share)} of the variance of the target '{target.name}' cannot be fitted: values that a sigmoid does "
                        "not draw."
                    )
        if n_missing := int((~self._image.is_observed).sum()):
            yield f"{n_missing} values that are missing or impulses were left out."
        if self._store.n_dropped:
            yield f"{self._store.n_dropped} snapshots were let go to stay within snapshot_memory."

    def _new_fit(self) -> Fit:
        base, values = self.config.base, self._image.values
        problem = Problem.of(self._image, self.device)
        n = len(self._targets)
        members = Members(
            torch.stack([self._tensor(target.values) for target in self._targets]),
            torch.stack([self._tensor(target.is_observed) for target in self._targets]),
            starts=(0,) * n,
            is_kept=(True, *(False,) * (n - 1)),
        )
        generator = build_generator(
            base, values.shape[1:], len(values), self._n_scales, members.starts, base.seed, self.backend
        ).to(self.device)
        store = SnapshotStore(0, GeneratorUnits(), "iterate")
        optimizer = build_optimizer(base, generator)
        fit = Fit(problem, generator, optimizer, FixedStep(), members, store, base.n_steps, base.averaging)
        fit.extend(base.n_steps)  # noise that is hardly fitted is no collapse
        return fit

    def _note(self, iterate: Iterate) -> Moment:
        """Keep this step's images; return how far each is from its target, and from the clean image."""
        members = self._fit.members
        over = tuple(range(1, members.weights.ndim))
        squares = (members.weights * (iterate.outputs - members.measurements) ** 2).double().sum(over)
        losses = (squares / members.weights.double().sum(over)).cpu().numpy() / self._variances
        images = [self._image.restore(output, is_denoised=False) for output in iterate.outputs.cpu().numpy()]
        moment = Moment(
            step=iterate.step,
            losses=tuple(losses.tolist()),
            errors=tuple(self._error(target, image) for target, image in zip(self._targets, images, strict=True)),
            distances=tuple(map(tuple, self._distances.measure())),
        )
        self._moments.append(moment)
        stack = np.stack([image.reshape(self._shape) for image in images])
        self._store.add(iterate.step, moment.losses[0], math.nan, stack, stack)
        self._store.thin(keep=[])
        return moment

    def _error(self, target: Target, image: NDArray[np.generic]) -> float:
        """Mean squared difference from the clean image, over that one's variance; NaN if there is none."""
        if target.clean is None:
            return math.nan
        values, _ = channels_first(image, self._layout)
        is_known = self._image.is_observed & ~np.isnan(target.clean)
        square = float(np.mean((values - target.clean) ** 2, where=is_known))
        return square / variance(target.clean, is_known)

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32).to(self.device)


def compare_fits(
    image: ArrayLike,
    config: FitsConfig | Config | None = None,
    *,
    axes: str | None = None,
    reference: ArrayLike | None = None,
    callback: Callable[[FitsProgress], None] | None = None,
) -> FitsResult:
    """Fit one generator, from one start, to an image, to noise of its norm, and to more.

    Parameters
    ----------
    image, axes, reference
        As for `FitsRun`.
    config
        Of the generator alone, or of the targets too; the default preset and uniform noise around the image's mean if ``None``.
    callback
        Called with each `FitsProgress`, every 50 ms and whenever something was noted.

    Returns
    -------
    FitsResult
        Curves, images and weight distances of each target, and the answer in words.

    Raises
    ------
    InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be done, in a sentence, before anything starts.
    FitError
        The first step diverged.
    """
    run = FitsRun(image, FitsConfig(config) if isinstance(config, Config) else config, axes=axes, reference=reference)
    for progress in run:
        if callback is not None:
            callback(progress)
    return run.result()
