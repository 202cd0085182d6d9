"""Progress on stderr: a bar in a terminal, otherwise a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

LINE_SECONDS = 5
"""Where there is no terminal for a progress bar, a line is printed this often."""

Show = Callable[[str, float | None], None]
"""Takes a description and the share that is done, ``None`` if it cannot be told."""


@contextlib.contextmanager
def progress_display(is_quiet: bool) -> Iterator[Show]:
    """Return what shows progress: nothing, a bar in a terminal, or a line now and then."""
    if is_quiet:
        yield lambda _description, _share: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _Lines()


@contextlib.contextmanager
def _bar() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(BarColumn(bar_width=16), TextColumn("{task.description}"), console=Console(stderr=True)) as bars:
        task = bars.add_task("starting", total=None)

        def show(description: str, share: float | None) -> None:
            bars.update(task, description=description, completed=share or 0, total=None if share is None else 1)

        yield show


class _Lines:
    """A line on stderr every few seconds."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, description: str, share: float | None) -> None:
        if time.monotonic() >= self._next:
            print(description, file=sys.stderr, flush=True)
            self._next = time.monotonic() + LINE_SECONDS
