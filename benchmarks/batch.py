"""Batches that are disturbed: processes are killed at random times, and the same command goes on; and several workers against one.

    python benchmarks/batch.py [kills] [scheduler] [cluster] [workers]

Each part writes its section of results/batch.md; without a name, all do. Images are small, and made by formula. All takes some minutes.

- **kills**: with 1, 2 and 3 workers, a process is ended ten times by SIGKILL, at random times: in turn the whole command, which is then
  given again, and one of its workers. Outputs are compared with those of a run that nothing has disturbed, by their hashes; the pieces that
  were begun are counted; records that were there before a kill must be there, unchanged, at the end.
- **scheduler**: the pieces are done by the workers of a Dask cluster, whose scheduler is ended by SIGKILL at random times. The command must
  end by itself, with the exit status of an error and one sentence; then a new scheduler and new workers are started, and the same command
  is given again. Needs the package ``distributed``.
- **cluster**: the same, but the workers of the cluster are ended by SIGKILL at random times. Dask starts others, and the command must go on
  by itself to its end.
- **workers**: CPU seconds of all pieces, and seconds by the clock, with one and with two workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tifffile

from napari_convgen.batch import piece as piece_module
from napari_convgen.batch.records import hash_file
from napari_convgen.batch.run import BatchTask, denoise_files
from napari_convgen.config import Config, preset
from napari_convgen.core.image import Image
from napari_convgen.files.images import new_image, write_image
from napari_convgen.run.compare.result import markdown_table
from sections import write_section

RESULT = Path(__file__).parent / "results" / "batch.md"

N_KILLS = 10
"""Processes that are killed, for each number of workers."""

N_CLUSTER_KILLS, N_CLUSTER_WORKERS = 10, 2
"""Schedulers that are killed, or workers of a cluster; and number of its workers."""

LONGEST_END = 60
"""Seconds within which a command must end whose scheduler is gone."""

WORKERS = (1, 2, 3)
"""Numbers of workers."""

ENDINGS = "tif", "zarr"
"""Endings of the outputs."""

LOG = "CONVGEN_BENCHMARK_LOG"
"""Variable of the environment with the file in which each piece that is begun leaves a line."""

FEW = {
    "generator.n_channels": 32,
    "n_seeds": 1,
    "stopping.kind": "fixed",
    "n_steps": 120,
    "tiles.size": 64,
    "tiles.overlap": 8,
    "device": "cpu",
    "n_threads": 1,
}
"""Settings of ``deep-decoder`` with which a piece takes some tenths of a second."""

SECONDS_BETWEEN = (0.3, 2.5)
"""Least and longest time from the first piece of a command, or the last kill, to the next kill."""


def config() -> Config:
    """Return the settings of all pieces."""
    return preset("deep-decoder").replace(FEW)


def make_inputs(folder: Path) -> int:
    """Write a plane in tiles, a stack, a small plane and an OME-Zarr image; return their number of pieces."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    clean = 120 + 60 * np.sin(x / 9) * np.cos(y / 7)

    def noisy(*shape: int) -> np.ndarray:
        return (clean[: shape[-2], : shape[-1]] + 15 * rng.standard_normal(shape)).clip(0, 255).astype(np.uint8)

    folder.mkdir()
    tifffile.imwrite(folder / "plane.tif", noisy(256, 256), imagej=True)
    tifffile.imwrite(folder / "stack.tif", noisy(12, 64, 64), imagej=True, metadata={"axes": "TYX"})
    tifffile.imwrite(folder / "small.tif", noisy(64, 64), imagej=True)
    volume = noisy(4, 64, 64)
    write_image(folder / "volume.zarr", volume, new_image(Image(volume, "ZYX")))
    return sum(plan.cut.n_pieces for plan in BatchTask([folder], folder.parent / "unused", config()).plans)


def hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of the outputs in a folder."""
    return {path.name: hash_file(path) for ending in ENDINGS for path in sorted(folder.glob(f"*.{ending}"))}


def records(folder: Path) -> dict[tuple[str, int], Any]:
    """Return the records of all pieces that are done, by file and number."""
    found = {}
    for path in folder.glob(".pieces/*/[0-9]*.json"):
        try:
            found[path.parent.name.rpartition("-")[0], int(path.stem)] = json.loads(path.read_text())
        except FileNotFoundError:  # its file has just been put together
            continue
    for path in (each for ending in ENDINGS for each in folder.glob(f"*.{ending}.json")):
        pieces = json.loads(path.read_text())["pieces"]
        found |= {(path.name.removesuffix(".json"), number): each for number, each in enumerate(pieces)}
    return found


def start(folder: Path, out: Path, n_workers: int) -> psutil.Popen:
    """Start the batch as a process of its own."""
    environment = {**os.environ, LOG: str(folder / "begun.txt")}
    command = [sys.executable, __file__, "client", str(folder / "in"), str(out), str(n_workers)]
    return psutil.Popen(command, env=environment)


def workers_of(process: psutil.Popen) -> list[psutil.Process]:
    """Return the processes that do the pieces of a command; none if it has just ended."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                is_copy = child.ppid() != process.pid  # on Linux, of the process that has loaded everything
                found += [child] * (is_copy or "spawn_main" in " ".join(child.cmdline()))
    return found


def client(inputs: str, out: str, n_workers: str) -> None:
    """Be the command that is killed."""
    denoise_files(inputs, out, config(), n_workers=int(n_workers))


def disturbed(folder: Path, n_workers: int, rng: random.Random) -> list[str]:
    """Run a batch to its end under kills; return a row of the table."""
    out = folder / f"out-{n_workers}"
    log = folder / "begun.txt"
    log.write_text("")
    before: dict[tuple[str, int], Any] = {}
    n_killed, n_lost_at_most, process = {"command": 0, "worker": 0}, 0, start(folder, out, n_workers)
    while sum(n_killed.values()) < N_KILLS and process.poll() is None:
        n_begun = len(log.read_text())
        while process.poll() is None and len(log.read_text()) == n_begun:
            time.sleep(0.01)  # until it is at work
        time.sleep(rng.uniform(*SECONDS_BETWEEN))
        before |= records(out)
        if process.poll() is not None:
            break
        workers = workers_of(process)
        what = "worker" if workers and n_killed["worker"] < n_killed["command"] else "command"
        with contextlib.suppress(psutil.NoSuchProcess):
            (rng.choice(workers) if what == "worker" else process).kill()
        n_killed[what] += 1
        n_lost_at_most += 1 if what == "worker" else n_workers
        if what == "command":
            process.wait()
            psutil.wait_procs(workers, timeout=60)
            process = start(folder, out, n_workers)
    process.wait()
    after = records(out)
    n_again = len(log.read_text().splitlines()) - len(after)
    is_equal = hashes(out) == hashes(folder / "whole")
    n_changed = sum(after[key] != record for key, record in before.items())
    print(n_workers, n_killed, is_equal, n_again, n_lost_at_most, n_changed, flush=True)
    killed = f"{n_killed['command']} + {n_killed['worker']}"
    equal = "yes" if is_equal else "NO"
    return [str(n_workers), killed, equal, str(n_again), str(n_lost_at_most), str(n_changed)]


def kills() -> tuple[str, str]:
    """Kill processes at random times."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_pieces = make_inputs(folder / "in")
        denoise_files(folder / "in", folder / "whole", config(), n_workers=1)
        rows = [disturbed(folder, n_workers, rng) for n_workers in WORKERS]
    head = [
        "workers",
        "kills (command + worker)",
        "hashes equal",
        "pieces done again",
        "one a worker and kill",
        "records changed",
    ]
    text = f"{n_pieces} pieces of 4 files; SIGKILL at random times, and the same command again."
    return "Kills", f"{text}\n\n{markdown_table(head, rows)}"


def start_cluster(folder: Path) -> tuple[psutil.Popen, psutil.Popen]:
    """Start a Dask scheduler and its workers, which count the pieces that they begin; return when they are ready."""
    from distributed import Client

    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    options: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask, where = [sys.executable, "-m", "dask"], ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = psutil.Popen([*dask, "scheduler", *where, "--host", "127.0.0.1", "--port", "0"], **options)
    number = ["--nworkers", str(N_CLUSTER_WORKERS), "--nthreads", "1", "--preload", __file__]
    # Dask loads a copy of this file, which finds what it imports by the path.
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, LOG: str(folder / "begun.txt"), "PYTHONPATH": path}
    cluster_workers = psutil.Popen([*dask, "worker", *where, *number], env=environment, **options)
    while not file.exists():
        time.sleep(0.1)
    with Client(scheduler_file=str(file), timeout=60) as probe:
        probe.wait_for_workers(N_CLUSTER_WORKERS, timeout=120)
    return scheduler, cluster_workers


def end(process: psutil.Popen) -> None:
    """End a process and those that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        all_of_it = [*process.children(recursive=True), process]
        for each in all_of_it:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(all_of_it, timeout=60)


def scheduler() -> tuple[str, str]:
    """Kill the scheduler of a cluster at random times."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_pieces = make_inputs(folder / "in")
        denoise_files(folder / "in", folder / "whole", config(), n_workers=1)
        row = lost_schedulers(folder, rng)
    head = [
        "kills",
        "hashes equal",
        "pieces done again",
        "one a worker and kill",
        "records changed",
        "exit status and lines on stderr",
        "longest time to the end (s)",
    ]
    text = (
        f"{n_pieces} pieces of 4 files, {N_CLUSTER_WORKERS} workers; SIGKILL of the scheduler at random times, a new scheduler with new "
        "workers, and the same command again."
    )
    return "The scheduler of a Dask cluster is killed", f"{text}\n\n{markdown_table(head, [row])}"


def cluster() -> tuple[str, str]:
    """Kill workers of a cluster at random times."""
    rng, rows, n_killed = random.Random(0), [], 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_pieces = make_inputs(folder / "in")
        denoise_files(folder / "in", folder / "whole", config(), n_workers=1)
        the_scheduler, cluster_workers = start_cluster(folder)
        try:
            while n_killed < N_CLUSTER_KILLS:
                rows.append(lost_workers(folder, len(rows), cluster_workers, N_CLUSTER_KILLS - n_killed, rng))
                n_killed += int(rows[-1][1])
                print(rows[-1], flush=True)
        finally:
            end(cluster_workers)
            end(the_scheduler)
    head = ["run", "kills", "hashes equal", "pieces done again", "exit status"]
    text = f"{n_pieces} pieces of 4 files, {N_CLUSTER_WORKERS} workers; SIGKILL of one of them at random times, and nothing else is done."
    return "Workers of a Dask cluster are killed", f"{text}\n\n{markdown_table(head, rows)}"


def batch_command(folder: Path, out: Path) -> list[str]:
    """Return the command that lets the cluster of `start_cluster` do all pieces."""
    settings = folder / "few.toml"
    settings.write_text(config().to_toml())
    command = [sys.executable, "-m", "napari_convgen.cli", "batch", str(folder / "in"), "-o", str(out), "--quiet"]
    return [*command, "--config", str(settings), "--scheduler", str(folder / "scheduler.json")]


def lost_workers(
    folder: Path, number: int, cluster_workers: psutil.Popen, n_most: int, rng: random.Random
) -> list[str]:
    """Run a batch to its end while workers of the cluster are killed; return a row of the table."""
    log, out = folder / "begun.txt", folder / f"out-{number}"
    log.write_text("")
    process, n_killed = psutil.Popen(batch_command(folder, out)), 0
    while process.poll() is None:
        n_begun = len(log.read_text())
        while process.poll() is None and len(log.read_text()) == n_begun:
            time.sleep(0.01)  # until it is at work
        time.sleep(rng.uniform(*SECONDS_BETWEEN))
        found = [each for each in cluster_workers.children(recursive=True) if "spawn_main" in " ".join(each.cmdline())]
        if process.poll() is None and found and n_killed < n_most:
            rng.choice(found).kill()
            n_killed += 1
    n_again = len(log.read_text().splitlines()) - len(records(out))
    equal = "yes" if hashes(out) == hashes(folder / "whole") else "NO"
    return [str(number + 1), str(n_killed), equal, str(n_again), str(process.wait())]


def lost_schedulers(folder: Path, rng: random.Random) -> list[str]:
    """Run a batch to its end while schedulers are killed; return a row of the table."""
    log, out, errors = (folder / each for each in ("begun.txt", "out", "errors.txt"))
    log.write_text("")
    command = batch_command(folder, out)
    before: dict[tuple[str, int], Any] = {}
    ends, seconds, n_killed, status = set(), [0.0], 0, None
    while status != 0:
        the_scheduler, cluster_workers = start_cluster(folder)
        n_begun = len(log.read_text())
        with errors.open("w") as file:
            process = psutil.Popen(command, stderr=file)
        while process.poll() is None and len(log.read_text()) == n_begun:
            time.sleep(0.01)  # until it is at work
        if n_killed < N_CLUSTER_KILLS:
            time.sleep(rng.uniform(*SECONDS_BETWEEN))
            before |= records(out)
        if n_killed < N_CLUSTER_KILLS and process.poll() is None:
            the_scheduler.kill()
            n_killed += 1
            started = time.monotonic()
            status = process.wait(LONGEST_END)
            seconds.append(time.monotonic() - started)
            ends.add(f"{status}, {len(errors.read_text().splitlines())}")
            print(n_killed, status, f"{seconds[-1]:.1f} s", errors.read_text(), flush=True)
        else:
            status = process.wait()
        end(cluster_workers)
        end(the_scheduler)
    after = records(out)
    n_again = len(log.read_text().splitlines()) - len(after)
    n_changed = sum(after[key] != record for key, record in before.items())
    equal = "yes" if hashes(out) == hashes(folder / "whole") else "NO"
    numbers = [str(each) for each in (n_again, n_killed * N_CLUSTER_WORKERS, n_changed)]
    return [str(n_killed), equal, *numbers, "; ".join(sorted(ends)), f"{max(seconds):.0f}"]


def workers() -> tuple[str, str]:
    """Compare two workers with one."""
    rows, cpu = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(folder / "in")
        for n_workers in (1, 2):
            out, started = folder / f"out-{n_workers}", time.monotonic()
            start(folder, out, n_workers).wait()
            seconds = time.monotonic() - started
            cpu[n_workers] = sum(each["cpu_seconds"] for each in records(out).values())
            rows.append([str(n_workers), f"{seconds:.1f}", f"{cpu[n_workers]:.1f}", f"{cpu[n_workers] / cpu[1]:.2f}"])
            print(rows[-1], flush=True)
    head = ["workers", "clock (s)", "CPU of all pieces (s)", "CPU relative to one worker"]
    busy = f"{os.getloadavg()[0]:.0f} programs waited for {os.cpu_count()} processors at the end, which is what the clock shows"
    return "Two workers against one", f"The same inputs. {busy}.\n\n{markdown_table(head, rows)}"


PARTS: dict[str, Callable[[], tuple[str, str]]] = {
    "kills": kills,
    "scheduler": scheduler,
    "cluster": cluster,
    "workers": workers,
}


def main() -> None:
    """Run the parts that are named, and put their sections into the result."""
    for name in sys.argv[1:] or list(PARTS):
        write_section(RESULT, *PARTS[name]())


def _count_begun() -> None:
    """Let each piece that is begun leave a line, in this process and in its workers, which import this file, those of Dask twice."""
    fit = piece_module._fit
    if hasattr(fit, "is_counted"):
        return

    def counted(job: Any) -> Any:
        with open(os.environ[LOG], "a") as log:
            log.write(".\n")
        return fit(job)

    counted.is_counted = True  # type: ignore[attr-defined]
    piece_module._fit = counted


if LOG in os.environ:
    _count_begun()

if __name__ == "__main__":
    if sys.argv[1:2] == ["client"]:
        client(*sys.argv[2:])
    else:
        main()
