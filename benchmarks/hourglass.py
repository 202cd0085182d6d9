"""How long a step of the preset ``best`` takes, with fused norms and with PyTorch's own.

    python benchmarks/hourglass.py

Each cell is the time of a step of two members with all that a fit does beside it: the lesser of two runs of 50 steps, taken in turn.
Writes the table to results/hourglass.md.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
from skimage.data import camera
from skimage.transform import resize

from napari_convgen.config import Config, preset
from napari_convgen.run.comparison import markdown_table
from napari_convgen.run.denoise import Denoising

SIZES = (256,)
N_WARM, N_STEPS, N_RUNS = 150, 50, 2


def main() -> None:
    settings = list(itertools.product(("float32", "bfloat16"), ("torch", "numba")))
    lines = []
    for size in SIZES:
        image = resize(camera() / 255, (size, size)) + np.random.default_rng(0).normal(0, 0.1, (size, size))
        best = {setting: float("inf") for setting in settings}
        for _, (precision, backend) in itertools.product(range(N_RUNS), settings):
            config = preset("best").replace(
                {"precision": precision, "backend": backend, "n_steps": N_WARM + N_STEPS, "device": "cpu"}
            )
            best[precision, backend] = min(best[precision, backend], _seconds(image.astype(np.float32), config))
        lines.append([f"{size}²", *(f"{1000 * best[setting]:.0f}" for setting in settings)])
        print(lines[-1], flush=True)
    head = ["image", *(f"{precision}, {backend} (ms)" for precision, backend in settings)]
    (Path(__file__).parent / "results" / "hourglass.md").write_text(markdown_table(head, lines))


def _seconds(image: np.ndarray, config: Config) -> float:
    """Time a step, once all is compiled and snapshots are far apart."""
    started, first = None, 0
    for progress in Denoising(image, config):
        if started is None and progress.step >= N_WARM:
            started, first = time.perf_counter(), progress.step
    assert started is not None
    return (time.perf_counter() - started) / (config.n_steps - first)


if __name__ == "__main__":
    main()
