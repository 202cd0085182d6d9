"""Checks, times and memory of the package on a CUDA device, for a machine that can be had for some minutes only.

    python benchmarks/gpu.py [--parts steps fits] [--out FOLDER] [--device cpu]

It takes seven minutes at most. Each part runs in processes of its own, within a time of its own; a part that fails or hangs, or an item of
it, does not keep the others from running. The checks run side by side, the others one after the other. What there is after each part is
written to benchmarks/results/gpu.md, to be read, and gpu.json, all numbers and errors.

    facts      the machine and its software
    tests      the tests that are marked gpu, and all others of the passes on a GPU
    passes     each pass of the fused decoder against the same on the CPU
    decoders   image and gradients of the fused decoder against those of the plain one
    bits       the same seed gives the same bits, for every preset and every kind of generator
    presets    CPU and GPU agree after a few steps
    steps      the time of a step, beside the authors' network and beside the floor
    fits       whole fits of the presets default and best
    memory     the forecast of a fit's memory against its peak

``--device cpu`` is a rehearsal: every part on the CPU, with tiny images, in two minutes; only its timings mean nothing. Nothing has to be
installed of this package: it is found beside this file. Of its dependencies the following are needed: numpy, scipy, scikit-image, torch,
triton, numba, jaxtyping, pydantic, annotated-types, psutil; and pytest for the part ``tests``, which uses pytest-xdist if it is there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_items import LOST, Notes
from gpu_report import report

HERE = Path(__file__).resolve().parent

TOTAL_SECONDS = 400.0
"""Time for everything, in seconds: seven minutes, less what it takes to start and to write the results."""

POLL_SECONDS = 0.1
"""Time between two looks at a process, in seconds: short beside all limits."""

N_LOG_LINES = 12
"""Number of last lines of a process's output that are kept with a failure: the end of a traceback."""


@dataclass(frozen=True)
class Part:
    """A part of the benchmark.

    Attributes
    ----------
    name
        Name on the command line.
    title
        Heading in the report.
    items
        Function that returns the part's items for a device, as ``module:function``.
    seconds, item_seconds
        Time limits of the whole part and of one item, in seconds.
    is_check
        True if nothing is timed, so that other checks may run beside it.
    """

    name: str
    title: str
    items: str
    seconds: float
    item_seconds: float
    is_check: bool = True


PARTS = (
    Part("facts", "The machine", "gpu_times:facts", 60, 60, is_check=False),
    Part("tests", "Tests", "gpu_checks:tests", 150, 110),
    Part("passes", "Passes: GPU against CPU", "gpu_passes:passes", 150, 60),
    Part("decoders", "Fused decoder against the plain one", "gpu_passes:decoders", 150, 60),
    Part("bits", "Same seed, same bits", "gpu_checks:bits", 150, 60),
    Part("presets", "Fits: GPU against CPU", "gpu_checks:presets", 150, 60),
    Part("steps", "Time of a step", "gpu_times:steps", 110, 40, is_check=False),
    Part("fits", "Whole fits", "gpu_times:fits", 130, 50, is_check=False),
    Part("memory", "Memory", "gpu_times:memory", 60, 30, is_check=False),
)
"""The parts in their order. The limits are twice to three times what is expected of an H100, and leave each part a share of the whole."""


class Run:
    """A run of some parts.

    Parameters
    ----------
    parts
        Parts in their order.
    device
        ``"cuda"`` or ``"cpu"``.
    out
        Folder of the results.
    total_seconds
        Time for everything, in seconds.
    """

    def __init__(self, parts: Sequence[Part], device: str, out: Path, total_seconds: float = TOTAL_SECONDS) -> None:
        self.parts, self.device, self.out = parts, device, out
        self.started = time.monotonic()
        self.deadline = self.started + total_seconds
        self.results: dict[str, dict[str, Any]] = {}
        self.processes: set[subprocess.Popen[bytes]] = set()
        self.is_ending = False
        self._writing = threading.Lock()

    def go(self) -> None:
        """Run the parts, the checks side by side on a GPU, and write the results after each."""
        self.out.mkdir(parents=True, exist_ok=True)
        n_beside = sum(part.is_check for part in self.parts) if self.device == "cuda" else 1
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            try:
                waiting = list(self.parts)
                while waiting:
                    n = next((i for i, part in enumerate(waiting) if not part.is_check), len(waiting)) or 1
                    beside, waiting = waiting[:n], waiting[n:]
                    with ThreadPoolExecutor(max(1, n_beside)) as pool:
                        for part in beside:
                            pool.submit(self._guarded, part, Path(folder))
            finally:
                self.is_ending = True
                for process in list(self.processes):
                    end(process)
                self.write()

    def write(self) -> None:
        """Write the results so far."""
        results = {part.name: {"title": part.title} | dict(self.results.get(part.name, {})) for part in self.parts}
        whole = {"device": self.device, "seconds": time.monotonic() - self.started, "parts": results}
        with self._writing:
            self._replace("gpu.json", json.dumps(whole, indent=1) + "\n")
            self._replace("gpu.md", report(whole))

    def _replace(self, name: str, text: str) -> None:
        partial = self.out / f"{name}.part"
        partial.write_text(text)
        partial.replace(self.out / name)

    def _guarded(self, part: Part, folder: Path) -> None:
        try:
            self._run(part, folder)
        except Exception as error:  # of this script itself: the other parts go on
            self.results.setdefault(part.name, {})["error"] = f"gpu.py itself failed: {error!r}"
        print(f"… {part.name}, {time.monotonic() - self.started:.0f} s", file=sys.stderr, flush=True)
        self.write()

    def _run(self, part: Part, folder: Path) -> None:
        """Run a part; where a process ends before its time, the next goes on behind the item that ended it."""
        started = time.monotonic()
        deadline = min(self.deadline, started + part.seconds)
        notes, log = Notes(folder / f"{part.name}.jsonl"), folder / f"{part.name}.log"
        first, n, error = 0, 1, None
        while first < n and not self.is_ending:
            if time.monotonic() > deadline:
                error = "The time was over before its end."
                break
            how = self._watch(start(part, first, self.device, notes.path, log), part, notes, deadline)
            reason = f"{how or 'it did not end'}\n{last_lines(log)}".strip()
            items = merge(notes.read())
            for number in (i for i, item in enumerate(items) if item["state"] == "begun"):
                notes.add(ended=number, seconds=None, warnings=[], error=reason)
            items, before = merge(notes.read()), first
            first, n = sum(item["state"] == "ended" for item in items), len(items)
            self.results[part.name] = {"items": items, "error": None, "seconds": time.monotonic() - started}
            if first == before:  # not even one item: another process would not get further either
                error = reason if how or not items else None
                break
        result = {"items": [], "seconds": time.monotonic() - started}
        self.results[part.name] = result | self.results.get(part.name, {}) | {"error": error}

    def _watch(self, process: subprocess.Popen[bytes], part: Part, notes: Notes, deadline: float) -> str:
        """Wait until a process or a time ends; return how it ended, nothing if all was well."""
        self.processes.add(process)
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    return "stopped: the time of the part was over"
                last = next((note for note in reversed(notes.read()) if "row" not in note), {})
                if "begun" in last and time.time() > last["at"] + part.item_seconds:
                    return f"stopped after {part.item_seconds:.0f} s, the time of an item"
                time.sleep(POLL_SECONDS)
        finally:
            end(process)
            self.processes.discard(process)
        return "" if process.returncode in (0, LOST) else f"the process ended with status {process.returncode}"


def start(part: Part, first: int, device: str, notes: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a process that runs the items of a part from number ``first`` on, in a process group of its own."""
    paths = [str(HERE.parent / "src"), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    if device == "cpu":
        environment["TRITON_INTERPRET"] = "1"  # runs the kernels for GPUs on the CPU
    command = [sys.executable, str(HERE / "gpu_items.py"), part.items, str(first), device, str(notes)]
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=HERE.parent,
            process_group=0,
        )  # fmt: skip


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_lines(log: Path) -> str:
    """Return the end of a process's output."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-N_LOG_LINES:])


def merge(notes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the items of a part as its notes tell: waiting, begun or ended, with their rows."""
    names = next((note["plan"] for note in notes if "plan" in note), [])
    items: list[dict[str, Any]] = [
        {"name": name, "state": "waiting", "seconds": None, "rows": [], "warnings": [], "error": None} for name in names
    ]
    for note in notes:
        if "begun" in note:
            items[note["begun"]]["state"] = "begun"
        elif "row" in note:
            items[note["of"]]["rows"].append(note["row"])
        elif "ended" in note:
            items[note["ended"]] |= {"state": "ended"} | {name: note[name] for name in ("seconds", "warnings", "error")}
    return items


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [part.name for part in PARTS]
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART", help="parts to run")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu for a rehearsal")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the results")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    run = Run([part for part in PARTS if part.name in arguments.parts], arguments.device, arguments.out)
    run.go()
    print((arguments.out / "gpu.md").read_text())


if __name__ == "__main__":
    main()
