"""One piece: read, fitted, cropped, written with its record, and forgotten. This is what a worker does."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.batch.plan import Plan
from napari_convgen.batch.records import DONE, FAILED, hash_file, write_record
from napari_convgen.core.image import Image, Index, Piece, check_frame
from napari_convgen.errors import FileError
from napari_convgen.files.atomic import is_full_disk, replacing
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.images import read_image
from napari_convgen.run.denoise.frame_result import FrameResult
from napari_convgen.run.denoise.progress import DenoiseProgress
from napari_convgen.run.denoise.result import DenoiseResult
from napari_convgen.run.denoise.run import CONSTANT, NO_NOISE, DenoiseTask
from napari_convgen.run.setup.forecast import Seconds


@dataclass(frozen=True, eq=False)
class Job:
    """A piece to do.

    Attributes
    ----------
    plan
        Plan of its file.
    number
        Number of the piece among those of the file, from 0.
    piece
        What is read and what is kept.
    image
        The image, of a plan whose image is in no file; ``None``, the default, to read the file.
    """

    plan: Plan
    number: int
    piece: Piece
    image: Image | None = None


def do_piece(job: Job) -> dict[str, Any]:
    """Do a piece, and leave its values and its record; return the record. See `advance_piece`."""
    steps = advance_piece(job)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            record: dict[str, Any] = end.value
            return record


def advance_piece(job: Job) -> Generator[DenoiseProgress, None, dict[str, Any]]:
    """Do a piece step by step, and leave its values and its record; return the record. Of one that is left nothing is kept.

    An error is no end of a batch: it becomes the record of a piece that failed.

    Raises
    ------
    FileError
        The disk is full.
    """
    plan, started = job.plan, Seconds.now()
    try:
        values, course = yield from _fit(job)
        with replacing(plan.values_of(job.number)) as file:
            np.save(file, values)
        record = {"status": DONE, "sha256": hash_file(plan.values_of(job.number)), **course}
    except Exception as error:  # whatever it is, it is of this piece
        refuse_full_disk(error, plan.request.folder)
        record = failure(error)
    seconds = Seconds.now() - started
    record |= {"seconds": round(seconds.wall, 3), "cpu_seconds": round(seconds.cpu, 3), "host": socket.gethostname()}
    try:
        write_record(plan.record_of(job.number), record)
    except FileError as error:
        refuse_full_disk(error, plan.request.folder)
        raise
    return record


def failure(reason: str | BaseException) -> dict[str, Any]:
    """Return the record of a piece, or of an output, that failed, on one line."""
    return {"status": FAILED, "error": " ".join(str(reason).split()) or type(reason).__name__}


def refuse_full_disk(error: BaseException, folder: Path) -> None:
    """Turn an error that says that the disk is full into a sentence.

    Raises
    ------
    FileError
        It does.
    """
    cause: BaseException | None = error
    while cause is not None:
        if is_full_disk(cause):
            raise FileError(
                f"The disk of {folder} is full. Make room, and run it again: what is done stays done."
            ) from error
        cause = cause.__cause__


_latest: dict[str, ImageFile] = {}
"""The file that was read last, by the digest of its plan and its name."""


def open_file(plan: Plan) -> ImageFile:
    """Return the file of a plan; the latest is remembered, so that its pieces read it once, and forgotten before another is read."""
    key = f"{plan.digest} {plan.path}"
    file = _latest.get(key)
    if file is None:
        _latest.clear()
        file = _latest[key] = read_image(plan.path, plan.request.axes, plan.request.series)
    return file


def _fit(job: Job) -> Generator[DenoiseProgress, None, tuple[NDArray[Any], dict[str, Any]]]:
    """Return what is kept of a piece, denoised, and what its record says of the fit."""
    plan, piece = job.plan, job.piece
    image = job.image or open_file(plan).image
    window = plan.window_of(image, piece)
    values = np.asarray(window.data)
    part = plan.part_of(job.number, piece)
    frames = values[np.newaxis] if part is None else np.moveaxis(values, part.axis, 0)
    checks = [check_frame(frame, _index(plan, piece, place), plan.layout)[0] for place, frame in enumerate(frames)]
    if all(checks[place].is_constant for place in ([0] if part is None else part.own)):
        return _as_it_is(values[piece.inside], plan), {"note": CONSTANT}
    is_whole = plan.cut.n_pieces == 1
    task = DenoiseTask(window, plan.config, keeps_snapshots=False, part=None if is_whole else part)
    if part is None and not is_whole and task.lacks_noise(task.prepared.scaled(0)):
        return _as_it_is(values[piece.inside], plan), {"note": NO_NOISE}
    yield from task
    if not task.has_result:
        return _as_it_is(values[piece.inside], plan), {"note": NO_NOISE}
    result = task.result()
    course = _course(result.frames[0]) if part is None else {"frames": _courses(task, result, part.own)}
    return result.image[piece.inside], course | {"notes": list(result.notes), "process": os.getpid()}


def _index(plan: Plan, piece: Piece, place: int) -> Index:
    """Return the index, in the array, of a frame or tile that is read of a piece."""
    counted = plan.layout.frame_axes()
    return tuple(
        each.start + place if isinstance(each, slice) and axis in counted else each
        for axis, each in enumerate(piece.window)
    )


def _as_it_is(values: NDArray[Any], plan: Plan) -> NDArray[Any]:
    return values.astype(plan.cut.dtype)


def _courses(task: DenoiseTask, result: DenoiseResult, own: range) -> list[dict[str, Any]]:
    """Return what a record says of each frame of a group."""
    fitted = {frame.number: frame for frame in result.frames}
    return [_course(fitted[place]) if place in fitted else {"note": task.left[place]} for place in own]


def _course(frame: FrameResult) -> dict[str, Any]:
    """Return what a record says of a fit: how it ended."""
    return {
        "step": frame.step,
        "outcome": frame.reason.outcome.value,
        "mse": None if frame.error is None else float(frame.error.mse),
        "noise": None if frame.noise is None else str(frame.noise),
    }
