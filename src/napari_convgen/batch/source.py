"""What tells an input from others: what is done of one is not taken for that of another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_convgen.batch.records import BLOCK
from napari_convgen.core.image import ArrayLike
from napari_convgen.errors import FileError
from napari_convgen.files.formats import find_format, split_place

SAMPLE = 32
"""Side of the parts of frames that tell lazy images from each other, in pixels."""


def state_of_image(path: Path, outputs: Path) -> dict[str, Any]:
    """Return what changes when an image on the disk does: the state of its file or folder, and of files that are read with it.

    Parameters
    ----------
    path
        The image.
    outputs
        Folder for the outputs. It can be in the folder of the image, and is no part of it.

    Raises
    ------
    FileError
        It cannot be read, or is of no known format.
    """
    file, place = split_place(path)
    try:
        found = find_format(path)
        beside = {each.name: state_of(each) for each in (*found.parts(path), *found.beside(path)) if each.exists()}
        return state_of(file, outputs) | {"beside": beside, "place": place}
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}. Name another file.") from error


def state_of(path: Path, left_out: Path | None = None) -> dict[str, Any]:
    """Return size, time of change and a hash of the first MiB of a file; of a folder, whose own say nothing, those of the files in it.

    Parameters
    ----------
    path
        File or folder.
    left_out
        Folder in it whose files do not count; ``None``, the default, for none.

    Raises
    ------
    OSError
        The operating system does not let it be read.
    """
    path.stat()  # a folder that is not there would look empty
    files = list(_files_in(path, left_out)) if path.is_dir() else [path]
    states = [(os.path.relpath(each, path), os.stat(each)) for each in files]
    within = [(name, each.st_size, each.st_mtime_ns) for name, each in states]
    return {"files": within, "head": _hash_of_heads(files)}


def state_of_lazy(data: ArrayLike, path: Path | None) -> dict[str, Any]:
    """Return what tells lazy values from others: the state of the file that they come from, if any, and a hash of a few small parts.

    Parameters
    ----------
    data
        Values, which are read or computed as they are needed.
    path
        File or folder that they come from; ``None`` if there is none.
    """
    state = state_of(path) if path is not None and path.exists() else None
    return {"file": state, "sample": _hash_of_sample(data)}


def is_another(recorded: str, path: Path) -> bool:
    """Return True if the input that a record names is still there, and is not the one at a path: files that were moved stay the same."""
    try:
        return not os.path.samefile(split_place(Path(recorded))[0], split_place(path)[0])
    except OSError:
        return False


def _files_in(folder: Path, left_out: Path | None) -> Iterator[Path]:
    """Yield all files in a folder and in those within, in order, without those in one of these."""
    unread = None if left_out is None else os.path.realpath(left_out)
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if os.path.realpath(os.path.join(place, each)) != unread)
        yield from (Path(place, name) for name in sorted(names))


def _hash_of_heads(files: list[Path]) -> str:
    """Return the SHA-256 of the first MiB of files, one after the other."""
    digest, n_left = hashlib.sha256(), BLOCK
    for each in files:
        if not n_left:
            break
        with open(each, "rb") as file:
            head = file.read(n_left)
        digest.update(head)
        n_left -= len(head)
    return digest.hexdigest()


def _hash_of_sample(data: ArrayLike) -> str:
    """Return the SHA-256 of three parts of an array: corners of the first and the last frame, and the middle of another."""
    digest = hashlib.sha256()
    sizes = [min(n, SAMPLE) if axis >= len(data.shape) - 2 else 1 for axis, n in enumerate(data.shape)]
    for half in range(3):
        starts = [(n - size) * half // 2 for n, size in zip(data.shape, sizes, strict=True)]
        part = data[tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))]
        digest.update(np.asarray(part).tobytes())
    return digest.hexdigest()
