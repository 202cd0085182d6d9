"""The plans of all files of a batch, and what they may not do to each other and to what is there."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from napari_convgen.batch.cut import Request
from napari_convgen.batch.plan import Plan, remove_shared, works_in
from napari_convgen.batch.workers import NOT_STARTED, begin_process, ending_server, start_context
from napari_convgen.errors import ConvgenError, FileError, FitError
from napari_convgen.files.atomic import check_folder

Part = tuple[int, int]
"""A share of the pieces: its number, from 1, and the number of shares."""

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
    paths: Sequence[Path],
    request: Request,
    n_processes: int,
    planned: Callable[[int, int], None] | None = None,
    shared_by: Part | None = None,
) -> tuple[Plan, ...]:
    """Plan all files; refuse them together, with the reason of the first that cannot be done.

    Parameters
    ----------
    paths, request
        The files, and what is asked of them.
    n_processes
        Largest number of processes that look at small files, where these are many.
    planned
        Function that is called after each file with the number of those that are planned, and of all; ``None``, the default, for none.
    shared_by
        Number of this batch, from 1, and number of those that plan the same files, perhaps at the same time. Each begins at another file
        and takes the plans that it finds, so that together they look at each file about once. None waits for another, and what is left
        of one that was ended is of use to the others. ``None``, the default, to write nothing for others.
    """
    first = 0 if shared_by is None else (shared_by[0] - 1) * len(paths) // shared_by[1]
    plans: dict[Path, Plan] = {}
    refused: dict[Path, ConvgenError] = {}
    ordered = [*paths[first:], *paths[:first]]
    with _planner(ordered, request, n_processes, is_shared=shared_by is not None) as plan:
        for number, path in enumerate(ordered, 1):
            try:
                plans[path] = plan(path)
            except ConvgenError as error:
                refused[path] = error
            if planned is not None:
                planned(number, len(paths))
    if refused:
        path = next(each for each in paths if each in refused)
        named = str(refused[path]) if str(path) in str(refused[path]) else f"{path}: {refused[path]}"
        others = f" {len(refused)} of {len(paths)} files are refused." if len(paths) > 1 else ""
        raise type(refused[path])(f"{named}{others}") from refused[path]
    return tuple(plans[path] for path in paths)


@contextlib.contextmanager
def leaving_no_plans(folder: Path, paths: Sequence[Path]) -> Iterator[None]:
    """Remove the plans for other batches, and the folder for the outputs if they made it, if the block is left by an error or Ctrl-C."""
    was_there = folder.exists()
    try:
        yield
    except BaseException:
        remove_shared(folder, paths)
        if not was_there:
            with contextlib.suppress(OSError):  # it is not there, or is used by now
                folder.rmdir()
        raise


@contextlib.contextmanager
def _planner(
    paths: Sequence[Path], request: Request, n_processes: int, *, is_shared: bool
) -> Iterator[Callable[[Path], Plan]]:
    """Return a function that plans a file. Many small ones are planned by several processes: the noise of each is estimated.

    Raises
    ------
    FitError
        Processes end before they are ready.
    """
    make = functools.partial(Plan.of, request=request, is_shared=is_shared)
    small = [path for path in paths if path.is_file() and path.stat().st_size <= LARGEST_SMALL]
    n_processes = min(n_processes, len(small) // FEWEST)
    if n_processes < 2:
        yield make
        return
    pool = ProcessPoolExecutor(n_processes, start_context(), begin_process)
    try:
        with ending_server():
            begun = {path: pool.submit(make, path) for path in small}
        yield lambda path: begun[path].result() if path in begun else make(path)
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
    works = {folder: works_in(folder) for folder in {plan.request.folder for plan in plans}}
    for own, other in ((plan.record, each) for plan in plans for each in plan.others(works[plan.request.folder])):
        what = (
            "and is no record of a batch" if other == own else "from another input, other settings or another version"
        )
        raise FileError(
            f"{other} is there already, {what}. Choose another output folder, or replace it with --force (is_forced=True in Python)."
        )
