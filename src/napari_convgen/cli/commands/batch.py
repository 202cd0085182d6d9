"""``batch``: many image files, or large ones, in; a denoised one for each out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from napari_convgen.cli.interrupts import INTERRUPTED
from napari_convgen.cli.options import add_config, add_fit, add_quiet, add_result_type, read_config
from napari_convgen.cli.progress import Show, progress_display
from napari_convgen.cli.terminal import deliver, tell, warn
from napari_convgen.errors import ConfigError
from napari_convgen.run.labels import format_count, format_seconds

if TYPE_CHECKING:
    from napari_convgen.batch.progress import BatchProgress
    from napari_convgen.batch.result import FileState
    from napari_convgen.batch.run import BatchTask

HELP = "denoise many image files, or large ones"
DESCRIPTION = (
    "Denoise image files in pieces: frames or groups of them, and tiles of large ones. Each input becomes an output of the same name, with "
    "a .json record of how it was made; report.csv lists all."
)
EPILOG = (
    "What is done stays done: the same command again goes on where one was ended, by Ctrl-C or in any other way, and gives the same files. "
    "The exit status is 0 if all is done, 1 if pieces failed, or outputs cannot be written or are damaged, 2 after an error, and 130 "
    "after Ctrl-C."
)

INCOMPLETE = 1
"""Exit status of a batch of which pieces failed, or whose outputs cannot be written or are not what was written."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image files, folders (whose image files are meant), or patterns such as '*.tif'",
    )
    add("-o", "--output", type=Path, required=True, metavar="FOLDER", help="folder for the outputs; created if missing")
    add("--axes", metavar="LETTERS", help="one letter for each axis of the images (default: from the files)")
    add("--series", type=int, default=0, metavar="N", help="number of the image of a file with several (default: 0)")
    add_config(parser)
    add_fit(parser)
    add_result_type(parser)
    add("--workers", type=int, metavar="N", help=_WORKERS)
    add("--memory", type=float, metavar="GIB", help=_MEMORY)
    add("--scheduler", metavar="ADDRESS|FILE", help=_SCHEDULER)
    add("--part", default="1/1", metavar="K/N", help=_PART)
    add("--retry-failed", action="store_true", help="try pieces again that failed before")
    add(
        "--force",
        action="store_true",
        help="replace outputs from other settings or inputs; not needed again to go on after an interruption",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--dry-run",
        action="store_true",
        help="do a small part of the work, print a forecast of time, memory and disk, and write nothing",
    )
    what.add_argument("--status", action="store_true", help="print how far the files are, and do nothing")
    what.add_argument("--verify", action="store_true", help=_VERIFY)
    add("--progress", choices=("text", "json"), default="text", help=_PROGRESS)
    add_quiet(parser)


N_NOTES = 8
"""Largest number of notes that are shown: many files can have one each."""

MANY_FILES = 50
"""Number of files from which it is shown how many were looked at. Our choice."""

_WORKERS = (
    "number of pieces at a time, each in a process with one thread (default: one for each GPU, or for each processor)"
)
_MEMORY = (
    "memory for the command and all its workers, in GiB, which bounds the number of workers (default: what is free)"
)
_SCHEDULER = (
    "address of a Dask scheduler, or the file that names it, whose workers do the pieces (default: this machine)"
)
_PART = (
    "share of the pieces to do, such as 3/16, for several machines or jobs with one output folder (default: 1/1, all)"
)
_VERIFY = "compare finished outputs with the hashes in their records, and do nothing else"
_PROGRESS = "form of the progress: text on stderr, or json, a line on stdout whenever a piece has ended (default: text)"


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    _check_numbers(options)
    from napari_convgen.batch.run import BatchTask

    try:
        with _display_of_plans(options) as planned:
            task = BatchTask(
                options.inputs,
                options.output,
                read_config(options),
                axes=options.axes,
                series=options.series,
                n_workers=options.workers,
                memory=options.memory,
                scheduler=options.scheduler,
                part=_part(options.part),
                is_forced=options.force,
                retries_failed=options.retry_failed,
                is_run=not (options.status or options.verify),
                is_shared=not options.dry_run,
                planned=planned,
            )
    except KeyboardInterrupt:
        warn("napari-convgen: ended by Ctrl-C, before a piece was begun. The same command starts anew.")
        return INTERRUPTED
    if not options.quiet:
        for note in _first(task.notes):
            warn(f"Note: {note}")
    if options.dry_run:
        deliver(str(task.forecast()))
        return 0
    if options.status:
        deliver("\n".join([*(_line(each) for each in task.result().files), str(task.result())]))
        return 0
    if options.verify:
        return _verify(task)
    return _run(options, task)


@contextmanager
def _display_of_plans(options: argparse.Namespace) -> Iterator[Callable[[int, int], None]]:
    """Return a function that shows how many files were looked at, if they are many."""
    with ExitStack() as shown:
        displays: list[Show] = []

        def show(n: int, n_files: int) -> None:
            if n_files < MANY_FILES:
                return
            if not displays:
                displays.append(shown.enter_context(progress_display(options.quiet or options.progress == "json")))
            displays[0](f"Looking at file {n} of {n_files}", n / n_files)

        yield show


def _first(notes: Sequence[str]) -> Iterator[str]:
    """Yield the first of some notes, and the number of the others."""
    yield from notes[:N_NOTES]
    if len(notes) > N_NOTES:
        yield f"There are {len(notes) - N_NOTES} more notes; the records beside the outputs have all."


def _run(options: argparse.Namespace, task: BatchTask) -> int:
    try:
        with _display(options) as show:
            result = task.finish(show)
    except KeyboardInterrupt:
        warn(f"napari-convgen: ended by Ctrl-C. {task.result()} The same command goes on from here.")
        return INTERRUPTED
    if not options.quiet and options.progress == "text":
        tell(f"{result}\nWrote to {options.output}.")
    elif result.is_failed:
        warn(str(result))
    return INCOMPLETE if result.is_failed else 0


@contextmanager
def _display(options: argparse.Namespace) -> Iterator[Callable[[BatchProgress], None]]:
    """Return a function that shows a progress, in the form that is asked for."""
    if options.progress == "json":
        yield lambda progress: tell(json.dumps(_plain(progress)))
        return
    with progress_display(options.quiet) as show:
        yield lambda progress: show(describe(progress), progress.share)


def describe(progress: BatchProgress) -> str:
    """Return a line on the progress of a batch."""
    p = progress
    failed = f", {p.n_failed} failed" if p.n_failed else ""
    return f"{p.n_done + p.n_failed} of {format_count(p.n_pieces, 'piece')}{failed}  about {format_seconds(p.seconds_left)} left"


def _plain(progress: BatchProgress) -> dict[str, object]:
    return asdict(progress) | {"input": str(progress.input), "seconds_left": progress.seconds_left}


def _line(state: FileState) -> str:
    failed = f", {state.n_failed} failed" if state.n_failed else ""
    return f"{state.input}: {state.status}, {state.n_done} of {format_count(state.n_pieces, 'piece')} done{failed}"


def _verify(task: BatchTask) -> int:
    damaged, result = task.damaged(), task.result()
    n_done = result.n_files("done")
    for path in damaged:
        deliver(
            f"{path} is not what was written. Remove it, and give the same command without --verify: it is made anew."
        )
    are = "is" if n_done == 1 else "are"
    deliver(f"{n_done - len(damaged)} of {format_count(n_done, 'finished output')} {are} what was written.")
    if n_left := len(result.files) - n_done:
        are = "is" if n_left == 1 else "are"
        deliver(f"{format_count(n_left, 'file')} {are} not finished. Give the same command without --verify to go on.")
    return INCOMPLETE if damaged else 0


def _part(text: str) -> tuple[int, int]:
    number, slash, n_parts = text.partition("/")
    if not (slash and number.isdecimal() and n_parts.isdecimal()):
        raise ConfigError(f"--part takes a number and the number of parts, such as 3/16, got '{text}'.")
    return int(number), int(n_parts)


def _check_numbers(options: argparse.Namespace) -> None:
    if options.workers is not None and options.workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {options.workers}.")
    if options.scheduler is not None and not (options.workers is options.memory is None):
        raise ConfigError(
            "--workers and --memory are for workers on this machine: those of a Dask cluster are started with it. Leave them out, or "
            "--scheduler."
        )
    if options.memory is not None and not options.memory > 0:
        raise ConfigError(f"--memory must be above 0, got {options.memory:g}.")
