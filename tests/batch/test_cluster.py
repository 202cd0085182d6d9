"""The workers of a Dask cluster give the same files."""

import json
import logging
import os
import re
import socket
from types import SimpleNamespace

import pytest

from napari_convgen.batch.piece import do_piece
from napari_convgen.batch.run import BatchTask, denoise_files
from napari_convgen.errors import DeviceError

dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")


@pytest.mark.parametrize("place", ["address", "file"])
def test_a_cluster_gives_the_same_files(folder, few, hashes, place):
    denoise_files("in", "whole", few)
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster:
        address = cluster.scheduler_address
        if place == "file":
            with open("scheduler.json", "w") as file:
                json.dump(cluster.scheduler.identity(), file)
        task = BatchTask(["in"], "out", few, scheduler={"address": address, "file": "scheduler.json"}[place])
        assert task.n_workers == 2
        assert task.finish().n_files("done") == 2
    assert hashes(folder / "out") == hashes(folder / "whole")


def test_a_piece_whose_worker_ended_is_handed_over_again(folder, few, hashes, monkeypatch):
    denoise_files("in/stack.tif", "whole", few)

    def ending(job):
        if job.number == 1 and not (folder / "ended").exists():
            (folder / "ended").touch()
            os._exit(1)
        return do_piece(job)

    monkeypatch.setattr("napari_convgen.batch.cluster.do_piece", ending)
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    blamed_at_once = dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with blamed_at_once, distributed.LocalCluster(**options, silence_logs=logging.CRITICAL) as cluster:
        denoise_files(folder / "in/stack.tif", "out", few, scheduler=cluster.scheduler_address)
    assert (folder / "ended").exists()
    assert hashes(folder / "out") == hashes(folder / "whole")


@pytest.mark.parametrize(
    ("kind", "error"),
    [(distributed.KilledWorker, "The process that worked on it was ended"), (ImportError, "no such module")],
)
def test_why_a_piece_is_given_up_is_told(folder, few, monkeypatch, kind, error):
    def ending(job):
        raise kind("no such module", SimpleNamespace(address="node1"), 3)

    monkeypatch.setattr("napari_convgen.batch.cluster.do_piece", ending)
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster:
        [state] = denoise_files("in/stack.tif", "out", few, scheduler=cluster.scheduler_address).files
    assert (state.n_done, state.n_failed) == (0, 2)
    assert error in state.error


def test_a_scheduler_that_is_lost_ends_the_batch_with_a_sentence(folder, few, monkeypatch):
    monkeypatch.setattr("napari_convgen.batch.cluster.TIMEOUT", 0.5)
    logged = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", logged.append)
    monkeypatch.setattr(logging.getLogger("distributed.client"), "handlers", [handler])
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster:

        async def lose():
            for listener in cluster.scheduler.listeners:
                listener.stop()
            for stream in cluster.scheduler.client_comms.values():
                stream.abort()

        steps = iter(BatchTask(["in"], "out", few, scheduler=cluster.scheduler_address))
        next(steps)
        cluster.sync(lose)
        with pytest.raises(DeviceError, match=r"The Dask scheduler at .* is gone\. Run the same command again\."):
            list(steps)
    assert logged == []
    assert BatchTask(["in"], "out", few).result().files[0].n_done >= 1


def test_a_scheduler_that_is_not_there_is_refused(folder, few, monkeypatch):
    monkeypatch.setattr("napari_convgen.batch.cluster.TIMEOUT", 0.5)
    (folder / "empty.json").write_text("{}")
    (folder / "text.json").write_text("hello")
    for scheduler in ("tcp://127.0.0.1:9", "nowhere.json", "node", "empty.json", "text.json"):
        with pytest.raises(
            DeviceError, match=rf"There is no Dask scheduler at {re.escape(scheduler)}, or it has not answered"
        ):
            BatchTask(["in"], "out", few, scheduler=scheduler)


def test_what_listens_and_is_no_scheduler_is_refused(folder, few, monkeypatch):
    monkeypatch.setattr("napari_convgen.batch.cluster.TIMEOUT", 0.5)
    refused = pytest.raises(DeviceError, match=r"There is no Dask scheduler at .*, or it has not answered")
    with socket.create_server(("127.0.0.1", 0)) as silent, refused:
        BatchTask(["in"], "out", few, scheduler=f"tcp://127.0.0.1:{silent.getsockname()[1]}")
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(protocol="tcp", **options) as cluster, refused:
        BatchTask(["in"], "out", few, scheduler=cluster.workers[0].address)
