"""Denoise many files, or large ones: the verb under the command and the Python function."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from napari_convgen.batch.cluster import Cluster
from napari_convgen.batch.cut import N_COPIES_READ, Request
from napari_convgen.batch.forecast import PROCESS_BYTES, BatchForecast, time_pieces
from napari_convgen.batch.inputs import find_inputs
from napari_convgen.batch.output import finish, is_intact
from napari_convgen.batch.piece import Job, refuse_full_disk
from napari_convgen.batch.plan import Plan, remove_shared, works_in
from napari_convgen.batch.plans import (
    Part,
    checked_folder,
    leaving_no_plans,
    plan_files,
    refuse_clashes,
    refuse_others,
)
from napari_convgen.batch.progress import BatchProgress
from napari_convgen.batch.records import DONE, FAILED
from napari_convgen.batch.result import BatchResult
from napari_convgen.batch.workers import Here, Processes, Workers
from napari_convgen.config import Config
from napari_convgen.errors import ConfigError, FileError, ShortMemoryError
from napari_convgen.files.tiff.pages import LARGEST_READ
from napari_convgen.run.labels import format_bytes, format_count
from napari_convgen.run.setup.devices import count_gpus
from napari_convgen.run.setup.forecast import host_bytes
from napari_convgen.run.setup.inputs import resolve_config

N_COPIES = 3
"""Copies of a file's values on the disk while its output is put together: its pieces, the gathered values, and the output."""

REPORT_SECONDS = 30
"""Least time between two writings of the report while a batch runs, in seconds: it reads the records of all files."""


class BatchTask:
    """Denoise files, in pieces. All that can be refused is, when the task is made.

    Parameters
    ----------
    inputs, output, config, axes, series, n_workers, memory, scheduler, part, is_forced, retries_failed
        As for `denoise_files`.
    is_run
        True, the default, to run or predict it; False to look at what is done: no scheduler, memory or room on the disk is needed for it.
    is_shared
        True, the default, to let the other parts find the plans of files while this one makes them; False to write nothing before it runs.
    planned
        Function that is called whenever a file was looked at, with the number of those, and of all; ``None``, the default, for none.

    Raises
    ------
    FileError, InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be run, in a sentence.
    """

    def __init__(
        self,
        inputs: Sequence[str | Path],
        output: str | Path,
        config: Config | str | None = None,
        *,
        axes: str | None = None,
        series: int = 0,
        n_workers: int | None = 1,
        memory: float | None = None,
        scheduler: str | None = None,
        part: Part = (1, 1),
        is_forced: bool = False,
        retries_failed: bool = False,
        is_run: bool = True,
        is_shared: bool = True,
        planned: Callable[[int, int], None] | None = None,
    ) -> None:
        if not 1 <= part[0] <= part[1]:
            raise ConfigError(f"A part must be a number from 1 to the number of parts, got {part[0]} of {part[1]}.")
        if scheduler is not None and (memory is not None or n_workers not in (None, 1)):
            raise ConfigError(
                "The workers of a Dask cluster are started with it, and their number and memory are its own. Leave out the number of "
                "workers and the memory, or the scheduler."
            )
        chosen = resolve_config(config)
        chosen = chosen.replace({"n_threads": 1 if chosen.n_threads == "auto" else chosen.n_threads})
        self._cluster = Cluster(scheduler) if is_run and scheduler is not None else None
        # Workers elsewhere need whole paths.
        folder, paths = checked_folder(Path(output)), find_inputs(inputs)
        if scheduler is not None:
            folder, paths = folder.absolute(), tuple(path.absolute() for path in paths)
        request = Request(folder, chosen, axes, series)
        self.folder = request.folder
        shared_by = part if is_run and is_shared and part[1] > 1 else None
        with contextlib.nullcontext() if shared_by is None else leaving_no_plans(request.folder, paths):
            self.plans = plan_files(paths, request, self._n_planning(n_workers, memory), planned, shared_by)
            refuse_clashes(self.plans)
            if not is_forced:
                refuse_others(self.plans)
            self._retries_failed = retries_failed
            self._jobs = list(self._jobs_of(part))
            self._n_gpus = count_gpus(chosen.device)
            self._memory_note = ""
            self.n_workers = self._choose_workers(n_workers, memory) if is_run else 1
            if is_run:
                self._check_disk()

    def _jobs_of(self, part: Part) -> Iterator[Job]:
        """Yield the pieces of a part that are to be done, file after file."""
        first = 0
        for plan in self.plans:
            if not plan.is_done:
                ended = {n for n, status in plan.statuses().items() if status == DONE or not self._retries_failed}
                for number, piece in enumerate(plan.pieces):
                    if (first + number) % part[1] == part[0] - 1 and number not in ended:
                        yield Job(plan, number, piece)
            first += plan.cut.n_pieces

    def _n_planning(self, n_wanted: int | None, memory: float | None) -> int:
        """Return how many processes may look at files: as many as were asked for, or processors, as far as the memory allows."""
        n_fitting = _memory_bytes(memory) // PROCESS_BYTES - 1
        return min(n_wanted or n_processors(), n_fitting)

    def _choose_workers(self, n_wanted: int | None, memory: float | None) -> int:
        """Return how many workers there are: as many as the pieces, the processors or GPUs, and the memory allow, or those of a cluster."""
        if self._cluster is not None:
            return self._cluster.n_workers
        n_bytes = _memory_bytes(memory)
        if self._worker_bytes > n_bytes and self._jobs:
            largest = max((job.plan for job in self._jobs), key=lambda plan: plan.cut.n_peak_bytes)
            raise ShortMemoryError(
                f"A worker needs about {format_bytes(self._worker_bytes)} of memory, but only {format_bytes(n_bytes)} are there. "
                f"{_advice_on_memory(largest)}"
            )
        n_asked = max(1, min(n_wanted or self._n_gpus or n_processors(), len(self._jobs)))
        n_workers = max(1, min(n_asked, (n_bytes - self._client_bytes) // self._worker_bytes))
        if n_workers < n_asked:
            self._memory_note = (
                f"{format_count(n_workers, 'worker')} instead of {n_asked}: {format_bytes(n_bytes)} of memory are there, a worker takes "
                f"about {format_bytes(self._worker_bytes)}, and the process that hands out the pieces {format_bytes(self._client_bytes)}."
            )
        return n_workers

    @property
    def _worker_bytes(self) -> int:
        return PROCESS_BYTES + max((job.plan.cut.n_peak_bytes for job in self._jobs), default=0)

    @property
    def _client_bytes(self) -> int:
        """Bytes that this process takes beside several workers: what is loaded, and an input, which is read for its output."""
        return PROCESS_BYTES + N_COPIES_READ * max((job.plan.cut.n_held_bytes for job in self._jobs), default=0)

    @property
    def _disk_bytes(self) -> int:
        sizes = [plan.cut.n_result_bytes for plan in {job.plan.path: job.plan for job in self._jobs}.values()]
        return sum(sizes) + (N_COPIES - 1) * max(sizes, default=0)

    def _check_disk(self) -> None:
        free = _free_bytes(self.folder)
        if self._disk_bytes > free:
            raise FileError(
                f"The outputs need about {format_bytes(self._disk_bytes)}, but only {format_bytes(free)} are free on the disk of "
                f"{self.folder}. Make room, or choose another folder."
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user on what was found when the files were looked at, and on the number of workers, each once."""
        notes = dict.fromkeys(note for plan in self.plans for note in plan.cut.notes)
        return (*filter(None, [self._memory_note]), *notes)

    def forecast(self) -> BatchForecast:
        """Predict time, memory and disk: a few steps of a piece are taken, timed and forgotten."""
        return BatchForecast(
            n_files=len(self.plans),
            n_pieces=sum(plan.cut.n_pieces for plan in self.plans),
            n_pieces_left=len(self._jobs),
            n_workers=self.n_workers,
            total=time_pieces(self._jobs),
            n_bytes=self._worker_bytes * self.n_workers + self._client_bytes * (self.n_workers > 1),
            n_disk_bytes=self._disk_bytes,
            n_disk_bytes_free=_free_bytes(self.folder),
        )

    def __iter__(self) -> Iterator[BatchProgress]:
        """Do the pieces. Closing the iterator ends what is under way; all that is done stays done.

        Raises
        ------
        FileError
            The disk is full.
        """
        self._begin()
        n_left, n_ended = Counter(job.plan.path for job in self._jobs), Counter[str]()
        started, seconds_of_pieces = time.monotonic(), 0.0
        reported = started
        outcomes = self._workers().run(self._jobs)
        with contextlib.closing(outcomes), self._reported():
            for job, record in outcomes:
                n_ended[record["status"]] += 1
                seconds_of_pieces += record["seconds"]
                n_left[job.plan.path] -= 1
                if not n_left[job.plan.path]:
                    finish(job.plan)
                now = time.monotonic()
                if now - reported > REPORT_SECONDS:
                    self.result().write_report()
                    reported = time.monotonic()
                yield BatchProgress(
                    input=job.plan.path,
                    piece=job.number,
                    status=record["status"],
                    n_done=n_ended[DONE],
                    n_failed=n_ended[FAILED],
                    n_pieces=len(self._jobs),
                    n_workers=min(self.n_workers, len(self._jobs)),
                    seconds=now - started,
                    seconds_per_piece=seconds_of_pieces / n_ended.total(),
                )

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """Write the report at the end of the block, also if it is left."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(FileError):  # the error that is under way says more
                self.result().write_report()
            raise
        self.result().write_report()

    def finish(self, callback: Callable[[BatchProgress], None] | None = None) -> BatchResult:
        """Do all pieces and return how far the files are; ``callback`` is called whenever a piece has ended."""
        for progress in self:
            if callback is not None:
                callback(progress)
        return self.result()

    def _workers(self) -> Workers:
        if self._cluster is not None:
            return self._cluster
        if self.n_workers == 1:
            return Here()
        return Processes(self.n_workers, self._n_gpus if self._n_gpus > 1 else 0)

    def _begin(self) -> None:
        """Make the folders, and put together what another run has left complete."""
        try:
            self.folder.mkdir(exist_ok=True)
            works = works_in(self.folder)
            for plan in self.plans:
                if not plan.is_done:
                    plan.begin(works, retries_failed=self._retries_failed)
                    finish(plan)
            remove_shared(self.folder, [plan.path for plan in self.plans])
        except (OSError, FileError) as error:
            refuse_full_disk(error, self.folder)
            raise

    def result(self) -> BatchResult:
        """Return how far the files are, from their records."""
        return BatchResult.of(self.folder, self.plans)

    def damaged(self) -> tuple[Path, ...]:
        """Return the outputs of files that are done and are not what was written."""
        return tuple(plan.output for plan in self.plans if plan.is_done and not is_intact(plan))


def denoise_files(
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    config: Config | str | None = None,
    *,
    axes: str | None = None,
    series: int = 0,
    n_workers: int | None = 1,
    memory: float | None = None,
    scheduler: str | None = None,
    part: Part = (1, 1),
    is_forced: bool = False,
    retries_failed: bool = False,
    callback: Callable[[BatchProgress], None] | None = None,
) -> BatchResult:
    """Denoise image files, each into a file and a record of the same name, in pieces: frames or groups of them, and tiles of large ones.

    What is done stays done. The same call again goes on where one was ended, in whatever way, and gives the same files.

    Parameters
    ----------
    inputs
        Files, folders (whose image files are meant) and patterns such as ``"data/*.tif"``.
    output
        Folder for the results; made if it is missing.
    config
        Configuration, or name of a preset; ``None``, the default, for the preset ``"default"``. ``n_threads = "auto"`` is one thread a
        piece, so that any number of workers gives the same bits.
    axes
        One letter for each axis of the images; ``None``, the default, for those that the files name.
    series
        Number of the image of a file that holds several, from 0, the default.
    n_workers
        Number of pieces at a time. 1, the default, does them in this process, and more in processes of their own; ``None`` takes as many as
        there are GPUs or, without one, processors. With a scheduler it is left out.
    memory
        Memory in GiB for all workers and, if there are several, this process beside them, which bounds the number of workers; ``None``,
        the default, for what is free. With a scheduler it is left out.
    scheduler
        Address or file of a Dask scheduler, whose workers do the pieces; ``None``, the default, for this machine.
    part
        Number of a share of the pieces, from 1, and number of shares: for several machines with one folder. By default all.
    is_forced
        True to replace outputs of other settings or inputs; False, the default, refuses to.
    retries_failed
        True to try pieces again that failed before; default False.
    callback
        Function that is called with a `BatchProgress` whenever a piece has ended.

    Raises
    ------
    FileError, InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be run, in a sentence, before anything starts; or the disk is full.
    """
    names = [inputs] if isinstance(inputs, str | Path) else inputs
    task = BatchTask(
        names,
        output,
        config,
        axes=axes,
        series=series,
        n_workers=n_workers,
        memory=memory,
        scheduler=scheduler,
        part=part,
        is_forced=is_forced,
        retries_failed=retries_failed,
    )
    return task.finish(callback)


def n_processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _advice_on_memory(plan: Plan) -> str:
    """Return what to do where a worker cannot have its memory."""
    cut = plan.cut
    if cut.n_held_bytes > max(cut.n_bytes, LARGEST_READ):
        return (
            f"{plan.path} is read as a whole, {format_bytes(cut.n_held_bytes)}. Save it in a format that is read as it is needed: "
            "OME-Zarr, plain TIFF or NIfTI that is not compressed."
        )
    return "Choose smaller tiles (tiles.size), or fewer channels (generator.n_channels)."


def _memory_bytes(memory: float | None) -> int:
    """Return the bytes of memory that a batch may take: a number in GiB, or what is free."""
    return host_bytes() if memory is None else int(memory * 2**30)


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder if folder.exists() else folder.parent).free
