"""What is known of pieces and of outputs, as JSON files that are there completely or not at all."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from napari_convgen.errors import FileError
from napari_convgen.files.atomic import write_text

DONE, FAILED = "done", "failed"
"""What a record says of a piece."""

BLOCK = 2**20
"""Number of bytes of a file that are read at once for its hash."""


N_HEADS = 4096
"""Number of records of outputs that are remembered."""


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record; after this, it survives the end of any process, and of the machine."""
    write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")


def read_record(path: Path) -> dict[str, Any] | None:
    """Return a record; ``None`` if it is not there.

    Raises
    ------
    FileError
        It cannot be read, or is no record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise FileError(f"The record {path} cannot be read: {error}. Remove it.") from error
    if not isinstance(record, dict):
        raise FileError(f"{path} is no record of a batch. Choose another output folder.")
    return record


def read_head(path: Path) -> dict[str, Any] | None:
    """Return the record of an output without what it says of each piece, which is long; ``None`` if it is not there.

    It is remembered until the file changes.

    Raises
    ------
    FileError
        It cannot be read, or is no record.
    """
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(f"The record {path} cannot be read: {error}. Remove it.") from error
    return _head(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=N_HEADS)
def _head(path: Path, changed: int, size: int) -> dict[str, Any] | None:
    record = read_record(path)
    return None if record is None else {name: value for name, value in record.items() if name != "pieces"}


class Ended(NamedTuple):
    """What became of a piece: its status, its seconds by the clock and of the CPU, and why it failed, empty if it did not."""

    status: str
    seconds: float
    cpu_seconds: float
    error: str


class EndedPieces:
    """What the records in a folder say of pieces. Each is read once, but those of pieces that failed, which may be tried again.

    Parameters
    ----------
    folder
        Folder with a record of each piece that has ended, such as ``000012.json``, and the values of each that is done, ``000012.npy``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done: dict[int, Ended] = {}

    def read(self) -> dict[int, Ended]:
        """Return what is known now, by the numbers of the pieces, in order."""
        try:
            names = set(os.listdir(self._folder))
        except FileNotFoundError:
            return {}
        found: dict[int, Ended] = {}
        for number in sorted(int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal()):
            ended = self._done.get(number) or self._read(number)
            if ended is not None and (ended.status == FAILED or f"{number:06}.npy" in names):
                found[number] = ended
        self._done = {number: ended for number, ended in found.items() if ended.status == DONE}
        return found

    def _read(self, number: int) -> Ended | None:
        record = read_record(self._folder / f"{number:06}.json")
        if record is None:
            return None
        return Ended(record["status"], record["seconds"], record["cpu_seconds"], record.get("error", ""))


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder, that of the names and hashes of all files in it."""
    digest = hashlib.sha256()
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file())
        return hash_values({str(each.relative_to(path)): hash_file(each) for each in files})
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def hash_values(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
