"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
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
        File to write; its old content stays until the block ends. A link stays a link to the new content, and the file keeps its
        permissions.

    Raises
    ------
    FileError
        The operating system does not allow it, or the file is protected from writing.
    """
    target = _target(path)
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        mode = _mode(target)
        with open(temporary, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or the new name could outlive the content, if the machine goes down
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, target)
    except FileError:
        raise
    except OSError as error:
        raise _refusal(path, error) from error
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
        The ending is another one, the path is a folder, leads in a circle or to a file that is protected from writing, or its folder is
        missing or does not allow new files.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise FileError(f"{path} must end in {' or '.join(suffixes)}.")
    target = _target(path)
    if target.is_dir():
        raise FileError(f"{path} is a folder. Name a file in it.")
    if not target.parent.is_dir():
        raise FileError(f"{path} cannot be written: the folder {target.parent} does not exist. Create it first.")
    try:
        _mode(target)
        check_folder(target.parent)
    except FileError:
        raise
    except OSError as error:
        raise _refusal(path, error, "Choose another folder") from error


def check_folder(folder: Path) -> None:
    """Refuse a folder in which no file can be made; nothing is left there.

    Raises
    ------
    OSError
        The operating system does not allow it.
    """
    probe = folder / f".{uuid.uuid4().hex}.tmp"
    with open(probe, "xb"):
        pass
    probe.unlink()


def _target(path: str | Path) -> Path:
    """Return the file to which a path leads, through all links.

    Raises
    ------
    FileError
        The links lead in a circle, or the operating system knows no such name.
    """
    try:
        target = Path(os.path.realpath(path))
        target.is_file()  # fails on names that are too long
    except (OSError, ValueError) as error:
        raise _refusal(path, error, "Choose another name") from error
    if target.is_symlink():
        raise FileError(
            f"{path} cannot be written: it is a link that leads back to itself. Remove the link, or choose another name."
        )
    return target


def _mode(target: Path) -> int | None:
    """Return the permissions of a file that is to be replaced; ``None`` if there is none.

    Raises
    ------
    FileError
        The file may not be replaced, as it is protected from writing or no usual file.
    """
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise FileError(f"{target} is no usual file, but a device or a pipe. Choose another name.")
    if not mode & 0o222 or not os.access(target, os.W_OK):  # what the mode forbids, the superuser still could
        raise FileError(
            f"{target} is there and protected from writing. Choose another name, or allow it to be written."
        )
    return stat.S_IMODE(mode)


def _refusal(path: str | Path, error: OSError | ValueError, advice: str = "") -> FileError:
    sentence = f"{path} cannot be written: {getattr(error, 'strerror', None) or error}."
    return FileError(f"{sentence} {advice}." if advice else sentence)
