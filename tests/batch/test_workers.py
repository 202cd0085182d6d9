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

from napari_convgen.batch import run as run_module
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


INTERRUPTED_SERVER = """
import os, signal, time
import psutil
from napari_convgen.batch.workers import ending_server, start_context

if __name__ == "__main__":
    context = start_context()
    [server] = [each for each in psutil.Process().children() if "forkserver import main" in " ".join(each.cmdline())]
    server.send_signal(signal.SIGINT)
    process = context.Process(target=print, args=("started",))
    process.start()
    process.join()
    try:
        with ending_server():
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert server.status() == psutil.STATUS_ZOMBIE
    process = context.Process(target=print, args=("started again",))
    process.start()
    process.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes are no copies of one")
def test_ctrl_c_leaves_the_process_alone_that_loads_and_it_ends_with_what_needs_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED_SERVER)
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert (run.stdout, run.stderr) == ("started\nstarted again\n", "")


class Seen:
    """A plan that lets each process that gets it write which GPU it sees, and fails there."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        name = f"{self.folder}/gpu-"
        word = "os.environ.get('CUDA_VISIBLE_DEVICES', 'any')"
        return exec, (f"import os, time; open({name!r} + {word}, 'w').close(); time.sleep(1)",)

    def record_of(self, number):
        return self.folder / f"{number}.json"


@pytest.mark.parametrize(("visible", "seen"), [(None, ["0", "1"]), ("3,5", ["3", "5"])])
def test_each_process_has_a_gpu_for_itself(folder, monkeypatch, visible, seen):
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    dict(Processes(2, 2).run([Job(Seen(folder), 0, None), Job(Seen(folder), 1, None)]))
    assert sorted(path.name for path in folder.glob("gpu-*")) == [f"gpu-{name}" for name in seen]


def test_there_are_as_many_workers_as_gpus_and_each_gets_one(folder, few, monkeypatch):
    monkeypatch.setattr(run_module, "count_gpus", lambda device: 3)
    task = BatchTask(["in"], "out", few, n_workers=None)
    assert task.n_workers == 3
    assert task._workers()._gpus == [0, 1, 2]
    assert BatchTask(["in"], "out", few, n_workers=4)._workers()._gpus == [0, 1, 2, 0]


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
