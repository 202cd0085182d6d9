"""Finished parts of a long computation, kept in a folder."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari_convgen.errors import FileError
from napari_convgen.files.atomic import write_text


class Cells:
    """A folder with one JSON file for each finished part, which is written whole or not at all.

    Parameters
    ----------
    folder
        Folder of the files; it is made when the first part is kept.

    Attributes
    ----------
    seconds_saved
        Seconds that the parts taken from the folder had needed when they were computed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds_saved = 0.0

    def __call__(self, key: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
        """Return the part with that key if it was kept before; else compute it and keep it.

        Parameters
        ----------
        key
            Everything that decides the result, as JSON can write it.
        compute
            Function that returns the part, as JSON can write it.

        Raises
        ------
        FileError
            The operating system refuses, or the file of the part was not written here.
        """
        text = json.dumps(dict(key), sort_keys=True)
        path = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        try:
            if path.exists():
                cell = json.loads(path.read_text(encoding="utf-8"))
                result, seconds = cell["result"], float(cell["seconds"])
                self.seconds_saved += seconds
                return result
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"{path} cannot be used: {error.strerror or error}. Remove it, or choose another folder."
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(f"{path} does not hold a finished part. Remove it.") from error
        start = time.monotonic()
        result = compute()
        cell = {"key": dict(key), "seconds": round(time.monotonic() - start, 3), "result": result}
        write_text(path, json.dumps(cell) + "\n")
        return result
