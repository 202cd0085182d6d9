"""Large images: quality and seams of tiles, and how time and memory grow with pixels and frames.

    python benchmarks/large.py [seams] [growth] [cores] [frames] [sparse]

Each part writes its section of results/large.md as soon as it is done; without a name, all do. Times of the CPU are over one thread, so
that other programs do not change them much; those of the clock are only right on a quiet machine. The image is scikit-image's ``camera``
(512 × 512) with noise added, with mirrored copies where more is needed.

- **seams**: the whole against tiles, with the noise that each tile estimates and with that of the whole image.
- **growth**: a fresh process for each size; the memory is the peak of what is resident, with all libraries.
- **cores**: a camera's frame of 2048 × 2048 pixels on two threads.
- **frames**: a batch over a stack, in one fresh process; what is resident in memory after each frame. A fit takes few steps, and the
  file is read frame by frame although it is small.
- **sparse**: the command over an OME-Zarr image of 8 GiB, nearly all of which is not stored, with two workers, ended after some pieces.
"""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tifffile
from skimage.data import camera

from napari_convgen.batch.run import BatchTask
from napari_convgen.config import Config, preset
from napari_convgen.core.image import Division, Layout
from napari_convgen.core.image.tiles import AUTO_SIDE
from napari_convgen.core.quality.metrics import psnr
from napari_convgen.files.tiff import pages
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.denoise.run import DenoiseTask
from sections import write_section

RESULT = Path(__file__).parent / "results" / "large.md"

PRESETS = ("quick", "default")

SEAM_SIDE = 2 * AUTO_SIDE
"""Side of the image that is denoised whole and in tiles."""

SIDES: dict[str, Sequence[Any]] = {"quick": ("whole", AUTO_SIDE // 2, AUTO_SIDE), "default": ("whole", AUTO_SIDE)}
"""Sides of tiles that are compared, by preset."""

OVERLAPS = (0, 16, 32)
"""Overlaps that are compared, with ``quick`` and tiles of the usual side."""

GROWTH = {"quick": (512, 1024, 2048), "default": (512,)}
"""Sides of the images whose time and memory are measured, by preset; for ``default`` at 2048, which takes long, see the part ``cores``."""

CAMERA_SIDE = 2048
"""Side of a frame of a camera."""

N_FRAMES, FRAME_SIDE = 200, 256
"""Frames of the stack, and their side."""

SHOWN_FRAMES = (1, 5, 20, 50, 100, N_FRAMES)
"""Numbers of the frames after which the memory is shown."""

FEW = {"generator.n_channels": 16, "n_seeds": 1, "stopping.kind": "fixed", "n_steps": 5}
"""Settings of a fit that takes little time, for the part that measures memory alone, in the place of those of ``deep-decoder``."""

SPARSE = (16, 16384, 16384)
"""Shape of the sparse image, of 16 bits."""

N_STORED, N_SPARSE_PIECES = 3, 40
"""Tiles of it that are stored, and pieces after which the command is ended."""

SIGMA = 25.0
"""Standard deviation of the noise, of 255."""


def noisy(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a noisy image and the clean one."""
    n_copies = math.ceil(side / 512)
    clean = np.pad(camera(), (0, 512 * (n_copies - 1)), mode="symmetric")[:side, :side].astype(np.float32)
    return (clean + SIGMA * np.random.default_rng(0).standard_normal(clean.shape)).astype(np.float32), clean


def config_of(name: str, **changes: Any) -> Config:
    """Return a preset on one thread of the CPU."""
    return preset(name).replace({"device": "cpu", "n_threads": 1} | changes)


def seam(error: np.ndarray, side: Any, overlap: int) -> float:
    """Return the mean squared error in the two pixels on each side of all borders, over that elsewhere, in squared gray values."""
    if side == "whole":
        return math.nan
    is_border = np.zeros(error.shape, bool)
    for piece in Division.of(Layout.of(error.shape), error.shape, side, overlap).pieces:
        for axis, part in enumerate(piece.index):
            if isinstance(part, slice) and part.start:
                lines = [slice(None)] * error.ndim
                lines[axis] = slice(part.start - 2, part.start + 2)
                is_border[tuple(lines)] = True
    return float(error[is_border].mean() / error[~is_border].mean())


def seams() -> tuple[str, str]:
    """Compare the whole with tiles."""
    image, clean = noisy(SEAM_SIDE)
    rows: list[list[str]] = []
    wholes: dict[str, np.ndarray] = {}
    psnrs: dict[str, float] = {}

    def add(name: str, side: Any, overlap: int, noise: str = "of the tile", **changes: Any) -> None:
        started = time.process_time()
        config = config_of(name, **{"tiles.size": side, "tiles.overlap": overlap, **changes})
        result = DenoiseTask(image, config, keeps_snapshots=False).finish()
        error = (result.image - clean) ** 2
        wholes.setdefault(name, error)
        # A border lies where the image is hard or easy, so the whole's error there is the measure.
        ratio = seam(error, side, overlap) / seam(wholes[name], side, overlap) if side != "whole" else math.nan
        level = psnr(result.image, clean, 255)
        psnrs.setdefault(name, level)
        values = [f"{level:.2f}", f"{level - psnrs[name]:+.2f}", f"{ratio:.2f}", f"{time.process_time() - started:.0f}"]
        rows.append([name, str(side), str(overlap), noise, *values])
        print(rows[-1], flush=True)

    for name in PRESETS:
        for side in SIDES[name]:
            add(name, side, 32)
    for overlap in OVERLAPS[:-1]:
        add("quick", AUTO_SIDE, overlap)
    add("quick", AUTO_SIDE, 32, "of the image", **{"noise.kind": "gaussian", "noise.sigma": SIGMA})
    head = [
        "preset",
        "side",
        "overlap",
        "noise",
        "PSNR (dB)",
        "against the whole",
        "squared error at borders",
        "CPU (s)",
    ]
    text = (
        f"`camera`, mirrored to {SEAM_SIDE} × {SEAM_SIDE}, Gaussian noise of 25 of 255. At borders: mean squared error in the two pixels "
        "on each side of a border over that elsewhere, relative to the same ratio of the whole."
    )
    return "Tiles against the whole", f"{text}\n\n{markdown_table(head, rows)}"


def growth() -> tuple[str, str]:
    """Measure time and memory of larger and larger images."""
    rows = []
    for name in PRESETS:
        for side in GROWTH[name]:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                wall, seconds, n_bytes, predicted, n_tiles = pool.submit(_measure, name, side).result()
            memory = [f"{n / 2**20:.0f}" for n in (n_bytes, predicted)]
            rows.append(
                [
                    name,
                    f"{side} × {side}",
                    str(n_tiles),
                    f"{wall:.0f}",
                    f"{seconds:.0f}",
                    f"{1e6 * seconds / side**2:.1f}",
                    *memory,
                ]
            )
            print(rows[-1], flush=True)
    head = [
        "preset",
        "image",
        "tiles",
        "clock (s)",
        "CPU (s)",
        "CPU (µs a pixel)",
        "peak memory (MiB)",
        "of it predicted for the fit (MiB)",
    ]
    return "Growth with pixels", markdown_table(head, rows)


def _measure(name: str, side: int, n_threads: int = 1) -> tuple[float, float, int, int, int]:
    image, _ = noisy(side)
    config = config_of(name, n_threads=n_threads)
    DenoiseTask(image[:64, :64], config, keeps_snapshots=False).finish()  # loads what is needed
    started, clock = time.process_time(), time.monotonic()
    task = DenoiseTask(image, config, keeps_snapshots=False)
    task.finish()
    wall = time.monotonic() - clock
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = 1024 * int(status["VmHWM"].split()[0])
    return wall, time.process_time() - started, peak, task.n_bytes, task.prepared.n_tiles


def cores() -> tuple[str, str]:
    """Measure the time of a large image on two threads."""
    rows = []
    for name in PRESETS:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            wall, seconds, n_bytes, _, n_tiles = pool.submit(_measure, name, CAMERA_SIDE, 2).result()
        rows.append([name, str(n_tiles), f"{wall / 60:.1f}", f"{seconds / 60:.1f}", f"{n_bytes / 2**20:.0f}"])
        print(rows[-1], flush=True)
    head = ["preset", "tiles", "clock (min)", "CPU (min)", "peak memory (MiB)"]
    return f"{CAMERA_SIDE} × {CAMERA_SIDE} pixels on two threads", markdown_table(head, rows)


def frames() -> tuple[str, str]:
    """Measure what stays in memory from frame to frame."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        resident = pool.submit(_resident).result()
    shown = [f"{resident[number - 1] / 2**20:.0f}" for number in SHOWN_FRAMES]
    growth = f"{(max(resident[5:]) - resident[4]) / 2**20:.0f}"
    text = f"A batch over {N_FRAMES} frames of {FRAME_SIDE} × {FRAME_SIDE}, in one process: resident memory."
    table = markdown_table(["after frame", *map(str, SHOWN_FRAMES), "growth after frame 5"], [["MiB", *shown, growth]])
    return "Growth with frames", f"{text}\n\n{table}"


def _resident() -> list[int]:
    """Return the bytes that are resident after each frame of a batch, and at its end."""
    pages.LARGEST_READ = 0
    clean = camera()[:FRAME_SIDE, :FRAME_SIDE].astype(np.float32)
    rng = np.random.default_rng(0)
    resident = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stack.tif"
        stack = (clean + SIGMA * rng.standard_normal((N_FRAMES, *clean.shape))).clip(0, 255).astype(np.uint8)
        tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TYX"})
        del stack
        for _ in BatchTask([path], Path(folder) / "out", config_of("deep-decoder", **FEW), n_workers=1):
            resident.append(psutil.Process().memory_info().rss)
            if len(resident) in SHOWN_FRAMES:
                print(len(resident), resident[-1] // 2**20, "MiB", flush=True)
        resident.append(psutil.Process().memory_info().rss)
    return resident


def sparse() -> tuple[str, str]:
    """Measure the memory of two workers on a sparse image of 8 GiB, and the time until the first fit begins."""
    import zarr

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        group = zarr.open_group(folder / "in.zarr", mode="w", zarr_format=3)
        array = group.create_array(
            "0", shape=SPARSE, chunks=(1, 512, 512), dtype=np.uint16, dimension_names=("z", "y", "x")
        )
        for part in range(N_STORED):
            tile, _ = noisy(512)
            array[part, 512:1024, 512 * part : 512 * (part + 1)] = (10 * tile + 500).clip(0, 65535)
        axes = [{"name": letter, "type": "space", "unit": "micrometer"} for letter in "zyx"]
        scale = [{"type": "scale", "scale": [1.0, 0.2, 0.2]}]
        levels = [{"path": "0", "coordinateTransformations": scale}]
        group.attrs["ome"] = {"version": "0.5", "multiscales": [{"name": "sparse", "axes": axes, "datasets": levels}]}
        first, peak, n_done = _watch(folder)
    rows = [[f"{np.prod(SPARSE) * 2 / 2**30:.0f} GiB", "2", f"{first:.1f}", f"{peak / 2**20:.0f}", str(n_done)]]
    head = [
        "image",
        "workers",
        "first fit begins after (s)",
        "peak of all processes (MiB)",
        "pieces until it was ended",
    ]
    text = "The command with `quick`; memory is what is resident, shared parts counted once."
    return "A sparse image", f"{text}\n\n{markdown_table(head, rows)}"


def _watch(folder: Path) -> tuple[float, int, int]:
    """Run the command until some pieces are done; return when the first fit began, the peak of memory, and the number of pieces."""
    options = ["--preset", "quick", "--device", "cpu", "--workers", "2", "--quiet"]
    started = time.time()
    command = [
        sys.executable,
        "-m",
        "napari_convgen.cli",
        "batch",
        str(folder / "in.zarr"),
        "-o",
        str(folder / "out"),
        *options,
    ]
    process, first, peak, done = psutil.Popen(command), math.inf, 0, 0
    while process.poll() is None and (done < N_SPARSE_PIECES or first == math.inf):
        time.sleep(0.2)
        with contextlib.suppress(psutil.Error):
            everyone = [process, *process.children(recursive=True)]
            peak = max(peak, sum(each.memory_full_info().pss for each in everyone))
        paths = list(folder.glob("out/.pieces/*/[0-9]*.json"))
        done = len(paths)
        for path in paths if first == math.inf else ():
            record = json.loads(path.read_text())
            if "step" in record or any("step" in frame for frame in record.get("frames", ())):
                first = min(first, path.stat().st_mtime - record["seconds"] - started)
    process.terminate()
    process.wait()
    return first, peak, done


PARTS: dict[str, Callable[[], tuple[str, str]]] = {
    "seams": seams,
    "growth": growth,
    "cores": cores,
    "frames": frames,
    "sparse": sparse,
}


def main() -> None:
    """Run the parts that are named, and put their sections into the result."""
    for name in sys.argv[1:] or list(PARTS):
        write_section(RESULT, *PARTS[name]())


if __name__ == "__main__":
    main()
