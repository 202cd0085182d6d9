"""Who does the pieces: this process, processes on this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any, Protocol, Self

from napari_convgen.batch.piece import Job, do_piece, failure
from napari_convgen.batch.records import write_record
from napari_convgen.errors import ConvgenError, FitError

N_ATTEMPTS = 2
"""Number of times that a piece is begun whose worker ended in the midst of it: the first end may have come from outside."""

PRELOADED = ("napari_convgen.batch.piece",)
"""Modules that a piece needs, and that take seconds to load."""

READY = "ready"
"""What a process says before its first piece."""

NOT_STARTED = (
    "The processes for the pieces cannot be started. In a script, call denoise_files under if __name__ == '__main__', or give "
    "n_workers=1."
)
"""What is said where processes end before they are ready."""

Outcome = tuple[Job, dict[str, Any]]
"""A piece that has ended, and its record."""


class Workers(Protocol):
    """What does pieces."""

    def run(self, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """Do pieces, and yield each as it ends, in any order; closing the iterator ends what is under way."""
        ...


class Here:
    """Pieces are done by this process."""

    def run(self, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """Do one piece after the other."""
        for job in jobs:
            yield job, do_piece(job)


@dataclass(eq=False)
class _Worker:
    """A process that does pieces, one at a time."""

    process: Any
    connection: Connection
    gpu: int | None
    n_starts: int = 1
    is_ready: bool = False
    job: Job | None = None

    @classmethod
    def start(cls, gpu: int | None, n_starts: int = 1) -> Self:
        """Start a process; it says so when it is ready."""
        context = start_context()
        connection, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, _visible(gpu)), daemon=True)  # type: ignore[attr-defined]
        process.start()
        theirs.close()
        return cls(process, connection, gpu, n_starts)

    def give(self, job: Job | None) -> None:
        """Give it a piece, or ``None`` to let it end."""
        self.job = job
        with contextlib.suppress(OSError):  # it has just ended, as its connection will say
            self.connection.send(job)

    def answer(self) -> Any:
        """Return what it says next; ``None`` if it has ended."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    def end(self) -> None:
        """End it, whatever it is doing."""
        self.process.terminate()
        self.process.join()
        self.connection.close()


class Processes:
    """Processes on this machine, each with a piece at a time. One that ends unasked is replaced, and its piece begun again.

    Parameters
    ----------
    n_workers
        Number of processes.
    n_gpus
        Number of GPUs that they share, each with one for itself; 0, the default, leaves the choice to the settings.
    """

    def __init__(self, n_workers: int, n_gpus: int = 0) -> None:
        self._gpus = [number % n_gpus if n_gpus else None for number in range(n_workers)]

    def run(self, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """Do pieces, several at a time.

        Raises
        ------
        FitError
            Processes end before they are ready.
        FileError
            The disk is full.
        """
        waiting, n_ends = iter(jobs), collections.Counter[Job]()
        workers: list[_Worker] = []
        try:
            with ending_server():
                workers += map(_Worker.start, self._gpus)
            for worker in workers:
                worker.give(next(waiting, None))
            while busy := {each.connection: (each, each.job) for each in workers if each.job is not None}:
                for worker, job in [busy[connection] for connection in busy.keys() & wait(list(busy))]:
                    answer = worker.answer()
                    if answer == READY:
                        worker.is_ready = True
                        continue
                    if isinstance(answer, ConvgenError):
                        raise answer
                    if answer is None:
                        n_ends[job] += worker.is_ready
                        worker = _replaced(workers, worker)
                        if n_ends[job] < N_ATTEMPTS:
                            worker.give(job)
                            continue
                        answer = given_up(job)
                    worker.give(next(waiting, None))
                    yield job, answer
        finally:
            for worker in workers:
                worker.end()


def _replaced(workers: list[_Worker], worker: _Worker) -> _Worker:
    """Start a process in the place of one that has ended.

    Raises
    ------
    FitError
        It was never ready, and neither was the one before.
    """
    if not worker.is_ready and worker.n_starts == N_ATTEMPTS:
        raise FitError(NOT_STARTED)
    worker.end()
    new = _Worker.start(worker.gpu, 1 if worker.is_ready else worker.n_starts + 1)
    workers[workers.index(worker)] = new
    return new


LOST = "The process that worked on it was ended, perhaps as memory ran out. Use fewer workers or smaller tiles."
"""Why a piece failed at which its process ended each time."""


def given_up(job: Job, reason: str | BaseException = LOST) -> dict[str, Any]:
    """Write and return the record of a piece that failed without leaving one."""
    record = failure(reason) | {"seconds": 0.0, "cpu_seconds": 0.0}
    write_record(job.plan.record_of(job.number), record)
    return record


def start_context() -> BaseContext:
    """Return how processes are started.

    On Linux they are copies of one process that has loaded everything once: they are there at once, and share its memory. It does nothing
    else, is started here, and ends with this process. Elsewhere each loads everything for itself.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    resource_tracker.ensure_running()  # which the other would start, and let Ctrl-C through again
    # It inherits that it knows no Ctrl-C, also while it loads; here, one that comes meanwhile is heard a moment later.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


@contextlib.contextmanager
def ending_server() -> Iterator[None]:
    """End the process that others are copies of if the block is left by Ctrl-C or an error.

    It may still load what they need for seconds, and then start processes for nobody. Another one is started when it is needed.
    """
    try:
        yield
    except BaseException:
        pid = getattr(forkserver._forkserver, "_forkserver_pid", None)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it has ended by itself
                os.kill(pid, signal.SIGKILL)
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # its status is for what starts another one
        raise


def _visible(gpu: int | None) -> str | None:
    """Return the GPU that a process sees, of those that this one sees; ``None`` leaves it as it is."""
    if gpu is None:
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[gpu] if visible else str(gpu)


def _serve(connection: Connection, gpu: str | None) -> None:
    """Do pieces until there are no more: the whole life of a process."""
    begin_process()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    with contextlib.suppress(EOFError, ConnectionError):  # the process that started this one is gone
        connection.send(READY)
        while (job := connection.recv()) is not None:
            try:
                connection.send(do_piece(job))
            except ConvgenError as error:
                connection.send(error)


def begin_process() -> None:
    """Let this process live as long as the one that started it: Ctrl-C is for that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process as soon as the one that started it is gone, whatever it is doing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
