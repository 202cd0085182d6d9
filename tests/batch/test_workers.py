"""Processes may be ended at any time: the outputs are those of a run that nothing has disturbed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from napari_convgen.batch.piece import Job
from napari_convgen.batch.records import read_record
from napari_convgen.batch.run import BatchTask, denoise_files
from napari_convgen.batch.workers import Processes

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")


class Deadly:
    """A plan that ends each process that gets it."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os._exit, (3,)

    def record_of(self, number):
        return self.folder / f"{number}.json"


def test_a_worker_that_is_killed_is_replaced_and_a_piece_that_kills_workers_is_given_up(folder, few, hashes):
    denoise_files("in", "whole", few)
    task = BatchTask(["in"], "out", few, n_workers=2)
    for number, _ in enumerate(task):
        if number == 0:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    assert hashes(folder / "out") == hashes(folder / "whole")

    task = BatchTask(["in"], "again", few)
    task._begin()
    jobs = [Job(Deadly(folder), 0, None), *task._jobs]
    records = dict(Processes(1).run(jobs))
    assert [records[job]["status"] for job in jobs] == ["failed", *["done"] * 5]
    assert "perhaps as memory ran out" in read_record(folder / "0.json")["error"]
    assert not multiprocessing.active_children()


def test_a_client_that_is_killed_takes_its_workers_along_and_the_same_command_goes_on(folder, few, hashes):
    Path("few.toml").write_text(few.to_toml())
    command = ["batch", "in", "-o", "out", "--config", "few.toml", "--workers", "2", "--quiet"]
    client = psutil.Popen([sys.executable, "-m", "napari_convgen.cli", *command], stdout=subprocess.DEVNULL)
    while not list(Path("out").glob(".pieces/*/0*.json")):
        assert client.poll() is None
        time.sleep(0.01)
    workers = client.children(recursive=True)
    client.kill()
    client.wait()
    assert not psutil.wait_procs(workers, timeout=30)[1]
    denoise_files("in", "out", few)
    denoise_files("in", "whole", few)
    assert hashes(folder / "out") == hashes(folder / "whole")
