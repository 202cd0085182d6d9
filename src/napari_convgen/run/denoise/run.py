"""Denoise an array: the verb under the command line, the widget and the Python function."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import ImageTensor, Index
from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.snapshot import UnitsOfPart
from napari_convgen.errors import ConfigError, FitError, InputError
from napari_convgen.run.denoise.frame_result import FrameResult
from napari_convgen.run.denoise.progress import DenoiseProgress, GroupPlace
from napari_convgen.run.denoise.reported_error import reported_error
from napari_convgen.run.denoise.result import DenoiseResult
from napari_convgen.run.fit_task import FitTask, peak_bytes
from napari_convgen.run.setup.build import NO_NOISE_ANYWHERE
from napari_convgen.run.setup.forecast import Forecast
from napari_convgen.run.setup.groups import FrameGroup, PartOfStack, fits_networks, frame_groups
from napari_convgen.run.setup.inputs import ImageLike, check_reference, resolve_config
from napari_convgen.run.setup.prepared import Prepared
from napari_convgen.run.setup.starts import PREVIOUS_NOTE, previous_starts

JOINT = (
    "Frames before and after helped each frame: similar patches were looked for in them too. "
    "Choose frames.fit = 'separate' to denoise each alone."
)
"""Note on a stack whose frames are denoised together."""

SHARED = "Frames of a group shared a network. It learned at the first of them, so the others took few steps."
"""Note on such a stack whose frames share networks."""

NO_NETWORK = (
    "No network was fitted to the frames: it adds little to frames that others help, and takes long. "
    "Choose generator.kind = 'taught-network' for one that they share, or frames.fit = 'separate' for one each."
)
"""Note on such a stack whose images are the non-local estimate."""

CONSTANT = "It is constant or missing throughout: left as it is."
NO_NOISE = "No noise was found: left as it is."
"""Reasons for which a frame is not fitted."""


@dataclass(frozen=True, eq=False)
class _FrameFit:
    """The fit of one frame, or tile, from one start."""

    number: int
    image: ImageTensor
    fit: Fit
    seed: int
    group: FrameGroup | None


class DenoiseTask(FitTask[DenoiseResult]):
    """Denoise an array, frame after frame; large frames tile after tile, see `napari_convgen.config.TilesConfig`.

    Parameters
    ----------
    image, config, axes, n_spared_threads
        As for `napari_convgen.run.setup.prepared.Prepared`.
    reference, data_range
        As for `napari_convgen.run.setup.inputs.check_reference`. They have no influence on the result.
    keeps_snapshots
        True, the default, to keep snapshots of all steps of a frame that has ended, as far as ``snapshot_memory`` allows; False for that of
        the kept and of the last step.
    part
        What the image is of a stack, if it is a group of its frames and those around; ``None``, the default, for whole images.

    Attributes
    ----------
    left
        Reason for which a frame or tile was left as it is, by its number.

    Raises
    ------
    InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be run, in a sentence.
    """

    def __init__(
        self,
        image: ImageLike,
        config: Config | str | None = None,
        *,
        axes: str | None = None,
        reference: ImageLike | None = None,
        data_range: float | None = None,
        n_spared_threads: int = 0,
        keeps_snapshots: bool = True,
        part: PartOfStack | None = None,
    ) -> None:
        prepared = Prepared(image, config, axes=axes, n_spared_threads=n_spared_threads, has_tiles=True)
        self.reference = check_reference(reference, data_range, prepared.image.shape)
        n_values, itemsize = math.prod(prepared.image.shape), prepared.result_type.dtype.itemsize
        self._groups = frame_groups(prepared, part)
        n_bytes = peak_bytes(prepared, n_values, itemsize, len(prepared.pieces), keeps_snapshots=keeps_snapshots)
        super().__init__(prepared, n_bytes + (self._groups.n_bytes if self._groups else 0))
        self._order = self._groups.order if self._groups else list(range(len(prepared.pieces)))
        self._part = part
        self._starts = previous_starts(prepared)
        self._notes += [JOINT] * (self._groups is not None) + [PREVIOUS_NOTE] * (self._starts is not None)
        self._notes += [SHARED] * (self._groups is not None and self._groups.n_sharing > 1)
        self._notes += [NO_NETWORK] * (not fits_networks(prepared) and not prepared.config.generator.is_guide_alone)
        self._keeps_snapshots = keeps_snapshots
        self.left: dict[int, str] = {}
        self._frames: list[FrameResult] = []
        self._n_dropped: dict[int, int] = {}
        self._position = 0
        self._now: _FrameFit | None = None
        self._group: FrameGroup | None = None
        self._noise: NoiseModel | None = None

    @property
    def n_pieces(self) -> int:
        """Number of frames, or tiles of them, that the task goes through."""
        return len(self._order)

    @property
    def indices(self) -> list[Index]:
        """Index, in the array, of each frame or tile."""
        return [piece.index for piece in self.prepared.pieces]

    @property
    def has_result(self) -> bool:
        """True once a frame's fit has ended."""
        return bool(self._frames)

    @property
    def noise(self) -> NoiseModel | None:
        """Model of the noise of the frame that was last begun; ``None`` before the first, or if it is fitted as it is."""
        return self._noise

    def forecast(self) -> Forecast:
        """Predict memory and time: a few steps of the first frame are taken, timed and forgotten."""
        return self._forecast(self.prepared.scaled(self.prepared.first_frame()), groups=self._groups)

    def _advance(self) -> Iterator[DenoiseProgress]:
        while self._position < self.n_pieces and not (self._is_stopping and self._now is None):
            if self._now is None:
                number = self._order[self._position]
                if self.prepared.check(number).is_constant:
                    self._pass_by(
                        number, CONSTANT, f"Frame {number} is constant or missing throughout; it was left as it is."
                    )
                    continue
                group = self._groups.of(number) if self._groups else None
                image = group.images[number] if group else self.prepared.scaled(number)
                self._group = group
                if self.lacks_noise(image):
                    self._pass_by(number, NO_NOISE, f"No noise was found in frame {number}; it was left as it is.")
                    continue
                self._noise = image.noise
                self._add_notes(image.noise_warnings)
                self._now = yield from self._start_frame(number, image, self.config.seed, group)
            yield from self._take_steps(self._now.fit, self._now.number, self._now.seed)
            self._now = yield from self._finish_frame(self._now)
        if self._part is None and not self._frames and not self._is_stopping:
            raise InputError(NO_NOISE_ANYWHERE)

    def _progress(self, number: int, seed: int, **state: Any) -> DenoiseProgress:
        first = 0 if self._part is None else self._part.own.start
        if (group := self._group) is not None:
            state["group"] = GroupPlace(group.numbers.index(number), len(group.numbers), self._n_steps)
        return super()._progress(number - first, seed, n_before=self._position, **state)

    def _pass_by(self, number: int, reason: str, note: str) -> None:
        """Leave a frame or tile as it is; of tiles, which are many, and of a part of a stack nothing is noted."""
        if self.prepared.n_tiles == 1 and self._part is None:
            self._notes.append(note)
        self.left[number] = reason
        self._position += 1

    def lacks_noise(self, image: ImageTensor) -> bool:
        """Return True for a frame, or tile, whose noise is not known to a generator that needs it."""
        return self.config.generator.draws_from_image and not (image.mean_noise_level > 0).all()

    def _let_go(self) -> None:
        self._now = self._guide = self._group = None

    @property
    def can_extend(self) -> bool:
        """True if `extend` can be called: a single frame's fit has ended, and has a network."""
        has_ended = self.n_pieces == 1 and self._position == 1 and self._now is not None
        return has_ended and not self.config.generator.is_guide_alone

    def step_before_extension(self, from_step: int | None = None) -> int:
        """Return the step that `extend` would go on from.

        Raises
        ------
        ConfigError
            The task cannot be extended.
        """
        fit = self._fit_to_extend()
        if from_step is None or from_step >= fit.step:
            return fit.step
        return fit.goes_back_to(from_step)

    def extend(self, n_steps: int, from_step: int | None = None) -> None:
        """Let an ended task take that many steps more, whatever its rule says; iterate again to take them.

        Parameters
        ----------
        n_steps
            Number of steps, at least 1.
        from_step
            Step to go back to first; if its networks are not kept, to the latest before it whose networks are. What came later is
            forgotten. ``None`` goes on from the end.

        Raises
        ------
        ConfigError
            The task has not ended, or is over a stack, whose networks are let go frame by frame.
        """
        fit = self._fit_to_extend()
        if n_steps < 1:
            raise ConfigError(f"n_steps must be at least 1 to continue, got {n_steps}.")
        if from_step is not None and from_step < fit.step:
            fit.go_back(from_step)
        fit.extend(n_steps)
        self._position, self._is_stopping, self._frames = 0, False, []

    def _fit_to_extend(self) -> Fit:
        if not self.can_extend or self._now is None:
            raise ConfigError(
                "Only a finished fit of a network to a single image can be continued. Run a stack anew with more steps, or choose a preset "
                "that fits a network."
            )
        return self._now.fit

    def preview(self) -> NDArray[Any] | None:
        """Return the current frame or tile as it is now, in the input's units; ``None`` before its first step."""
        if self._guide is not None:
            frame, estimate = self._guide
            return frame.restore(estimate)[self.prepared.pieces[self._order[self._position]].inside]
        if self._now is None or self._now.fit.iterate is None:
            return None
        image = self._now.fit.iterate.image(self.config.output)
        return self._now.image.restore(image.cpu().numpy())[self.prepared.pieces[self._now.number].inside]

    def result(self) -> DenoiseResult:
        """Return what there is: all frames, or those that were finished before a stop, at their best.

        Raises
        ------
        FitError
            Nothing has been fitted yet.
        """
        if not self._frames:
            raise FitError(
                "Nothing has been fitted yet: there is no result. Go through the run first; stop() ends it early."
            )
        image = np.empty(self.image.shape, self.prepared.result_type.dtype)
        fitted = {frame.number: frame.image for frame in self._frames}
        for number, index in enumerate(self.indices):
            image[index] = fitted[number] if number in fitted else self.prepared.unfitted(number)
        return DenoiseResult(
            image=image,
            config=self._config_again(),
            frames=tuple(sorted(self._frames, key=lambda frame: frame.number)),
            notes=tuple(self._all_notes()),
            device=str(self.device),
            n_threads=self.n_threads,
            backend=self.prepared.backend,
            seconds=self._seconds,
            guide_seconds=self._guide_seconds,
            layout=self.prepared.layout,
            input=self.image,
            reference=self.reference,
            n_tiles=self.prepared.n_tiles,
        )

    def _all_notes(self) -> Iterator[str]:
        yield from self.prepared.notes
        yield from self.prepared.input_notes()
        yield from self._notes
        if self._groups:
            yield from self._groups.notes()
        n_all, n_tiles = self.n_pieces, self.prepared.n_tiles
        if n_tiles > 1:
            yield f"Fitted in {n_tiles} tiles{' a frame' * (n_all > n_tiles)}; tiles.size = 'whole' fits it whole."
            if n_left := len(self.left):
                yield f"{n_left} of {n_all} tiles were left as they are: they are constant, or no noise was found in them."
        if self._keeps_snapshots and (n_dropped := sum(self._n_dropped.values())):
            yield f"{n_dropped} snapshots were dropped to stay within snapshot_memory."
        if n_left := n_all - self._position:
            what = "tiles" if n_tiles > 1 else "frames"
            where = "" if self._groups and n_tiles > 1 else f", from index {self._position} on,"
            yield (
                f"{n_left} of {n_all} {what}{where} were not reached: "
                "they are left as they are, or zero if they cannot be read."
            )

    def _config_again(self) -> Config:
        """Return the configuration that takes this task's steps again, also if the user ended it sooner or later."""
        config = self.prepared.config_again
        if self.n_pieces > 1 or self._now is None or not (self._now.fit.is_extended or self._is_stopping):
            return config
        step = self._now.fit.step
        changes = {"n_steps": step, "stopping.min_patience": step, "seed": self._now.seed, "n_restarts": 0}
        return config.replace({name: value for name, value in changes.items() if config.has(name)})

    def _start_frame(
        self, number: int, image: ImageTensor, seed: int, group: FrameGroup | None
    ) -> Generator[DenoiseProgress, None, _FrameFit]:
        """Return the fit of a frame at its start, after the estimates that guide it; snapshots of a tile lack what is around it."""
        inside = self.prepared.pieces[number].inside
        units = UnitsOfPart(image, inside) if self.prepared.n_tiles > 1 else None
        fit = yield from self._start(number, image, seed, units, group=group)
        if self._starts is not None:
            self._starts.begin(fit, number, seed)
        return _FrameFit(number, image, fit, seed, group)

    def _finish_frame(self, now: _FrameFit) -> Generator[DenoiseProgress, None, _FrameFit | None]:
        """Keep a frame's result, or start it afresh if its fit failed and there are starts left; return what to go on with."""
        fit, seed = now.fit, now.seed
        reason, judgment = fit.reason, fit.judgment
        if reason is not None and self._is_to_start_afresh(fit, reason, seed):
            return (yield from self._start_frame(now.number, now.image, seed + 1, now.group))
        if reason is None or judgment is None:  # left before its end: nothing is finished
            return now
        max_bytes = self.config.snapshot_memory * 2**20 / self.n_pieces if self._keeps_snapshots else 0
        fit.snapshots.thin(keep=[fit.kept_step], max_bytes=max_bytes)
        self._n_dropped[now.number] = fit.snapshots.n_dropped
        error, notes = reported_error(judgment.error, now.image.noise, self.prepared.result_type)
        index = self.indices[now.number]
        self._frames.append(FrameResult.of(fit, judgment, reason, now.number, index, seed, now.image.noise, error))
        self._add_notes((*judgment.warnings, *notes))
        self._position += 1
        if now.group is not None and seed in now.group.networks:
            now.group.networks[seed].take(fit)
        if self._starts is not None:
            self._starts.end(fit, now.number, seed)
        return None if self.n_pieces > 1 else now


def denoise(
    image: ImageLike,
    config: Config | str | None = None,
    *,
    axes: str | None = None,
    reference: ImageLike | None = None,
    data_range: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    callback: Callable[[DenoiseProgress], None] | None = None,
    n_steps: int | None = None,
    stopping: str | None = None,
    dtype: str | None = None,
) -> DenoiseResult:
    """Denoise an image: an untrained generator is fitted to it and stopped before it fits the noise.

    Parameters
    ----------
    image
        Noisy array of 1 to 3 spatial axes, with channels or color, and with frames along further axes; NaN marks missing pixels. Or an
        `Image`, which knows its axes and distances; or the path of an image file, text or `pathlib.Path`, which `read_image` reads.
    config
        Configuration, or name of a preset: ``"default"``, ``"quick"``, ``"best"``, ``"guided-network"``, ``"deep-decoder"``,
        ``"paper"``, ``"paper-narrow"`` or ``"deep-image-prior"``; ``None``, the default, for ``"default"``. See `PRESETS`.
    axes
        One letter for each axis of ``image``; those of the file, or guessed, if ``None``.
    reference
        Ground truth of the same shape, to score against; an array, an `Image` or a path. ``None``, the default, for no scores.
    data_range
        Peak of the scores, in the image's units; that of the reference if ``None``.
    seed, device, n_steps, dtype
        Seed, device, steps at most, and type of the result (``"auto"``, ``"same"`` or ``"float32"``), in the place of the
        configuration's; ``None`` leaves them.
    stopping
        Stopping rule, in the place of the configuration's: ``"auto"``, ``"fixed"``, ``"held-out"``, ``"sure"``, ``"coupled"``,
        ``"discrepancy"``, ``"whiteness"``, ``"agreement"``, ``"linearized"``, ``"windowed-variance"`` or ``"running-variance"``;
        ``None``, the default, leaves it.
    callback
        Function that is called with each `DenoiseProgress`, every 50 ms and at each snapshot.

    Returns
    -------
    DenoiseResult
        Image in the input's shape and range, with step, reason, snapshots, curves and configuration.

    Raises
    ------
    InputError, ConfigError, DeviceError, FileError
        What cannot be run, in a sentence, before anything starts.
    """
    changes = {"seed": seed, "n_steps": n_steps, "stopping.kind": stopping, "device": device, "dtype": dtype}
    chosen = resolve_config(config, changes)
    return DenoiseTask(image, chosen, axes=axes, reference=reference, data_range=data_range).finish(callback)
