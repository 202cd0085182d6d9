"""Fit one generator from one start to an image and to noise: the verb under the command line, a widget and the Python function."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.config import GENERATOR_ALONE, Config
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import ImageTensor, magnitude
from napari_convgen.core.problem import squared
from napari_convgen.core.snapshot import GeneratorUnits, Outcome, Snapshot, SnapshotStore, StopReason, n_snapshots
from napari_convgen.core.stopping import FixedStep, Iterate, Members
from napari_convgen.errors import FitError, InputError
from napari_convgen.run.image_vs_noise.config import ONE_FIT, TargetsConfig
from napari_convgen.run.image_vs_noise.entries import build_entry_targets
from napari_convgen.run.image_vs_noise.progress import CompareFitsProgress, Moment
from napari_convgen.run.image_vs_noise.result import CompareFitsResult, TargetFit
from napari_convgen.run.image_vs_noise.targets import Target, build_targets, variance
from napari_convgen.run.image_vs_noise.weights import WeightDistances
from napari_convgen.run.labels import format_share
from napari_convgen.run.reconstruct.look import pose_look
from napari_convgen.run.setup.fits import new_fit
from napari_convgen.run.setup.forecast import Forecast, check_memory, free_bytes, time_step
from napari_convgen.run.setup.inputs import ImageLike, check_reference, resolve_config
from napari_convgen.run.task import Task

LEAST_NOTED = 1e-3
"""Share of a target's variance from which on it is noted that this part cannot be fitted: what two digits of percent show."""

CONSTANT = 1e-20
"""Variance, in the generator's units squared, below which a target is constant but for rounding of float64."""


class CompareFitsTask(Task[CompareFitsProgress, CompareFitsResult]):
    """Fit one generator, from one start, to an image and to noise.

    All fits are members of one: they go through the same passes, each as it would go alone, to rounding. The image goes through the
    same model of the noise and the same scaling as when it is denoised.

    Parameters
    ----------
    image
        Noisy array that is a single frame; see `napari_convgen.run.setup.prepared.Prepared`.
    config
        Configuration of the generator and its fit, name of a preset, or ``None`` for the preset ``"deep-decoder"``. Each fit is that of all
        pixels by a single generator, to the last of its steps.
    axes
        One letter for each axis of ``image``; guessed if ``None``.
    reference
        Ground truth of the same shape: a target of its own, that the other fits are compared with.
    n_spared_threads
        Number of threads that ``n_threads = "auto"`` leaves to others, such as a window; default 0.
    targets
        What is fitted beside the image; uniform noise around the image's mean if ``None``.
    problem
        Name of the problem that the image is the measurement of, such as ``"deblur"`` or ``"sense"``: then the measurement of the
        generator's image is fitted to it and to noise, and the reference, in the shape of a reconstruction, is no target of its own; that
        of ``"phase"`` is linear, near the phase that is found first. ``None``, the default, fits
        the generator's image itself.
    **inputs
        What the problem needs beside the image, as for `napari_convgen.reconstruct`.

    Attributes
    ----------
    targets
        Settings of the targets.
    look
        The checked image or measurement.
    names, layers
        Names of the targets, and of the generator's layers.

    Raises
    ------
    InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be done, in a sentence.
    """

    def __init__(
        self,
        image: ImageLike,
        config: Config | str | None = None,
        *,
        axes: str | None = None,
        reference: ImageLike | None = None,
        n_spared_threads: int = 0,
        targets: TargetsConfig | None = None,
        problem: str | None = None,
        **inputs: Any,
    ) -> None:
        self.targets = targets or TargetsConfig()
        self.targets.check_generator(chosen := resolve_config(config, default=GENERATOR_ALONE))
        one = chosen.replace({name: value for name, value in ONE_FIT.items() if chosen.has(name)})
        single = "Fits are compared on a single image"
        self.look = pose_look(problem, image, one, axes, n_spared_threads, single, inputs)
        super().__init__(self.look.prepared)
        truth = check_reference(reference, None, self.look.image_shape)
        self._truth = None if truth is None else truth.image
        self._is_found_out = not self.look.has_instrument
        self._pose()
        check_memory(self.n_bytes, self.device, self.prepared.memory_advice)
        self._moments: list[Moment] = []
        # Each image is held once, and counted twice: as the iterate, and in the place of the average.
        self._store = SnapshotStore(2 * self.config.snapshot_memory * 2**20, GeneratorUnits(), "iterate")
        self._begin()

    def _pose(self) -> None:
        """Build the targets."""
        self._targets = tuple(self._build_targets())
        self.names = tuple(target.name for target in self._targets)
        self._variances = np.array([target.variance for target in self._targets])
        if self._variances.min() < CONSTANT:
            raise InputError(f"The {self.names[int(np.argmin(self._variances))]} is constant. Choose another one.")

    def _build_targets(self) -> Iterator[Target]:
        look, truth = self.look, self._truth
        if not look.measures_image:
            assert look.posed is not None
            aligned = None if truth is None else look.posed.aligned(truth).reshape(-1, *look.image_shape[-2:])
            yield from build_entry_targets(look, aligned, self.targets, self.config.seed)
            return
        clean = None if truth is None else truth[self.prepared.pieces[0].index]
        has_operator = look.posed is not None
        yield from build_targets(look.scaled, self.prepared.layout, clean, self.targets, self.config.seed, has_operator)

    def _begin(self) -> None:
        """Put the fits at their start."""
        self._fit = self._new_fit()
        self._distances = WeightDistances(self._fit.generator)
        self.layers = self._distances.layers

    @property
    def _image(self) -> ImageTensor:
        return self.look.scaled

    @property
    def n_bytes(self) -> int:
        """Bytes that the fits take at their peak, snapshots included; about."""
        fits = self.prepared.generator_bytes(len(self._image.values), n_seeds=len(self.names))
        images = len(self.names) * self._image.frame.nbytes * n_snapshots(self.config.n_steps)
        return fits + int(min(self.config.snapshot_memory * 2**20, images))

    def forecast(self) -> Forecast:
        """Predict memory and time: a few steps are taken, timed and forgotten."""
        n_free = free_bytes(self.device)
        return Forecast(
            n_bytes=self.n_bytes,
            n_bytes_free=n_free,
            step=time_step(self._new_fit(), self.n_threads),
            n_frames=1,
            n_steps=self.config.n_steps,
            device=str(self.device),
            backend=self.prepared.backend,
            n_threads=self.n_threads,
            noise=self._image.noise,
            leaves_out_search=not self._is_found_out,
        )

    def _advance(self) -> Iterator[CompareFitsProgress]:
        yield from self._find_out()
        if not self._is_found_out:
            return
        fit = self._fit

        def is_noted(iterate: Iterate) -> bool:
            return iterate.is_snapshot and not self._has_diverged

        def noted() -> Iterator[tuple[Iterate, Moment | None]]:
            for iterate in fit:
                yield iterate, self._note(iterate) if is_noted(iterate) else None

        for iterate, moment in self._paced(noted(), lambda step: step[1] is not None):
            yield self._progress(iterate.step, moment, 1.0)

    def _find_out(self) -> Iterator[CompareFitsProgress]:
        """Find out, once, what the measurement tells of the instrument; the problem, and so the fits, are others then."""
        if self._is_found_out:
            return
        for share in self._paced(self.look.find_out(lambda: self._is_stopping)):
            yield self._progress(0, None, share)
        if not self._is_stopping:
            self._is_found_out = True
            self._pose()
            self._begin()

    def _progress(self, step: int, moment: Moment | None, found: float) -> CompareFitsProgress:
        n_steps, before = self._fit.n_steps, self.look.find_out_share
        return CompareFitsProgress(
            step=step, n_steps=n_steps, moment=moment, seconds=self._seconds, before=before, found=found
        )

    def _let_go(self) -> None:
        """Hold on to the fit: its snapshots are the result so far."""

    def stop(self) -> None:
        """End the task after the next step, with what there is. May be called from another thread."""
        super().stop()
        self._fit.stop()

    @property
    def has_result(self) -> bool:
        """True once something was noted."""
        return bool(self._moments)

    def target(self, name: str) -> NDArray[Any]:
        """Return what the generator is fitted to, in the image's shape, dtype and units, held within the image's range.

        A measurement that is no image is not held within a range.
        """
        values = next(target.values for target in self._targets if target.name == name)
        if not self.look.measures_image:
            assert self.look.posed is not None
            return self.look.posed.measured_as(values)
        return self._image.restore(values, is_denoised=False).reshape(self.image.shape)

    def snapshots(self) -> dict[str, tuple[Snapshot, ...]]:
        """Return each target's snapshots so far, by its name; only while the task is not advancing."""
        losses = {moment.step: moment.losses for moment in self._moments}
        return {
            name: tuple(
                Snapshot(s.step, losses[s.step][i], math.nan, s.iterate[i], s.iterate[i], output="iterate")
                for s in self._store
            )
            for i, name in enumerate(self.names)
        }

    def result(self) -> CompareFitsResult:
        """Return what there is: all steps, or those that were taken before a stop.

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
        return CompareFitsResult(
            targets=tuple(
                TargetFit(
                    name=target.name,
                    values=self.target(target.name),
                    losses=np.array([moment.losses[i] for moment in moments]),
                    errors=np.array([moment.errors[i] for moment in moments]),
                    distances=np.array([moment.distances[i] for moment in moments]),
                    snapshots=snapshots[target.name],
                )
                for i, target in enumerate(self._targets)
            ),
            steps=tuple(moment.step for moment in moments),
            layers=self.layers,
            config=self.prepared.config_again,
            target_settings=self.targets,
            image=self._image,
            reason=self._fit.reason or StopReason(Outcome.USER, sentence),
            notes=tuple(self._notes()),
            seconds=self._seconds,
            device=str(self.device),
            n_threads=self.n_threads,
            backend=self.prepared.backend,
        )

    @property
    def _has_diverged(self) -> bool:
        return self._fit.reason is not None and self._fit.reason.outcome is Outcome.DIVERGED

    def _notes(self) -> Iterator[str]:
        yield from self.prepared.backend_notes
        reason, n_steps = self._fit.reason, self._fit.n_steps
        if self._has_diverged:
            yield f"{reason} Lower optimizer.learning_rate."
        elif reason is not None and reason.outcome is Outcome.USER and self._fit.step < n_steps:
            yield f"Stopped at step {self._fit.step} of {n_steps}."
        if self.config.generator.is_bounded:
            for target in self._targets:
                if (share := target.unreachable) > LEAST_NOTED:
                    yield (
                        f"{format_share(share)} of the {target.name} cannot be fitted: it has values that the generator cannot output."
                    )
        yield from self.look.notes()
        if self._store.n_dropped:
            yield f"{self._store.n_dropped} snapshots were dropped to stay within snapshot_memory."

    def _new_fit(self) -> Fit:
        n = len(self._targets)
        members = Members(
            torch.stack([self._tensor(target.values) for target in self._targets]),
            torch.stack([self._tensor(target.is_observed) for target in self._targets]),
            starts=(0,) * n,
            is_kept=(True, *(False,) * (n - 1)),
        )
        return new_fit(
            self.prepared,
            self.look.problem(),
            self._image,
            FixedStep(),
            members,
            self.config.seed,
            units=GeneratorUnits(),
            max_bytes=0,
            has_health_check=False,  # noise that is hardly fitted is no collapse
        )

    def _note(self, iterate: Iterate) -> Moment:
        """Keep this step's images; return how far each is from its target, and from the clean image."""
        members = self._fit.members
        over = tuple(range(1, members.weights.ndim))
        residual = self._fit.problem.residual(iterate.outputs, members.measurements)
        squares, weights = (members.weights * squared(residual)).cpu().double(), members.weights.cpu().double()
        losses = (squares.sum(over) / weights.sum(over)).numpy() / self._variances
        images = [self.look.restore(output) for output in iterate.outputs.cpu().numpy()]
        moment = Moment(
            step=iterate.step,
            losses=tuple(losses.tolist()),
            errors=tuple(self._error(target, image) for target, image in zip(self._targets, images, strict=True)),
            distances=tuple(map(tuple, self._distances.measure())),
        )
        self._moments.append(moment)
        stack = np.stack([image.reshape(self.look.image_shape) for image in images])
        self._store.add(iterate.step, moment.losses[0], math.nan, stack, stack)
        self._store.thin(keep=[])
        return moment

    def _error(self, target: Target, image: NDArray[np.generic]) -> float:
        """Mean squared difference from the clean image, over that one's variance; NaN if there is none."""
        if target.clean is None:
            return math.nan
        if self.look.measures_image:
            values = self._image.measured.take(image, self.prepared.layout)
        else:
            values = magnitude(image).reshape(target.clean.shape)
        is_known = ~np.isnan(target.clean)
        if self.look.posed is None:
            is_known &= self._image.is_observed
        square = float(np.mean((values - target.clean) ** 2, where=is_known))
        return square / variance(target.clean, is_known)

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        tensor = torch.as_tensor(values)
        return tensor.to(self.device, torch.complex64 if tensor.is_complex() else torch.float32)


def compare_fits(
    image: ImageLike,
    config: Config | str | None = None,
    *,
    axes: str | None = None,
    reference: ImageLike | None = None,
    seed: int | None = None,
    device: str | None = None,
    callback: Callable[[CompareFitsProgress], None] | None = None,
    targets: TargetsConfig | None = None,
    problem: str | None = None,
    **inputs: Any,
) -> CompareFitsResult:
    """Fit one generator, from one start, to an image, to noise of its norm, and to more.

    Parameters
    ----------
    image, axes, reference, seed, device
        As for `napari_convgen.denoise`; the image is a single frame, and the reference is one more target.
    config
        Configuration, or name of a preset that fits a generator alone: ``"deep-decoder"``, ``"paper"``, ``"paper-narrow"`` or
        ``"deep-image-prior"``; ``None``, the default, for ``"deep-decoder"``.
    callback
        Function that is called with each `CompareFitsProgress`, every 50 ms and whenever something was noted.
    targets
        What is fitted beside the image; uniform noise around the image's mean if ``None``.
    problem, **inputs
        As for `CompareFitsTask`.

    Returns
    -------
    CompareFitsResult
        Curves, images and weight distances of each target, and the answer in words.

    Raises
    ------
    InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be done, in a sentence, before anything starts.
    FitError
        The first step diverged.
    """
    chosen = resolve_config(config, {"seed": seed, "device": device}, default=GENERATOR_ALONE)
    task = CompareFitsTask(image, chosen, axes=axes, reference=reference, targets=targets, problem=problem, **inputs)
    return task.finish(callback)
