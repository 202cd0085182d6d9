"""Thousands of odd inputs, kills, signals and random clicks: what must not happen, counted.

    tools/with-display python benchmarks/campaign.py [--part arrays] [--scale 0.01]

Parts: ``arrays`` (10,000 odd arrays are denoised), ``files`` (2,000 odd files are read and written), ``configurations`` (2,000 odd TOML
files), ``kills`` (60 processes killed while they write), ``signals`` (40 commands interrupted or terminated), ``windows`` (100 random
sessions of 15 actions with the widgets), ``fits`` (100 fits in one process, and its memory). ``--scale`` takes a share of each. The odd
inputs are those of tests/helpers/odd.py. Each part is written to results/campaign.md as it ends. All takes about an hour and a half on
two cores.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "campaign.md"
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

N_SHOWN = 3
"""Number of faults of a part that are shown."""

Ends = Iterator[str]
"""What became of each attempt: a word, or a fault with what it was."""


def arrays(n: int, folder: Path) -> Ends:
    """Denoise odd arrays: each gives a result, or a sentence before the fit."""
    from odd import Fault, denoise_odd_array

    yield from _tried(range(n), denoise_odd_array, Fault)


def files(n: int, folder: Path) -> Ends:
    """Read odd files: each is read and written back as it is, or refused with a sentence."""
    from odd import Fault, read_odd_file

    yield from _tried(range(n), lambda seed: read_odd_file(seed, folder), Fault)


def configurations(n: int, folder: Path) -> Ends:
    """Read odd configurations: each is taken, or refused with a sentence."""
    from odd import Fault, read_odd_toml

    yield from _tried(range(n), lambda seed: read_odd_toml(seed, folder), Fault)


def _tried(seeds: range, attempt: Callable[[int], str], fault: type[Exception]) -> Ends:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in seeds:
            try:
                yield attempt(seed)
            except fault as error:
                yield f"fault: {error}"


WRITER = """
import sys, numpy as np
from napari_convgen.files.images import read_image, write_image
path, other = sys.argv[1:]
first = read_image(other)
print("ready", flush=True)
for value in range(10_000):
    write_image(path, np.full_like(first.data, value % 200), first)
"""


def kills(n: int, folder: Path) -> Ends:
    """Kill processes while they write: the file is whole, and nothing else is left beside it once it is written again."""
    import tifffile

    from napari_convgen.files.images import read_image, write_image

    path, other = folder / "image.tif", folder / "other.tif"
    tifffile.imwrite(other, np.zeros((700, 700), np.uint16))
    write_image(path, read_image(other).data, read_image(other))
    rng = np.random.default_rng(0)
    for _ in range(n):
        process = subprocess.Popen([sys.executable, "-c", WRITER, path, other], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.01, 0.2))
        process.kill()
        process.wait()
        values = np.unique(np.asarray(read_image(path).data))
        write_image(path, read_image(other).data, read_image(other))
        leftover = {each.name for each in folder.iterdir()} - {path.name, other.name}
        yield "whole" if len(values) == 1 and not leftover else f"fault: {len(values)} values, leftover {leftover}"


def signals(n: int, folder: Path) -> Ends:
    """Interrupt or terminate commands: no traceback, and either all files or none."""
    import tifffile

    noisy = np.random.default_rng(0).poisson(40, (160, 160)).astype(np.uint16)
    tifffile.imwrite(folder / "noisy.tif", noisy)
    rng = np.random.default_rng(1)
    command = [
        sys.executable,
        "-m",
        "napari_convgen.cli",
        "denoise",
        "noisy.tif",
        "-o",
        "out.tif",
        "--report",
        "out.json",
    ]
    for number in range(n):
        outputs = [folder / name for name in ("out.tif", "out.json")]
        for each in outputs:
            each.unlink(missing_ok=True)
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(rng.uniform(0.2, 12))
        sent = signal.SIGINT if number % 4 else signal.SIGTERM
        process.send_signal(sent)
        try:
            _, errors = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            yield "fault: it did not end"
            continue
        there = [each.exists() for each in outputs]
        leftover = [each.name for each in folder.iterdir() if each.suffix == ".tmp"]
        # Terminated, a process ends at once; interrupted, it writes what it has, or says that it has nothing.
        is_right = not leftover and (sent == signal.SIGTERM or ("Traceback" not in errors and there[0] == there[1]))
        kind = "written" if all(there) else "nothing written"
        yield kind if is_right else f"fault: status {process.returncode}, {there}, leftover {leftover}, {errors[-600:]}"


def windows(n: int, folder: Path) -> Ends:
    """Click and change at random in the widgets: no error that is not shown to the user, and no run that does not end."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from odd_sessions import Fault, random_session

    with mock.patch(
        "napari.settings.get_plugin_settings", lambda plugin: {}[plugin]
    ):  # the user's preferences stay as they are
        yield from _tried(range(n), random_session, Fault)


def fits(n: int, folder: Path) -> Ends:
    """Denoise image after image: memory does not grow."""
    import psutil

    from napari_convgen import denoise
    from napari_convgen.config import preset

    process = psutil.Process()
    configs = [
        preset("deep-decoder").replace({"n_steps": 20, "generator.n_channels": 16}),
        preset("default").replace({"n_steps": 5}),
        preset("best").replace({"n_steps": 2}),
    ]
    rng = np.random.default_rng(0)
    sizes = []
    for i in range(n + 20):
        denoise(rng.poisson(30, (96, 96)).astype(np.float32), configs[i % len(configs)])
        gc.collect()
        sizes.append(process.memory_info().rss / 2**20)
        yield "fitted"
    growth = np.median(sizes[-10:]) - np.median(sizes[20:30]) if len(sizes) > 40 else 0.0
    yield f"growth of {growth:.1f} MiB" if growth <= 10 else f"fault: memory grew by {growth:.1f} MiB"


PARTS: dict[str, tuple[Callable[[int, Path], Ends], int]] = {
    "arrays": (arrays, 10_000),
    "files": (files, 2_000),
    "configurations": (configurations, 2_000),
    "kills": (kills, 60),
    "signals": (signals, 40),
    "windows": (windows, 100),
    "fits": (fits, 100),
}
"""Function of each part, and its number of attempts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, nargs="*", default=list(PARTS), help="parts to try; all by default")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the attempts of each part, above 0")
    options = parser.parse_args()
    sections = _read()
    for name in options.part:
        attempts, n = PARTS[name]
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            sections[name] = _section(name, attempts(max(1, round(options.scale * n)), Path(folder)), started)
        print(sections[name], flush=True)
        RESULTS.write_text("\n".join(sections[each] for each in PARTS if each in sections))


def _section(name: str, ends: Ends, started: float) -> str:
    counts: Counter[str] = Counter()
    faults = []
    try:
        for end in ends:
            counts[end.partition(":")[0]] += 1
            if end.startswith("fault"):
                faults.append(end)
                print(end, flush=True)
    except Exception:
        faults.append(traceback.format_exc())
        counts["fault"] += 1
    summary = ", ".join(f"{n} × {end}" for end, n in counts.most_common())
    shown = "".join(f"\n    {line}" for fault in faults[:N_SHOWN] for line in fault.splitlines()[-8:])
    what = (PARTS[name][0].__doc__ or "").strip()
    return f"### {name}\n\n{what} {summary}; {len(faults)} faults; {time.monotonic() - started:.0f} s.\n{shown}\n"


def _read() -> dict[str, str]:
    """Return the sections of the last results by the name of their part."""
    texts = RESULTS.read_text().split("### ")[1:] if RESULTS.exists() else []
    return {name: f"### {text.strip()}\n" for name in PARTS for text in texts if text.startswith(f"{name}\n")}


if __name__ == "__main__":
    main()
