"""Progress on stderr: a bar in a terminal, otherwise a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from napari_convgen.cli.interrupts import first_interrupt
from napari_convgen.cli.terminal import warn

if TYPE_CHECKING:
    from napari_convgen.run.task import Progress, Task

ProgressT = TypeVar("ProgressT", bound="Progress")

LINE_SECONDS = 5
"""Time between two lines of progress where there is no terminal for a bar, in seconds: few lines in a log file."""

Show = Callable[[str, float | None], None]
"""A function that shows a description and the share of the work that is done, 0 to 1 (``None`` if unknown)."""


def advance(task: Task[ProgressT, Any], describe: Callable[[ProgressT], str], *, is_quiet: bool) -> bool:
    """Advance a task to its end, or to the first Ctrl-C, and show its progress.

    Parameters
    ----------
    task
        Task to run.
    describe
        Function that describes a progress in one line.
    is_quiet
        True to show nothing.

    Returns
    -------
    bool
        True if Ctrl-C ended the task.
    """
    with first_interrupt() as interrupts, progress_display(is_quiet) as show:
        for progress in task:
            show(describe(progress), progress.share)
            if interrupts:
                task.stop()
        return bool(interrupts)


@contextlib.contextmanager
def progress_display(is_quiet: bool) -> Iterator[Show]:
    """Return a function that shows progress: as a bar in a terminal, else as a line now and then, or not at all if quiet."""
    if is_quiet:
        yield lambda _description, _share: None
    elif sys.stderr is not None and sys.stderr.isatty():
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
            warn(description)
            self._next = time.monotonic() + LINE_SECONDS
