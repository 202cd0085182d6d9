"""Files that are written completely or not at all.

Where the system allows it (Linux, on most file systems), a file has no name until it is whole, so that nothing is left of it if the process
is killed. Elsewhere, and for the moment in which it replaces another file, it has a temporary name beside that, ``.HEX-PID-HEX.tmp``. A
killed process leaves it behind; the next one that writes the same file removes it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import psutil

from napari_convgen.errors import FileError

DESCRIPTORS = "/proc/self/fd"
"""Folder in which Linux shows the open files of this process."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Errors of the operating system that say that a disk is full."""

NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
"""Errors of file systems, and of old versions of Linux, that have no files without names."""


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file that replaces ``path`` when the block ends, and of which nothing is left if the block fails.

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
    temporary = _temporary(target)
    try:
        mode = _mode(target)
        with _open_new(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or the new name could outlive the content, if the machine goes down
            if mode is not None:
                os.chmod(file.fileno() if os.chmod in os.supports_fd else temporary, mode)
            is_in_place = not temporary.exists() and _link(file, target)
            if not is_in_place and not temporary.exists():
                _remove_stale(temporary)
                _give_name(file, temporary)
        if not is_in_place:
            os.replace(temporary, target)
    except FileError:
        raise
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def making_folder(path: str | Path) -> Iterator[Path]:
    """Make a temporary folder that gets the name ``path`` when the block ends, or is removed if the block fails.

    Parameters
    ----------
    path
        Folder to make. A file or folder that is there stays until the block ends, and is then removed. A process that is killed leaves a
        temporary folder beside it, see above.

    Raises
    ------
    FileError
        The operating system does not allow it.
    """
    target = _target(path)
    temporary, old = _temporary(target), _temporary(target)
    _remove_stale(temporary)
    try:
        temporary.mkdir()
        yield temporary
        if target.exists():
            target.rename(old)
        try:
            temporary.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    except FileError:
        raise
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if target.exists():
            _remove(old)


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


def check_writable(
    path: str | Path, suffixes: Sequence[str], is_own_folder: Callable[[Path], bool] = lambda _: False
) -> None:
    """Refuse a path to which nothing could be written, before any work is done for it.

    Parameters
    ----------
    path
        File to be written later; nothing is left there.
    suffixes
        Allowed endings, in lower case: ``(".tif", ".tiff")``.
    is_own_folder
        Function that recognizes a folder that may be replaced by a new one. By default none may.

    Raises
    ------
    FileError
        The ending is another one, the path is a folder, leads in a circle or to a file that is protected from writing, or its folder is
        missing or does not allow new files.
    """
    path = Path(path)
    if not path.name.lower().endswith(tuple(suffixes)):
        raise FileError(f"{path} must end in {' or '.join(suffixes)}.")
    target = _target(path)
    is_folder = target.is_dir()
    if is_folder and not is_own_folder(target):
        raise FileError(f"{path} is a folder. Name a file in it.")
    if not target.parent.is_dir():
        raise FileError(f"{path} cannot be written: the folder {target.parent} does not exist. Create it first.")
    try:
        if not is_folder:
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
    probe = _temporary(folder / "probe")
    with _open_new(probe):
        pass
    probe.unlink(missing_ok=True)


def _temporary(target: Path) -> Path:
    """Return a name beside a file that no other file has, and that tells which file, machine and process it belongs to."""
    owner = hashlib.sha256(f"{platform.node()}/{target.name}".encode()).hexdigest()[:12]
    return target.with_name(f".{owner}-{os.getpid()}-{uuid.uuid4().hex[:12]}.tmp")


def _remove_stale(temporary: Path) -> None:
    """Remove what processes that were killed have left of the same file."""
    owner = temporary.name.partition("-")[0]
    for stale in temporary.parent.glob(f"{owner}-*.tmp"):
        process = stale.name.split("-")[1]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            _remove(stale)


def _remove(path: Path) -> None:
    """Remove a file or folder that may be there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _open_new(temporary: Path) -> BinaryIO:
    """Open a new file for writing and reading: one without a name in the folder of ``temporary``, or else one of this name.

    Raises
    ------
    OSError
        The operating system does not allow it.
    """
    if hasattr(os, "O_TMPFILE") and os.path.isdir(DESCRIPTORS):
        flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
        try:
            return open(temporary.parent, "w+b", opener=lambda folder, _: os.open(folder, flags, 0o666))
        except OSError as error:
            if error.errno not in NOT_SUPPORTED:
                raise
    _remove_stale(temporary)
    return open(temporary, "x+b")


def _give_name(file: BinaryIO, name: Path) -> None:
    """Give a file without a name one; where the file system refuses that, copy the file."""
    if not _link(file, name):
        file.seek(0)
        with open(name, "xb") as copy:
            shutil.copyfileobj(file, copy)


def _link(file: BinaryIO, name: Path) -> bool:
    """Give a file without a name one that no other file has; return False if there is such a file or the file system refuses."""
    try:
        folder = os.open(name.parent, os.O_RDONLY)
        try:
            # With a folder given, Python asks for the file to which the descriptor leads, not for a link to the link.
            os.link(f"{DESCRIPTORS}/{file.fileno()}", name.name, dst_dir_fd=folder)
        finally:
            os.close(folder)
    except OSError:
        return False
    return True


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


def is_full_disk(error: BaseException) -> bool:
    """Return True for an error that says that a disk is full; numpy says it in words of its own, and gives no number."""
    is_short = isinstance(error, OSError) and error.errno is None and " requested and " in str(error)
    return is_short or (isinstance(error, OSError) and error.errno in NO_SPACE)


def _refusal(path: str | Path, error: OSError | ValueError, advice: str = "") -> FileError:
    if is_full_disk(error):
        return FileError(f"{path} cannot be written: {os.strerror(errno.ENOSPC)}. Make room, or choose another folder.")
    sentence = f"{path} cannot be written: {getattr(error, 'strerror', None) or error}."
    return FileError(f"{sentence} {advice}." if advice else sentence)
