"""An image that is in no file, denoised piece by piece into an OME-Zarr image on the disk: what is done stays done."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_convgen import __version__
from napari_convgen.batch.cut import Cut, Request
from napari_convgen.batch.forecast import PROCESS_BYTES, BatchForecast, time_pieces
from napari_convgen.batch.output import put_together
from napari_convgen.batch.piece import Job, advance_piece
from napari_convgen.batch.plan import Plan, count
from napari_convgen.batch.records import DONE, FAILED, hash_values
from napari_convgen.batch.run import N_COPIES
from napari_convgen.batch.source import state_of_lazy
from napari_convgen.config import Config
from napari_convgen.core.image import Image, Piece
from napari_convgen.errors import ConfigError, FileError
from napari_convgen.files.images import check_image, new_image
from napari_convgen.run.denoise.progress import DenoiseProgress
from napari_convgen.run.denoise.result import versions
from napari_convgen.run.labels import format_done
from napari_convgen.run.setup.devices import resolve_threads
from napari_convgen.run.setup.inputs import resolve_config
from napari_convgen.run.setup.prepared import Prepared
from napari_convgen.run.task import Progress, Task

ORDER = "TCZYX"
"""Axes of an OME-Zarr image, in their order."""


@dataclass(frozen=True, kw_only=True)
class StoreProgress(Progress):
    """The state of a task while it runs.

    Attributes
    ----------
    number, n_pieces, n_tiles
        Number of the piece under way, from 0, of all pieces, and of the tiles of a frame or a group of frames.
    is_together
        True if pieces are of groups of neighboring frames; False, the default, if they are of frames.
    n_ended
        Number of pieces that have ended, also before this run.
    n_before
        Number of those that had ended before.
    fit
        Progress of the piece's fit; ``None`` once the piece has ended.
    """

    number: int
    n_pieces: int
    n_tiles: int
    n_ended: int
    n_before: int
    fit: DenoiseProgress | None
    is_together: bool = False

    @property
    def share(self) -> float:
        """Share of the pieces that is done."""
        return (self.n_ended + (0.0 if self.fit is None else self.fit.share)) / self.n_pieces

    @property
    def seconds_left(self) -> float:
        """Seconds that the rest takes at the pace of this run; infinite while it has done nothing."""
        n_done = self.share * self.n_pieces - self.n_before
        return self.seconds * (self.n_pieces * (1 - self.share)) / n_done if n_done > 0 else math.inf

    def __str__(self) -> str:
        frame, tile = divmod(self.number, self.n_tiles)
        frames = "group of frames" if self.is_together else "frame"
        places = {frames: (frame, self.n_pieces // self.n_tiles), "tile": (tile, self.n_tiles)}
        text = ", ".join(f"{name} {i + 1} of {n}" for name, (i, n) in places.items() if n > 1) or "the image"
        return f"{text[0].upper()}{text[1:]}; {self.n_ended} of {self.n_pieces} {'is' if self.n_pieces == 1 else 'are'} done."


@dataclass(frozen=True, eq=False)
class StoreResult:
    """How far the image is.

    Attributes
    ----------
    plan
        The plan, which knows where what is done lies.
    n_done, n_failed
        Number of pieces that are done, and that failed.
    error
        Reason of the first of those that failed; empty if none did.
    """

    plan: Plan
    n_done: int
    n_failed: int
    error: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user."""
        return self.plan.cut.notes

    def report(self) -> Mapping[str, Any]:
        """Return what is known of the run as plain values."""
        config = self.plan.request.config.model_dump()
        counts = {"n_pieces": self.plan.cut.n_pieces, "n_done": self.n_done, "n_failed": self.n_failed}
        return {
            "output": str(self.plan.output),
            "config": config,
            "cut": asdict(self.plan.cut),
            "versions": versions(),
        } | counts

    def __str__(self) -> str:
        n_pieces = self.plan.cut.n_pieces
        if self.plan.is_done:
            return (
                f"{f'All {n_pieces} pieces are' if n_pieces > 1 else 'It is'} done, and written to {self.plan.output}."
            )
        failed = f" {self.n_failed} failed: {self.error}" if self.n_failed else ""
        return f"{format_done(self.n_done, n_pieces, 'piece')} and kept.{failed} Run again to go on, with the same settings."


class StoreTask(Task[StoreProgress, StoreResult]):
    """Denoise an image into an OME-Zarr image, beginning with a frame. The same task again goes on where one was left, in whatever way.

    Parameters
    ----------
    image
        The image, usually lazy.
    config
        Settings, name of a preset, or ``None`` for the preset ``"default"``.
    path
        OME-Zarr image to write, which must not be there, unless it is of the same image and settings.
    identity
        What tells the image from others; together with its axes and distances, the state of the file and a few small parts of lazy
        values, and the settings, it decides what of an earlier task is taken over.
    first
        Place to begin with: index of the frame by the axes that count frames, and a pixel by the spatial axes, whose tile comes first and
        those around it next; none by default.
    n_spared_threads
        Number of threads that ``n_threads = "auto"`` leaves to others; default 0.

    Raises
    ------
    FileError, InputError, ConfigError, DeviceError
        What cannot be run, in a sentence.
    """

    def __init__(
        self,
        image: Image,
        config: Config | str | None,
        path: Path,
        identity: Mapping[str, Any],
        first: Mapping[int, int] | None = None,
        n_spared_threads: int = 0,
    ) -> None:
        if path.suffix != ".zarr":
            raise ConfigError(
                f"The image is written as OME-Zarr, whose names end in .zarr, got {path.name}. Choose another name."
            )
        _check_order(image)
        chosen = resolve_config(config)
        chosen = chosen.replace({"n_threads": resolve_threads(chosen.n_threads, n_spared_threads)})
        super().__init__(Prepared(image, chosen, has_tiles=True))
        self._image, self._like = image, new_image(image)
        digest = _digest(image, identity, chosen, path)
        cut = Cut.of_prepared(self.prepared, path.name)
        self.plan = Plan(path, Request(path.parent, chosen, image.axes), digest, cut)
        if not self.plan.is_done:
            _refuse_others(self.plan)
            check_image(path, self._like, cut.dtype)
        self.n_bytes = PROCESS_BYTES + cut.n_bytes
        self._first = dict(first or {})

    @property
    def has_result(self) -> bool:
        """True once something is done."""
        return self.plan.is_done or bool(self.plan.statuses())

    def forecast(self) -> BatchForecast:
        """Predict time, memory and disk: a few steps of a piece are taken, timed and forgotten."""
        jobs, free = list(self._jobs()), shutil.disk_usage(self.plan.request.folder).free
        return BatchForecast(
            n_files=1,
            n_pieces=self.plan.cut.n_pieces,
            n_pieces_left=len(jobs),
            n_workers=1,
            total=time_pieces(jobs),
            n_bytes=self.n_bytes,
            n_disk_bytes=N_COPIES * self.plan.cut.n_result_bytes,
            n_disk_bytes_free=free,
        )

    def _advance(self) -> Iterator[StoreProgress]:
        """Do the pieces that are left. Of the one under way nothing is kept when the iterator is closed."""
        if self.plan.is_done:
            return
        _refuse_others(self.plan)  # since the task was made another one may have begun
        self.plan.begin(retries_failed=True)
        n_before = n_ended = count(self.plan.statuses())[0]
        for job in self._jobs():
            steps = advance_piece(job)
            for fit in self._paced(steps, lambda fit: True):
                yield self._progress(job, n_ended, n_before, fit)
                if self._is_stopping:
                    steps.close()
                    return
            n_ended += 1
            yield self._progress(job, n_ended, n_before, None)
            if self._is_stopping:
                break
        put_together(self.plan, self._like)

    def result(self) -> StoreResult:
        """Return how far the image is."""
        if self.plan.is_done:
            return StoreResult(self.plan, self.plan.cut.n_pieces, 0)
        ended = self.plan.ended()
        errors = [each.error for _, each in sorted(ended.items()) if each.status == FAILED]
        return StoreResult(self.plan, *count(self.plan.statuses()), errors[0] if errors else "")

    def _jobs(self) -> Iterator[Job]:
        """Yield the pieces that are left, those of the first frame first, from its first tile outwards."""
        done = {number for number, status in self.plan.statuses().items() if status == DONE}
        left = [(number, piece) for number, piece in enumerate(self.plan.pieces) if number not in done]
        for number, piece in sorted(left, key=lambda each: self._turn(each[1])):
            yield Job(self.plan, number, piece, self._image)

    def _turn(self, piece: Piece) -> tuple[bool, float]:
        """Return what pieces are sorted by: whether they are of other frames, and in the first frame their distance from the place."""
        distance, counted = 0.0, self.plan.layout.frame_axes()
        for axis, place in self._first.items():
            part = piece.index[axis]
            start, stop = part.indices(self.plan.cut.shape[axis])[:2] if isinstance(part, slice) else (part, part + 1)
            outside = max(start - place, 0, place - stop + 1)
            if outside and axis in counted:
                return True, 0.0
            distance += outside**2
        return False, distance

    def _let_go(self) -> None:
        """Hold nothing: each piece lets go of what it took."""

    def _progress(self, job: Job, n_ended: int, n_before: int, fit: DenoiseProgress | None) -> StoreProgress:
        return StoreProgress(
            seconds=self._seconds,
            number=job.number,
            n_pieces=self.plan.cut.n_pieces,
            n_tiles=self.plan.cut.n_tiles,
            is_together=self.plan.cut.n_together > 0,
            n_ended=n_ended,
            n_before=n_before,
            fit=fit,
        )


def _digest(image: Image, identity: Mapping[str, Any], config: Config, output: Path) -> str:
    """Return the hash of all that decides the result: the image, its axes and distances, the settings and the version of this package."""
    place = None if identity.get("path") is None else Path(identity["path"])
    if place is not None and output.absolute().is_relative_to(place.absolute()):
        place = None  # a folder in which the run itself changes files
    state = {} if isinstance(image.data, np.ndarray) else state_of_lazy(image.data, place)
    meaning = {"axes": image.axes, "scale": image.scale, "units": image.units, "noise_kind": image.noise_kind}
    return hash_values(
        {"input": {**identity, **state, **meaning}, "config": config.model_dump(), "version": __version__}
    )


def _refuse_others(plan: Plan) -> None:
    """Refuse to replace what is there in the place of an image, or what is done of it with other settings.

    Raises
    ------
    FileError
        Something is there.
    """
    for other in plan.others():
        origin = "other settings, another image or another version"
        kinds = {plan.output: f"an image, from {origin}", plan.record: "a file that is no record of a run"}
        what = kinds.get(other, f"what is done of {plan.output.name} with {origin}")
        raise FileError(
            f"{other} is there already: {what}. It is not replaced. Choose another file, go back to the settings of before, or remove it."
        )


def _check_order(image: Image) -> None:
    """Refuse axes that the written image would have in another order.

    Raises
    ------
    ConfigError
        It would.
    """
    letters = (image.axes or ORDER[-len(image.data.shape) :]).upper()
    if letters != "".join(letter for letter in ORDER if letter in letters):
        raise ConfigError(
            f"An OME-Zarr image has the axes {ORDER}, in this order, got {letters}. Transpose the layer, or split its colors."
        )
