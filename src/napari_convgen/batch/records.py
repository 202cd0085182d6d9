"""What is known of pieces and of outputs, as JSON files that are there completely or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_convgen.errors import FileError
from napari_convgen.files.atomic import write_text

DONE, FAILED = "done", "failed"
"""What a record says of a piece."""

BLOCK = 2**20
"""Number of bytes of a file that are read at once for its hash."""


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
