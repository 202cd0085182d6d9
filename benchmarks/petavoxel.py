"""What an archive of a petavoxel takes: pieces, bytes, records, load of a scheduler, and dollars, computed from small runs.

    python benchmarks/petavoxel.py

A batch over a small image in tiles is measured: CPU time and records of a piece, its plan, and what a scheduler sends for it. Its figures
for one tile, multiplied, are compared with those of a batch of several tiles, as a check of the calculation. Then they are multiplied by
the number of tiles of the archive. The output is kept in results/petavoxel.md. Takes some minutes of the CPU.
"""

from __future__ import annotations

import json
import pickle
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from skimage.data import camera

from napari_convgen.batch.piece import Job
from napari_convgen.batch.run import BatchTask
from napari_convgen.config import Config, preset
from napari_convgen.core.image import Division, Layout
from napari_convgen.core.image.tiles import AUTO_SIDE
from napari_convgen.run.compare.result import markdown_table

RESULT = Path(__file__).parent / "results" / "petavoxel.md"

N_VOXELS = 10**15
"""Voxels of the archive."""

VOLUME = (2048, 4096, 4096)
"""Shape of one volume of the archive: 64 GiB of 16-bit values, as a light-sheet microscope writes for a position."""

SIDE, OVERLAP = AUTO_SIDE, 32
"""Side and overlap of tiles: those of ``tiles.size = "auto"``."""

CHUNK = 512
"""Side of the chunks of a plane, each of which is read whole by every tile that has a pixel of it."""

N_WRITTEN, N_READ_BACK = 3, 2
"""Number of times that a value of the result is written: as a piece, gathered on the disk, and in the output; and read back between."""

BYTES_IN, BYTES_OUT = 2, 2
"""Bytes of a voxel, without compression: 16 bits."""

N_CORES = 10_000
"""Cores that work at a time."""

DOLLARS_PER_CORE_HOUR = 0.03
"""Assumption: spot instances of the large clouds cost 1 to 5 cents per core and hour."""

DOLLARS_PER_TB_MONTH = 20.0
"""Assumption: usual price of object storage."""

TASK_SECONDS = 1e-3
"""Time that a Dask scheduler needs for a task: 0.2 to 1 ms by its documentation (Dask, Best Practices)."""

SMALL = 128
"""Side of a tile in the small runs, whose CPU time per pixel is taken."""


@dataclass(frozen=True)
class Measured:
    """Figures of a small batch.

    Attributes
    ----------
    n_pieces
        Number of pieces.
    cpu_seconds
        CPU seconds of all fits.
    n_read
        Pixels that were read for them, with those around tiles.
    seconds_beside
        Seconds of the processor for plan, records and output together.
    n_record_bytes
        Bytes of the records of the pieces.
    n_task_bytes
        Bytes that a scheduler sends for a piece.
    """

    n_pieces: int
    cpu_seconds: float
    n_read: int
    seconds_beside: float
    n_record_bytes: int
    n_task_bytes: int

    @property
    def cpu_per_pixel(self) -> float:
        """CPU seconds for each pixel that is read."""
        return self.cpu_seconds / self.n_read


def settings() -> Config:
    """Return the settings of the small runs."""
    return preset("quick").replace({"device": "cpu", "n_threads": 1, "tiles.size": SMALL, "tiles.overlap": OVERLAP})


def measure(n_tiles: int) -> Measured:
    """Run a batch over ``n_tiles`` × ``n_tiles`` tiles."""
    side = n_tiles * SMALL
    clean = camera()[100 : 100 + side, 100 : 100 + side].astype(np.float32)
    noisy = (clean + 25 * np.random.default_rng(0).standard_normal(clean.shape)).clip(0, 255).astype(np.uint8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tifffile.imwrite(folder / "in.tif", noisy, imagej=True)
        started = time.process_time()
        task = BatchTask([folder / "in.tif"], folder / "out", settings(), n_workers=1)
        task.finish()
        seconds = time.process_time() - started
        [plan] = task.plans
        record = json.loads(plan.record.read_text())
        n_task_bytes = len(pickle.dumps(Job(plan, 0, plan.pieces[0])))
    fits = sum(piece["cpu_seconds"] for piece in record["pieces"])
    n_record_bytes = sum(len(json.dumps(piece, indent=1)) + 1 for piece in record["pieces"])
    n_read = plan.cut.n_values * plan.cut.n_pieces
    return Measured(plan.cut.n_pieces, fits, n_read, seconds - fits, n_record_bytes, n_task_bytes)


def measure_plan() -> float:
    """Return the seconds that the plan of a piece takes, from a large frame."""
    shape = (8192, 8192)
    started = time.process_time()
    division = Division.of(Layout.of(shape), shape, SIDE, OVERLAP)
    return (time.process_time() - started) / len(division.pieces)


def compare(one: Measured, many: Measured) -> str:
    """Return a table of what one tile predicts for several, and what was measured."""
    factor = many.n_pieces / one.n_pieces
    rows = [
        ["CPU of the fits (s)", f"{one.cpu_per_pixel * many.n_read:.1f}", f"{many.cpu_seconds:.1f}"],
        ["bytes of records", f"{one.n_record_bytes * factor:.0f}", f"{many.n_record_bytes}"],
        ["bytes sent for a piece", f"{one.n_task_bytes}", f"{many.n_task_bytes}"],
    ]
    head = ["", f"predicted from {one.n_pieces} piece", f"measured on {many.n_pieces} pieces"]
    return markdown_table(head, rows)


def archive(figures: Measured, plan_seconds: float) -> str:
    """Return a table of what the archive takes."""
    frames, height, width = VOLUME
    division = Division.of(Layout.of(VOLUME[1:]), VOLUME[1:], SIDE, OVERLAP)
    n_volumes = N_VOXELS / (frames * height * width)
    n_pieces = n_volumes * frames * division.n_tiles
    n_read = n_pieces * float(np.prod(division.size))
    seconds = n_read * figures.cpu_per_pixel
    hours, piece = seconds / 3600, seconds / n_pieces
    rate = N_CORES / piece
    record, sent = figures.n_record_bytes / figures.n_pieces, figures.n_task_bytes
    rows: list[list[str]] = [
        ["volumes", f"{n_volumes:,.0f}"],
        ["pieces of a volume", f"{frames * division.n_tiles:,}"],
        ["pieces", f"{n_pieces:.2e}"],
        ["voxels read, with those around tiles", f"{n_read:.2e} ({n_read / N_VOXELS:.2f} × the archive)"],
        ["bytes read of the images", _bytes(n_read * BYTES_IN)],
        [
            f"the same, from chunks of {CHUNK} × {CHUNK}",
            _bytes(n_volumes * frames * _chunk_pixels(division) * BYTES_IN),
        ],
        ["bytes written: pieces, gathered, output", _bytes(N_WRITTEN * N_VOXELS * BYTES_OUT)],
        ["bytes read back between", _bytes(N_READ_BACK * N_VOXELS * BYTES_OUT)],
        ["bytes of records", f"{_bytes(n_pieces * record)} ({record:.0f} a piece)"],
        ["files of a volume while it is under way", f"{2 * frames * division.n_tiles:,}"],
        ["CPU of a piece", f"{piece:.0f} s"],
        ["CPU for plans", f"{n_pieces * plan_seconds / 3600:,.0f} h ({1e6 * plan_seconds:.0f} µs a piece)"],
        ["CPU for fits", f"{hours:.2e} core hours"],
        [f"time with {N_CORES:,} cores", f"{hours / N_CORES / 24 / 365:,.1f} years"],
        ["cores for one year", f"{hours / 24 / 365:,.0f}"],
        [f"pieces that end in a second, {N_CORES:,} cores", f"{rate:,.0f}"],
        ["load of one Dask scheduler for them", f"{100 * rate * TASK_SECONDS:.0f} %, {_bytes(rate * sent)}/s sent"],
        ["files opened in a second", f"{4 * rate:,.0f} (values and records, read and written)"],
        [f"compute at ${DOLLARS_PER_CORE_HOUR} a core hour", f"${hours * DOLLARS_PER_CORE_HOUR:,.0f}"],
        [
            f"storage at ${DOLLARS_PER_TB_MONTH:.0f} a TB and month",
            f"${N_VOXELS * BYTES_OUT / 1e12 * DOLLARS_PER_TB_MONTH:,.0f} a month",
        ],
    ]
    return markdown_table(["a petavoxel", ""], rows)


def _chunk_pixels(division: Division) -> int:
    """Return the pixels of all chunks that the tiles of a plane read, as often as they read them."""
    total = 0
    for piece in division.pieces:
        n_chunks = [(part.stop - 1) // CHUNK - part.start // CHUNK + 1 for part in piece.window[-2:]]
        total += n_chunks[0] * n_chunks[1] * CHUNK**2
    return total


def _bytes(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 1000:
            return f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} PB"


def main() -> None:
    """Measure, compare, multiply, and write the result."""
    measure(1)  # compiles and loads what is needed
    one = measure(1)
    many = measure(3)
    text = (
        "### A petavoxel\n\n"
        f"Computed by `benchmarks/petavoxel.py` with the CPU time per pixel of `quick`, {1e6 * many.cpu_per_pixel:.0f} µs, on one core of "
        f"the machine of the benchmarks, and volumes of {' × '.join(map(str, VOLUME))} in tiles of {SIDE} + 2 × {OVERLAP} pixels, plane by "
        "plane. Prices are assumptions, named in the script.\n\n"
        f"{archive(many, measure_plan())}\n"
        "A check of the calculation: what the small run of one tile predicts for a run of nine.\n\n"
        f"{compare(one, many)}"
    )
    RESULT.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
