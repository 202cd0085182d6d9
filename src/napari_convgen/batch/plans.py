"""The plans of all files of a batch, and what they may not do to each other and to what is there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from napari_convgen.batch.cut import Request
from napari_convgen.batch.plan import Plan
from napari_convgen.batch.workers import NOT_STARTED, begin_process, ending_server, start_context
from napari_convgen.errors import ConvgenError, FileError, FitError
from napari_convgen.files.atomic import check_folder

LARGEST_SMALL = 2**24
"""Bytes of a file that several processes may look at at a time: each can hold the whole of one. Our choice."""

FEWEST = 16
"""Least number of small files for each process that looks at them: to start processes takes some seconds. Our choice."""


def checked_folder(folder: Path) -> Path:
    """Refuse a folder for the outputs that cannot be made or written to."""
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder} is a file. Name a folder.")
    try:
        check_folder(folder if folder.exists() else folder.parent)
    except OSError as error:
        raise FileError(
            f"{folder} cannot be written to: {error.strerror or error}. Choose another folder, or create the one that it is to be in."
        ) from error
    return folder


def plan_files(
    paths: Sequence[Path], request: Request, n_processes: int, planned: Callable[[int, int], None] | None = None
) -> Iterator[Plan]:
    """Plan all files; refuse them together, with the reason of the first that cannot be done.

    Parameters
    ----------
    paths, request
        The files, and what is asked of them.
    n_processes
        Largest number of processes that look at small files, where these are many.
    planned
        Function that is called after each file with the number of those that are planned, and of all; ``None``, the default, for none.
    """
    refused: list[tuple[Path, ConvgenError]] = []
    with _planner(paths, request, n_processes) as plan:
        for number, path in enumerate(paths, 1):
            try:
                yield plan(path)
            except ConvgenError as error:
                refused.append((path, error))
            if planned is not None:
                planned(number, len(paths))
    if refused:
        path, first = refused[0]
        named = str(first) if str(path) in str(first) else f"{path}: {first}"
        others = f" {len(refused)} of {len(paths)} files are refused." if len(paths) > 1 else ""
        raise type(first)(f"{named}{others}") from first


@contextlib.contextmanager
def _planner(paths: Sequence[Path], request: Request, n_processes: int) -> Iterator[Callable[[Path], Plan]]:
    """Return a function that plans a file. Many small ones are planned by several processes: the noise of each is estimated.

    Raises
    ------
    FitError
        Processes end before they are ready.
    """
    small = [path for path in paths if path.is_file() and path.stat().st_size <= LARGEST_SMALL]
    n_processes = min(n_processes, len(small) // FEWEST)
    if n_processes < 2:
        yield lambda path: Plan.of(path, request)
        return
    pool = ProcessPoolExecutor(n_processes, start_context(), begin_process)
    try:
        with ending_server():
            begun = {path: pool.submit(Plan.of, path, request) for path in small}
        yield lambda path: begun[path].result() if path in begun else Plan.of(path, request)
    except BrokenProcessPool as error:
        raise FitError(NOT_STARTED) from error
    except BaseException:  # such as Ctrl-C: what they look at now may take long
        for process in list(pool._processes.values()):  # ProcessPoolExecutor.terminate_workers, from Python 3.14 on
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def refuse_clashes(plans: Sequence[Plan]) -> None:
    """Refuse outputs that would replace each other, or an input."""
    inputs = {os.path.realpath(plan.path): plan.path for plan in plans}
    taken: dict[Path, Path] = {}
    for plan in plans:
        if (other := taken.get(plan.output)) is not None:
            raise FileError(
                f"{other} and {plan.path} would both be written to {plan.output}. Give them two output folders."
            )
        if (folder := os.path.realpath(plan.request.folder)) in inputs:
            raise FileError(
                f"{plan.request.folder} is an input, {inputs[folder]}, and no folder for outputs. Choose another folder."
            )
        if os.path.realpath(plan.output) in inputs:
            raise FileError(f"{plan.output} is an input, and would be replaced by an output. Choose another folder.")
        taken[plan.output] = plan.path


def refuse_others(plans: Sequence[Plan]) -> None:
    """Refuse to replace outputs that are there of other plans."""
    for own, other in ((plan.record, each) for plan in plans for each in plan.others()):
        what = (
            "and is no record of a batch" if other == own else "from another input, other settings or another version"
        )
        raise FileError(
            f"{other} is there already, {what}. Choose another output folder, or replace it with --force (is_forced=True in Python)."
        )
