"""The output of a file, put together from its pieces."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.batch.piece import failure, open_file, refuse_full_disk
from napari_convgen.batch.plan import Plan
from napari_convgen.batch.records import DONE, hash_file, read_head, read_record, write_record
from napari_convgen.errors import FileError
from napari_convgen.files.atomic import is_full_disk
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.images import write_image
from napari_convgen.run.denoise.result import versions

LONGEST_WAIT = 5.0
"""Seconds for which another process is waited for that has written the output, and not yet its record."""


def put_together(plan: Plan, like: ImageFile | None = None) -> bool:
    """Write the output of a file whose pieces are all done, with its record, and remove the pieces; return False if some are not.

    It is written like the file, or like another image.

    Another process may do the same at the same time: both write the same, and the later one finds the pieces removed.

    Raises
    ------
    FileError
        The output cannot be written, as where the disk is full.
    """
    try:
        records = []
        for number in range(plan.cut.n_pieces):
            piece = read_record(plan.record_of(number))
            if piece is None or piece["status"] != DONE:
                return plan.is_done
            records.append(piece)
        with _gathered(plan) as values:
            file = like or open_file(plan)
            if plan.is_done:
                return True
            write_image(plan.output, values, file)
        write_record(plan.record, _record(plan, records))
    except (OSError, FileError) as error:
        refuse_full_disk(error, plan.request.folder)
        if _is_done_soon(plan):
            return True
        raise
    shutil.rmtree(plan.work, ignore_errors=True)
    with contextlib.suppress(OSError):  # it is not empty
        plan.work.parent.rmdir()
    return True


def finish(plan: Plan) -> None:
    """Put the output of a file together, as `put_together` does. An error is no end of a batch: it becomes that of the file.

    Raises
    ------
    FileError
        The disk is full.
    """
    try:
        put_together(plan)
    except Exception as error:  # whatever it is, it is of this file
        refuse_full_disk(error, plan.request.folder)
        write_record(plan.unwritten, failure(error))


def _is_done_soon(plan: Plan) -> bool:
    """Return True if another process, which was quicker, has put the output together, or is about to say that it has."""
    until = time.monotonic() + LONGEST_WAIT
    while not plan.is_done and plan.output.exists() and time.monotonic() < until:
        time.sleep(LONGEST_WAIT / 50)
    return plan.is_done


@contextlib.contextmanager
def _gathered(plan: Plan) -> Iterator[NDArray[Any]]:
    """Return the values of all pieces as one array on the disk, so that memory does not grow with the image."""
    path = plan.work / f"output-{uuid.uuid4().hex}.npy"
    values = np.lib.format.open_memmap(path, "w+", np.dtype(plan.cut.dtype), plan.cut.shape)
    try:
        _take_room(path)
        for number, piece in enumerate(plan.pieces):
            part = np.load(plan.values_of(number))
            if part.shape != (expected := values[piece.index].shape):
                raise FileError(
                    f"{plan.values_of(number)} has the shape {part.shape}, expected {expected}: it is of another image. "
                    f"Remove {plan.work}, and run it again."
                )
            values[piece.index] = part
        yield values
    finally:
        del values
        path.unlink(missing_ok=True)


def _take_room(path: Path) -> None:
    """Take the room of a file on the disk: a full disk ends a process that writes to a part of a mapped file that has none.

    Raises
    ------
    OSError
        The disk is full.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        if is_full_disk(error):
            raise  # others say that the file system cannot do this


def _record(plan: Plan, records: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "input": str(plan.path),
        "output": plan.output.name,
        "sha256": hash_file(plan.output),
        "digest": plan.digest,
        "cut": asdict(plan.cut),
        "config": plan.request.config.model_dump(),
        "versions": versions(),
        "seconds": round(sum(record["seconds"] for record in records), 3),
        "cpu_seconds": round(sum(record["cpu_seconds"] for record in records), 3),
        "pieces": records,
    }


def is_intact(plan: Plan) -> bool:
    """Return True if the output of a file that is done is what was written."""
    record = read_head(plan.record)
    return record is not None and plan.output.exists() and hash_file(plan.output) == record["sha256"]
