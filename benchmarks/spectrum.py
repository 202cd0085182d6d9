"""The time that a spectrum takes, and the energy of images and of noise in its leading vectors.

    python benchmarks/spectrum.py

The time is that of ``napari-convgen spectrum --rank 100`` without loading, for the preset ``default`` and white noise: about six minutes
for 512 × 512 pixels on two cores. The memory is the peak of the process, with all libraries loaded. The energies are those of images of
64 × 64 pixels in the first 1, 5 and 10 % of all vectors, without their means, for two starts of the generator. The tables are written to
benchmarks/results/spectrum.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from skimage import data, img_as_float
from skimage.color import rgb2gray
from skimage.transform import resize

from napari_convgen import PRESETS
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.labels import format_bytes, format_seconds
from napari_convgen.run.spectrum.run import SpectrumTask, spectrum
from napari_convgen.samples import SAMPLES

SIZES = (128, 256, 512)
"""Sides, in pixels, of the images that are timed. Chosen so that the largest takes minutes."""

SIDE, SHARES, N_SEEDS = 64, (0.01, 0.05, 0.10), 2
"""Side of the images in the table of energies, shares of all vectors, and number of starts of the generator.

Chosen so that a tenth of all vectors is 410 of them, which are soon computed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=list(SIZES), help="sides of the images that are timed, in pixels"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "spectrum.md")
    arguments = parser.parse_args()

    head = ["image", "time", "products", "a product", "memory at most", "load of the machine before"]
    times = markdown_table(head, [_time(size) for size in arguments.sizes])
    print(times, flush=True)
    head = ["image", *(f"{100 * share:.0f} % of the vectors" for share in SHARES)]
    rows = []
    for row in _energies():
        rows.append(row)
        print(*row, flush=True)
    energies = markdown_table(head, rows)
    arguments.output.write_text(f"{times}\n{energies}")


def _time(size: int) -> list[str]:
    image = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    load = f"{os.getloadavg()[0]:.1f}"
    run = SpectrumTask(image, PRESETS["deep-decoder"])
    for _ in run:
        pass
    seconds = run.result().seconds
    n_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return [
        f"{size} × {size}",
        format_seconds(seconds),
        str(run.n_products),
        f"{1000 * seconds / run.n_products:.0f} ms",
        format_bytes(n_bytes),
        load,
    ]


def _energies() -> Iterator[list[str]]:
    n_values = SIDE**2 - 1
    ranks = [round(share * n_values) for share in SHARES]
    config = PRESETS["deep-decoder"].replace({"noise.kind": "none", "n_threads": 1})
    for name, image in _images():
        spectra = [spectrum(image, config, rank=ranks[-1], seed=seed).spectra[0] for seed in range(N_SEEDS)]
        shares = [[each.image_energy[rank - 1] for each in spectra] for rank in ranks]
        yield [
            name,
            *(
                f"{100 * statistics.fmean(each):.0f} % ({100 * min(each):.0f} % to {100 * max(each):.0f} %)"
                for each in shares
            ),
        ]
    yield ["white noise", *(f"{100 * (rank / n_values):.0f} %" for rank in ranks)]


def _images() -> Iterator[tuple[str, np.ndarray]]:
    """Yield clean images by name, reduced to `SIDE` pixels on a side."""
    for name in ("astronaut", "camera", "coins"):
        image = img_as_float(getattr(data, name)())
        yield name, _small(rgb2gray(image) if image.ndim == 3 else image)
    for name, sample in SAMPLES.items():
        yield name, _small(sample().clean.astype(np.float64))


def _small(image: np.ndarray) -> np.ndarray:
    return resize(image, (SIDE, SIDE), anti_aliasing=True).astype(np.float32)


if __name__ == "__main__":
    main()
