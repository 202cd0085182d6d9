"""The course of a command that runs a task: forecast or check, run, write, summarize."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from napari_convgen.cli.interrupts import INTERRUPTED
from napari_convgen.cli.progress import advance
from napari_convgen.cli.terminal import deliver, tell
from napari_convgen.errors import FileError

if TYPE_CHECKING:
    from napari_convgen.run.task import Progress, Task

ProgressT = TypeVar("ProgressT", bound="Progress")
ResultT = TypeVar("ResultT")
ResultT_contra = TypeVar("ResultT_contra", contravariant=True)


class Files(Protocol[ResultT_contra]):
    """The files that a command writes."""

    def check(self, read: dict[str, Path | None], *, is_forced: bool) -> None:
        """Refuse files that could not be written, that are read, or are there; create their folder, if they have one of their own.

        ``is_forced`` is true if files that are there may be replaced.
        """
        ...

    def write(self, result: ResultT_contra) -> None:
        """Write the result."""
        ...


def require_output(options: argparse.Namespace, what: str = "folder for the results") -> None:
    """Refuse a command that neither has an output to write nor only predicts memory and time.

    Parameters
    ----------
    options
        Options of the command: ``output`` and ``dry_run``.
    what
        Words for the output; default ``"folder for the results"``.

    Raises
    ------
    FileError
        ``--output`` is missing.
    """
    if options.output is None and not options.dry_run:
        raise FileError(f"--output is missing: name the {what}, or give --dry-run.")


def run_and_write(
    options: argparse.Namespace,
    task: Task[ProgressT, ResultT],
    make_files: Callable[[], Files[ResultT]],
    describe: Callable[[ProgressT], str],
    summarize: Callable[[ResultT], Iterator[str]],
    written: str | None = None,
) -> int:
    """Run a task and write its result, or only print its forecast; return the exit status.

    Parameters
    ----------
    options
        Options of the command: ``input``, ``output``, ``dry_run``, ``force``, ``quiet``, ``config`` and, if the command has them,
        ``reference``, ``mask``, ``psf``, ``coil_maps`` and ``sampling``.
    task
        Task to run.
    make_files
        Function that returns the files to write; not called for a forecast, which needs none.
    describe
        Function that describes a progress in one line.
    summarize
        Function that yields the lines to print at the end.
    written
        Words for what was written, for the last line; ``None``, the default, for the folder.

    Raises
    ------
    FileError
        Files that cannot be written, before the task starts.
    """
    if options.dry_run:
        deliver(str(task.forecast()))
        return 0
    files = make_files()
    files.check(_files_read(options), is_forced=options.force)
    is_interrupted = advance(task, describe, is_quiet=options.quiet)
    if is_interrupted and not task.has_result:
        raise KeyboardInterrupt
    result = task.result()
    files.write(result)
    if not options.quiet:
        tell("\n".join([*summarize(result), f"Wrote {written or f'to {options.output}'}."]))
    return INTERRUPTED if is_interrupted else 0


def _files_read(options: argparse.Namespace) -> dict[str, Path | None]:
    names = ("reference", "mask", "psf", "patterns", "coil-maps", "sampling")
    optional = {f"--{name}": getattr(options, name.replace("-", "_"), None) for name in names}
    return {"INPUT": options.input, "--config": options.config} | optional
