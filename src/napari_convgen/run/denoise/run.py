"""Denoise an array: the verb under the command line, the widget and the Python function."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.config import preset as preset_named
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.generators import Generator
from napari_convgen.core.image import ArrayLike, ImageTensor, Layout, check_array
from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, Snapshot, SnapshotStore, n_snapshots
from napari_convgen.errors import ConfigError, FitError, InputError, ShortMemoryError
from napari_convgen.run.denoise.result import FrameResult, Result
from napari_convgen.run.setup.build import (
    build_generator,
    build_noise,
    build_optimizer,
    build_rule,
    check_guidance,
    check_noise_level,
    check_precision,
    describe_slow_backend,
    generator_bytes,
    random_source,
    resolve_generator_backend,
    resolve_scales,
)
from napari_convgen.run.setup.devices import (
    Backend,
    keep_triton_out,
    resolve_device,
    resolve_threads,
    with_threads,
)
from napari_convgen.run.setup.forecast import ADVICE, Forecast, check_memory, free_bytes, is_short_memory
from napari_convgen.run.setup.inputs import as_array, check_reference

STATUS_SECONDS = 0.05
"""Progress is yielded at every snapshot and otherwise this often."""

N_PROBE_STEPS = 3
"""Steps that a forecast measures, after one that loads what is needed."""


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    Attributes
    ----------
    frame, n_frames
        Number of the frame, from 0, and how many there are.
    step, n_steps
        Of this frame's fit.
    seed
        Of this start; a new one means that the fit was restarted.
    losses, criteria
        Of the steps since the last progress, up to ``step``.
    snapshot
        If one was taken at this step, in the frame's shape.
    kept_step
        The step that would be kept, were the fit to end now; 0 before the first snapshot.
    n_steps_taken
        Over all frames and starts.
    seconds
        Spent on fitting them.
    """

    frame: int
    n_frames: int
    step: int
    n_steps: int
    seed: int
    losses: tuple[float, ...]
    criteria: tuple[float, ...]
    snapshot: Snapshot | None
    kept_step: int
    n_steps_taken: int
    seconds: float

    @property
    def seconds_left(self) -> float:
        """At most, were every frame to use all its steps."""
        n_left = self.n_steps - self.step + (self.n_frames - self.frame - 1) * self.n_steps
        return n_left * self.seconds / self.n_steps_taken


class Denoising:
    """A run over one array: iterate over it to advance, then ask for its `result`.

    All input is checked here, before anything starts. `stop`, called from anywhere, lets the run end after the
    next step with the best image so far.

    Parameters
    ----------
    image
        Noisy array: 1 to 3 spatial axes, channels or color, further axes as frames; integers, floats or truth values; NaN
        marks missing pixels. Lazy arrays (dask, zarr) are computed frame by frame.
    config
        What to do; the default preset if ``None``.
    axes
        A letter for each axis of ``image``, see `napari_convgen.core.image.Layout`; guessed if ``None``.
    reference
        Ground truth of the same shape, to score against. It has no influence on the result.
    data_range
        Peak for the scores; from the reference if ``None``.
    n_spared_threads
        That ``n_threads = "auto"`` leaves to others, such as a window.

    Attributes
    ----------
    image
        The array that is denoised.
    indices
        The index of each frame in it.
    n_threads
        That the fit uses on the CPU.
    backend
        What computes the generator.

    Raises
    ------
    InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be run, in a sentence.
    """

    def __init__(
        self,
        image: ArrayLike,
        config: Config | None = None,
        *,
        axes: str | None = None,
        reference: ArrayLike | None = None,
        data_range: float | None = None,
        n_spared_threads: int = 0,
    ) -> None:
        self.config = config or Config()
        self.image = as_array(image)
        if 0 in self.image.shape or not self.image.shape:
            shape = tuple(self.image.shape)
            raise InputError(f"The image has no pixels: its shape is {shape}. Choose another one.")
        self.layout = Layout.of(self.image.shape, axes, self.config.z_axis)
        self._checks = check_array(self.image, self.layout)
        self._size = self.layout.spatial_shape(self.image.shape)
        self._n_scales = resolve_scales(self.config, self._size)
        check_guidance(self.config)
        self._reference = check_reference(reference, data_range, self.image.shape)
        keep_triton_out()
        self.device = resolve_device(self.config.device)
        self.n_threads = resolve_threads(self.config.n_threads, n_spared_threads)
        self.backend = resolve_generator_backend(self.config, self.device, len(self._size))
        check_precision(self.config, self.backend)
        check_memory(self.n_bytes, self.device)
        self.indices = list(self.layout.frames(self.image.shape))
        self._frames: list[FrameResult] = []
        self._notes: list[str] = []
        self._n_dropped: dict[int, int] = {}
        self._seconds = 0.0
        self._n_steps_taken = 0
        self._fit: Fit | None = None
        self._image_tensor: ImageTensor | None = None
        self._seed = self.config.seed
        self._position = 0
        self._is_stopping = False
        if note := describe_slow_backend(self.config, self.device, len(self._size), self.backend):
            self._notes.append(note)
        if n_missing := sum(check.n_missing for check in self._checks if not check.is_constant):
            self._notes.append(f"{n_missing} missing (NaN) pixels were left out of the fit and filled in.")

    @property
    def n_frames(self) -> int:
        """Frames that the run goes through."""
        return len(self.indices)

    @property
    def n_frames_done(self) -> int:
        """Frames whose fit has ended."""
        return len(self._frames)

    @property
    def noise(self) -> NoiseModel | None:
        """Model of the noise of the frame that was last begun; ``None`` before the first, or if it is fitted as it is."""
        return None if self._image_tensor is None else self._image_tensor.noise

    @property
    def n_bytes(self) -> int:
        """Bytes that the fit takes at its peak, snapshots included; about."""
        n_outputs = math.prod(self.layout.frame_shape(self.image.shape)) // math.prod(self._size)
        fit = generator_bytes(self.config, self._size, n_outputs, self._n_scales, self.backend)
        itemsize = 2 * np.dtype(self.image.dtype).itemsize + 4 * (self.config.n_seeds > 1)
        images = itemsize * math.prod(self._size) * n_outputs
        return fit + int(min(self.config.snapshot_memory * 2**20, images * n_snapshots(self.config.n_steps)))

    def forecast(self) -> Forecast:
        """Say what the run will take: a few steps of the first frame are taken and timed, and forgotten."""
        position = next(i for i, check in enumerate(self._checks) if not check.is_constant)
        n_free = free_bytes(self.device)
        image = self._new_image(self.indices[position])
        fit = self._new_fit(image, self.config.seed)
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
            n_frames=sum(not check.is_constant for check in self._checks),
            n_steps=self.config.n_steps,
            device=str(self.device),
            backend=self.backend,
            n_threads=self.n_threads,
            noise=image.noise,
        )

    def __iter__(self) -> Iterator[Progress]:
        """Advance. A run that was left goes on where it was; one that has ended yields nothing, unless it was extended.

        Raises
        ------
        ShortMemoryError
            Memory ran out after all; what the fit held is free again.
        """
        try:
            yield from self._go_through()
            return
        except Exception as error:
            if not is_short_memory(error):
                raise
        # Only here, where the error that held on to it is gone, can the fit be let go.
        self._fit = self._image_tensor = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        raise ShortMemoryError(f"Memory ran out on {self.device}. {ADVICE}")

    def _go_through(self) -> Iterator[Progress]:
        while self._position < self.n_frames and not (self._is_stopping and self._fit is None):
            if self._fit is None:
                check, index = self._checks[self._position], self.indices[self._position]
                if check.is_constant:
                    self._notes.append(
                        f"Frame {self._position} is constant or missing throughout; it was left as it is."
                    )
                    self._position += 1
                    continue
                self._image_tensor = self._new_image(index)
                self._seed = self.config.seed
                self._fit = self._new_fit(self._image_tensor, self._seed)
            yield from self._watch(self._fit)
            self._finish_frame(self._fit)

    def stop(self) -> None:
        """End the run after the next step, with the best image so far. May be called from another thread."""
        self._is_stopping = True

    @property
    def can_extend(self) -> bool:
        """Whether `extend` can be called: a run over a single frame that has ended."""
        return self.n_frames == 1 and self._position == 1 and self._fit is not None

    def step_before_extension(self, from_step: int | None = None) -> int:
        """Return the step that `extend` would go on from. Only of a run that `can_extend`."""
        assert self._fit is not None
        if from_step is None or from_step >= self._fit.step:
            return self._fit.step
        return self._fit.goes_back_to(from_step)

    def extend(self, n_steps: int, from_step: int | None = None) -> None:
        """Let an ended run take that many steps more, whatever its rule says; iterate again to take them.

        Parameters
        ----------
        n_steps
            At least 1.
        from_step
            Go back there first, or to the latest step before it whose networks are kept, and forget what came later. ``None`` goes on
            from the end.

        Raises
        ------
        ConfigError
            The run has not ended, or is over a stack, whose networks are let go frame by frame.
        """
        if not self.can_extend or self._fit is None:
            raise ConfigError(
                "Only a finished fit of a single image can be continued. Run a stack anew with more steps."
            )
        if n_steps < 1:
            raise ConfigError(f"n_steps must be at least 1 to continue, got {n_steps}.")
        if from_step is not None and from_step < self._fit.step:
            self._fit.go_back(from_step)
        self._fit.extend(n_steps)
        self._position, self._is_stopping, self._frames = 0, False, []

    def preview(self) -> NDArray[Any] | None:
        """Return the current frame as it is now, in the input's units; ``None`` before its first step."""
        if self._fit is None or self._image_tensor is None or self._fit.iterate is None:
            return None
        image = self._fit.iterate.image(self.config.output)
        return self._image_tensor.restore(image.cpu().numpy())

    def result(self) -> Result:
        """Return what there is: the finished run, or the best so far of one that was stopped.

        Raises
        ------
        FitError
            Nothing has been fitted yet.
        """
        if not self._frames:
            raise FitError(
                "Nothing has been fitted yet: there is no result. Go through the run first; stop() ends it early."
            )
        image = np.empty(self.image.shape, np.dtype(self.image.dtype))
        fitted = {frame.number: frame.image for frame in self._frames}
        for number, index in enumerate(self.indices):
            image[index] = fitted[number] if number in fitted else self._unfitted(index)
        notes = list(self._notes)
        if n_dropped := sum(self._n_dropped.values()):
            notes.append(f"{n_dropped} snapshots were let go to stay within snapshot_memory.")
        if n_left := self.n_frames - self._position:
            notes.append(
                f"{n_left} of {self.n_frames} frames were not reached: they are left as they are, or zero if they cannot be read."
            )
        return Result(
            image=image,
            config=self._config_again(),
            frames=tuple(self._frames),
            notes=tuple(notes),
            device=str(self.device),
            n_threads=self.n_threads,
            backend=self.backend,
            seconds=self._seconds,
            layout=self.layout,
            input=self.image,
            reference=self._reference,
        )

    def _unfitted(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        """Return a frame as it is, or zeros if a lazy array that failed cannot compute it."""
        try:
            return np.asarray(self.image[index])
        except Exception:
            return np.zeros((), np.dtype(self.image.dtype))

    def _config_again(self) -> Config:
        """Return the configuration that takes this run's steps again, also if the user ended it sooner or later."""
        fit = self._fit
        if self.n_frames > 1 or fit is None or not (fit.is_extended or self._is_stopping):
            return self.config
        changes = {"n_steps": fit.step, "stopping.min_patience": fit.step, "seed": self._seed, "n_restarts": 0}
        return self.config.replace({name: value for name, value in changes.items() if self.config.has(name)})

    def _new_fit(self, image: ImageTensor, seed: int) -> Fit:
        config = self.config
        problem = Problem.of(image, self.device)
        check_noise_level(config, problem)
        size, n_outputs = image.values.shape[1:], len(image.values)

        def generator_of(starts: Sequence[int], backend: Backend) -> Generator:
            built = build_generator(config, size, n_outputs, self._n_scales, starts, seed, backend)
            return built.to(self.device)

        rule = build_rule(config, lambda: generator_of([0], "torch"))
        members = rule.members(problem, config.n_seeds, random_source(seed, 0))
        generator = generator_of(members.starts, self.backend)
        store = SnapshotStore(config.snapshot_memory * 2**20, image, config.output)
        return Fit(
            problem,
            generator,
            build_optimizer(config, generator),
            rule,
            members,
            store,
            config.n_steps,
            config.averaging,
        )

    def _new_image(self, index: tuple[int | slice, ...]) -> ImageTensor:
        """Bring a frame into the generator's units, by the model of its noise."""
        frame = np.asarray(self.image[index])
        return ImageTensor.of(frame, self.layout, build_noise(frame, self.layout, self.config.noise))

    def _watch(self, fit: Fit) -> Iterator[Progress]:
        """Advance one fit to its end, telling at snapshots and every now and then."""
        n_told = n_before = len(fit.curves.loss)
        told = started = time.perf_counter()
        if self._is_stopping:
            fit.stop()
        for iterate in with_threads(iter(fit), self.n_threads):
            if self._is_stopping:
                fit.stop()
            now = time.perf_counter()
            if not iterate.is_snapshot and now - told < STATUS_SECONDS:
                continue
            fit.curves.fetch()
            self._seconds += now - started
            snapshots = fit.snapshots
            yield Progress(
                frame=self._position,
                n_frames=self.n_frames,
                step=iterate.step,
                n_steps=fit.n_steps,
                seed=self._seed,
                losses=tuple(fit.curves.loss[n_told:]),
                criteria=tuple(fit.curves.criterion[n_told:]),
                snapshot=snapshots.get(iterate.step),
                kept_step=fit.kept_step,
                n_steps_taken=self._n_steps_taken + iterate.step - n_before,
                seconds=self._seconds,
            )
            n_told = len(fit.curves.loss)
            told = started = time.perf_counter()
        self._seconds += time.perf_counter() - started
        self._n_steps_taken += fit.step - n_before

    def _finish_frame(self, fit: Fit) -> None:
        """Keep a frame's result, or start it afresh if its fit failed and there are starts left."""
        reason = fit.reason
        assert reason is not None
        assert self._image_tensor is not None
        if reason.outcome in (Outcome.DIVERGED, Outcome.COLLAPSED):
            attempt = self._seed - self.config.seed + 1
            if attempt <= self.config.n_restarts and not (self._is_stopping or fit.is_extended):
                self._notes.append(f"{reason} It was started afresh with seed {self._seed + 1}.")
                self._seed += 1
                self._fit = self._new_fit(self._image_tensor, self._seed)
                return
            if not len(fit.snapshots):
                raise FitError(f"{reason} So did every other start. Lower optimizer.learning_rate.")
            self._notes.append(
                f"{reason} No start was left; step {fit.kept_step} is kept. Lower optimizer.learning_rate."
            )
        share = self.config.snapshot_memory * 2**20 / self.n_frames
        fit.snapshots.thin(keep=[fit.kept_step], max_bytes=share)
        self._n_dropped[self._position] = fit.snapshots.n_dropped
        judgment = fit.judgment
        assert judgment is not None
        self._frames.append(
            FrameResult(
                number=self._position,
                index=self.indices[self._position],
                step=fit.kept_step,
                reason=reason,
                seed=self._seed,
                loss=tuple(fit.curves.loss),
                criterion=tuple(fit.curves.criterion),
                snapshots=tuple(fit.snapshots),
                noise=self._image_tensor.noise,
                interval=judgment.interval,
                votes=judgment.votes,
                error=judgment.error,
            )
        )
        self._notes += [warning for warning in judgment.warnings if warning not in self._notes]
        self._position += 1
        if self.n_frames > 1:
            self._fit = None


def denoise(
    image: ArrayLike,
    preset: str | Config = "default",
    seed: int | None = None,
    n_steps: int | None = None,
    stopping: str | None = None,
    device: str | None = None,
    reference: ArrayLike | None = None,
    callback: Callable[[Progress], None] | None = None,
    *,
    axes: str | None = None,
    data_range: float | None = None,
) -> Result:
    """Denoise an image by fitting an untrained generator to it and stopping before it draws the noise.

    Parameters
    ----------
    image
        Noisy array of any shape that `Denoising` takes.
    preset
        Name of a preset (``"default"``, ``"paper"``, ``"paper-narrow"``) or a configuration.
    seed, n_steps, stopping, device
        Override the preset: seed (0 in every preset), steps at most, stopping rule (``"auto"``, ``"held-out"``,
        ``"fixed"``), device (``"auto"`` in every preset). ``None`` leaves the preset's value.
    reference
        Ground truth of the same shape, to score against.
    callback
        Called with each `Progress`, every 50 ms and at each snapshot.
    axes, data_range
        As for `Denoising`.

    Returns
    -------
    Result
        Image in the input's shape, dtype and range, with step, reason, snapshots, curves and configuration.

    Raises
    ------
    InputError, ConfigError, DeviceError
        What cannot be run, in a sentence, before anything starts.
    """
    config = preset if isinstance(preset, Config) else preset_named(preset)
    changes = {"seed": seed, "n_steps": n_steps, "stopping.kind": stopping, "device": device}
    config = config.replace({name: value for name, value in changes.items() if value is not None})
    run = Denoising(image, config, axes=axes, reference=reference, data_range=data_range)
    for progress in run:
        if callback is not None:
            callback(progress)
    return run.result()
