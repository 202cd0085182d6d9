"""The time of a step of the preset ``guided-network``, with fused norms and with those of PyTorch.

    python benchmarks/hourglass.py

Each cell is the time of a step of two members on 256 × 256 pixels, with everything else that a fit does: the shorter of two runs of 50
steps, which take turns. The table is written to results/hourglass.md.
"""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

import numpy as np
from skimage.data import camera
from skimage.transform import resize

from napari_convgen.config import Config, preset
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.denoise.run import DenoiseTask

SIZE = 256
"""Side of the image, in pixels: that of the crops in quality.py."""

N_WARM, N_STEPS, N_RUNS = 150, 50, 2
"""Number of steps before the clock starts, of timed steps, and of runs.

Chosen so that everything is compiled before, and that at most seven snapshots fall among the timed steps."""

PRECISIONS, BACKENDS = ("float32", "bfloat16"), ("torch", "numba")
"""Precisions and backends that are compared: those of a CPU."""


def main() -> None:
    image = resize(camera() / 255, (SIZE, SIZE)) + np.random.default_rng(0).normal(0, 0.1, (SIZE, SIZE))
    seconds = dict.fromkeys(itertools.product(PRECISIONS, BACKENDS), math.inf)
    for _, (precision, backend) in itertools.product(range(N_RUNS), seconds):
        changes = {"precision": precision, "backend": backend, "n_steps": N_WARM + N_STEPS, "device": "cpu"}
        taken = _seconds(image.astype(np.float32), preset("guided-network").replace(changes))
        seconds[precision, backend] = min(seconds[precision, backend], taken)
    lines = [[p, *(f"{1000 * seconds[p, backend]:.0f}" for backend in BACKENDS)] for p in PRECISIONS]
    text = markdown_table(["precision", *(f"{backend} (ms)" for backend in BACKENDS)], lines)
    (Path(__file__).parent / "results" / "hourglass.md").write_text(text)
    print(text)


def _seconds(image: np.ndarray, config: Config) -> float:
    """Return the mean seconds of a step, once everything is compiled and snapshots are far apart."""
    started, first = None, 0
    for progress in DenoiseTask(image, config):
        if started is None and progress.step >= N_WARM:
            started, first = time.perf_counter(), progress.step
    assert started is not None
    return (time.perf_counter() - started) / (config.n_steps - first)


if __name__ == "__main__":
    main()
