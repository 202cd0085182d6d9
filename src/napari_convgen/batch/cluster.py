"""The workers of a Dask cluster, which do pieces on other machines."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import importlib.util
import itertools
import json
import logging
import socket
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from napari_convgen.batch.piece import Job, do_piece
from napari_convgen.batch.workers import N_ATTEMPTS, Outcome, given_up
from napari_convgen.errors import ConvgenError, DeviceError

TIMEOUT = 10
"""Seconds within which a scheduler must answer."""

N_WAITING = 2
"""Number of pieces that are handed over for each thread of the cluster: one to do, and one to go on with."""


class Cluster:
    """The workers of a Dask cluster. Files must have the same names on all machines.

    Parameters
    ----------
    scheduler
        Address of the scheduler, such as ``"tcp://node1:8786"``, or the file in which it says so.

    Raises
    ------
    DeviceError
        The package ``distributed`` is not installed, or there is no scheduler or no worker.
    """

    def __init__(self, scheduler: str) -> None:
        if importlib.util.find_spec("distributed") is None:
            raise DeviceError(
                "A Dask cluster needs the package distributed. Install it with: pip install napari-convgen[batch]."
            )
        import distributed

        try:
            address = _address_of(scheduler)
            self._client = distributed.Client(address, timeout=f"{TIMEOUT}s", set_as_default=False)
        except Exception as error:  # what is there may answer anything
            raise DeviceError(
                f"There is no Dask scheduler at {scheduler}, or it has not answered within {TIMEOUT} seconds. Start it, or give its "
                "address or file."
            ) from error
        self.scheduler = scheduler
        self.n_workers: int = sum(self._client.nthreads().values())
        if not self.n_workers:
            raise DeviceError(f"The Dask scheduler at {scheduler} has no workers. Start some: dask worker {scheduler}.")

    def run(self, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """Do pieces, several at a time.

        Raises
        ------
        DeviceError
            The scheduler is gone.
        FileError
            The disk is full.
        """
        with _without_log():
            yield from self._run(jobs)

    def _run(self, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        from distributed import KilledWorker, as_completed

        waiting = iter(jobs)
        job_of: dict[Any, Job] = {}
        n_lost = collections.Counter[Job]()
        under_way = as_completed(loop=self._client.loop)

        def hand_over(some: Iterable[Job]) -> None:
            for job in some:
                future = self._client.submit(do_piece, job, pure=False)
                job_of[future] = job
                under_way.add(future)

        try:
            hand_over(itertools.islice(waiting, N_WAITING * self.n_workers))
            for future in under_way:
                if future.cancelled():
                    raise DeviceError(f"The Dask scheduler at {self.scheduler} is gone. Run the same command again.")
                job, error = job_of.pop(future), future.exception()
                if isinstance(error, ConvgenError):
                    raise error
                # Dask also blames pieces that only waited for a worker which ended.
                n_lost[job] += isinstance(error, KilledWorker)
                if isinstance(error, KilledWorker) and n_lost[job] < N_ATTEMPTS:
                    hand_over([job])
                    continue
                hand_over(itertools.islice(waiting, 1))
                if error is None:
                    yield job, future.result()
                else:
                    yield job, given_up(job) if isinstance(error, KilledWorker) else given_up(job, error)
        finally:
            with contextlib.suppress(Exception):  # whatever keeps it from being closed, it is left
                self._client.cancel(list(job_of))
                self._client.close()


def _address_of(scheduler: str) -> str:
    """Return the address of a scheduler, or the one in its file, once it has said that it is one.

    Where nothing listens, Dask's client waits for long, and leaves threads behind that complain.
    Where something else does, it waits forever.

    Raises
    ------
    Exception
        There is none: almost anything.
    """
    from distributed.comm.addressing import get_address_host_port

    file = Path(scheduler)
    address = str(json.loads(file.read_text(encoding="utf-8"))["address"]) if file.is_file() else scheduler
    scheme, _, _ = address.partition("://")
    if scheme in (address, "tcp", "tls"):
        socket.create_connection(get_address_host_port(address, strict=True), TIMEOUT).close()
        with ThreadPoolExecutor(1) as thread:  # this one may have a loop of its own, as in a notebook
            thread.submit(asyncio.run, asyncio.wait_for(_check_scheduler(address), TIMEOUT)).result()
    return address


async def _check_scheduler(address: str) -> None:
    """Ask what listens at an address whether it is a scheduler.

    Raises
    ------
    OSError, ValueError
        It is not.
    """
    from distributed.comm.core import connect
    from distributed.core import send_recv
    from distributed.security import Security

    connection = await connect(address, timeout=TIMEOUT, **Security().get_connection_args("client"))
    try:
        kind = (await send_recv(connection, op="identity"))["type"]
    finally:
        connection.abort()
    if kind != "Scheduler":
        raise ValueError(f"a Dask {kind.lower()} listens at {address}")


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    """Keep what Dask's client logs out of the terminal: when the scheduler is gone that is a traceback, and an error says it anyway."""
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
