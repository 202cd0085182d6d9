"""The processes of gpu.py: one goes through the items of a part and notes each result in a file as soon as it has it.

The file has a line of JSON for each note: ``plan``, the names of all items; ``begun``, the number of an item; ``row``, a result; ``ended``,
the number of an item that is finished, with its seconds, its warnings and its error. What a process noted before it was killed is kept.
"""

from __future__ import annotations

import gc
import importlib
import json
import math
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]
"""Result as a line of a table: its cells by the heads of their columns. A cell ``holds`` that is False is a failure."""

Write = Callable[[Row], None]
"""Function that notes a row."""

Items = Mapping[str, Callable[[Write], None]]
"""Works of a part by name."""

LOST = 3
"""Exit status of a process whose device can no longer be used, as after a kernel that wrote outside its memory."""

LOST_MESSAGES = ("CUDA error", "Triton Error [CUDA]", "CUBLAS_STATUS", "CUDNN_STATUS", "cuFFT error")
"""Texts of errors of CUDA and its libraries, after some of which nothing can be computed any more in the same process."""


class Notes:
    """The file of notes, to which lines are added.

    Parameters
    ----------
    path
        File, which need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, **note: Any) -> None:
        """Add a line, all of it or nothing."""
        with self.path.open("a") as file:
            file.write(json.dumps(plain(note)) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """Return the notes so far; a line that a killed process left unfinished is passed over."""
        if not self.path.exists():
            return []
        lines = self.path.read_text().split("\n")
        return [json.loads(line) for line in lines[:-1]]


def plain(value: Any) -> Any:
    """Return a value for JSON; numbers that are not finite become text."""
    if isinstance(value, Mapping):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "item"):  # a number of NumPy or PyTorch
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)


def run_items(items: Items, first: int, notes: Notes) -> int:
    """Do the works from number ``first`` on, and return the exit status; an error ends its work alone."""
    notes.add(plan=list(items))
    for number, (_, work) in enumerate(items.items()):
        if number >= first and not _run(number, work, notes):
            return LOST
    return 0


def _run(number: int, work: Callable[[Write], None], notes: Notes) -> bool:
    """Do a work; return False if nothing more can be done in this process."""
    started, error = time.time(), None
    notes.add(begun=number, at=started)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            work(lambda row: notes.add(row=row, of=number))
        except Exception:
            error = traceback.format_exc()
    texts = list(dict.fromkeys(f"{warning.category.__name__}: {warning.message}" for warning in caught))
    notes.add(ended=number, seconds=time.time() - started, warnings=texts, error=error)
    if error is not None:
        print(error, flush=True)
    return not is_lost(error) and _tidy()


def is_lost(error: str | None) -> bool:
    """Return True if the text of an error says that the device may be of no more use to this process."""
    return error is not None and any(message in error for message in LOST_MESSAGES)


def _tidy() -> bool:
    """Give memory back; return False if the device no longer answers."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        try:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        except Exception:
            traceback.print_exc()
            return False
    return True


def main() -> int:
    """Run the items that a function of a module names; see `gpu.start`, which calls this."""
    location, first, device, path = sys.argv[1:]
    module, function = location.split(":")
    items = getattr(importlib.import_module(module), function)(device)
    return run_items(items, int(first), Notes(Path(path)))


if __name__ == "__main__":
    sys.exit(main())
