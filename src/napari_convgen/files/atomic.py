"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from napari_convgen.errors import FileError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` when the block ends, or is removed if the block fails.

    Parameters
    ----------
    path
        File to write; its old content stays until the block ends. A link stays a link to the new content.

    Raises
    ------
    FileError
        The operating system does not allow it.
    """
    target = Path(path).resolve()
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "x+b") as file:
            yield file
        os.replace(temporary, target)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, completely or not at all.

    Parameters
    ----------
    path
        File to write.
    text
        New content.

    Raises
    ------
    FileError
        The operating system does not allow it.
    """
    with replacing(path) as file:
        file.write(text.encode())


def check_writable(path: str | Path, suffixes: Sequence[str]) -> None:
    """Refuse a path to which nothing could be written, before any work is done for it.

    Parameters
    ----------
    path
        File to be written later; nothing is left there.
    suffixes
        Allowed endings, in lower case: ``(".tif", ".tiff")``.

    Raises
    ------
    FileError
        The ending is another one, the path is a folder, or its folder is missing or does not allow new files.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise FileError(f"{path} must end in {' or '.join(suffixes)}.")
    if path.is_dir():
        raise FileError(f"{path} is a folder. Name a file in it.")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise FileError(f"{path} cannot be written: the folder {folder} does not exist. Create it first.")
    probe = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        with open(probe, "xb"):
            pass
        probe.unlink()
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}. Choose another folder.") from error
