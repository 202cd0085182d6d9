"""Structured noise: how much it costs, how late the stop is, and what the user is told.

    python benchmarks/structured.py --data FOLDER [--size 128] [--presets default deep-decoder]

FOLDER is described in cases.py. To clean images white noise is added, and then structure of one kind. The table, which is written to
benchmarks/results/structured.md, has for each kind the mean PSNR of the noisy image and of the result, the loss against the same image
with the white noise alone, and by how much the kept step is worse than the best snapshot of the run: mean and largest. An enlarged image
loses what three of four pixels would have told.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy.ndimage import zoom

from inverse_images import load
from napari_convgen import denoise
from napari_convgen.config import PRESETS
from napari_convgen.core.noise.estimation.interference import Wave
from napari_convgen.core.quality.metrics import psnr, reference_range
from napari_convgen.run.compare.result import markdown_table

IMAGES: Mapping[str, int] = {
    "fluo/clean/ssi_cells1024x1024.png": 4,
    "fluo/clean/bbbc034_C0_u16.tif": 2,
    "mri/clean/mni152_z95.tif": 1,
    "natural/set12/03.png": 1,
}
"""Images, none of which chose a setting of a model of structured noise, and the side of the squares that are averaged."""

SIGMA = 0.08
"""Standard deviation of the white noise, relative to the range of the image."""

Structure = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Function of an image with white noise, values from 0 to about 1, that returns it with structure."""


def _corners(noisy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in noisy.shape), indexing="ij")
    return noisy + SIGMA * (rows**2 + columns**2) * rng.standard_normal(noisy.shape)


def _bad_row(noisy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noisy[len(noisy) // 3] += 0.5 * rng.standard_normal(noisy.shape[1])
    return noisy


def _bad_column(noisy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noisy[:, noisy.shape[1] // 3] += 0.3
    return noisy


def _enlarge(order: int) -> Structure:
    """Return the function that computes an image from every second of its pixels, by splines of an order; 0 repeats them."""

    def enlarged(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(zoom(image[::2, ::2], 2, order=order, grid_mode=True, mode="grid-mirror"))

    return enlarged


ENLARGED: Mapping[str, Structure] = {
    "enlarged 2 times, pixels repeated": _enlarge(0),
    "enlarged 2 times, linear": _enlarge(1),
    "enlarged 2 times, cubic": _enlarge(3),
}
"""What programs do with images to show them; the clean image is enlarged too."""


def _lines(n: int) -> np.ndarray:
    return (-1.0) ** np.arange(n)


STRUCTURES: Mapping[str, Structure] = {
    "none": lambda noisy, rng: noisy,
    "row offsets": lambda noisy, rng: noisy + 0.05 * rng.standard_normal((len(noisy), 1)),
    "column offsets": lambda noisy, rng: noisy + 0.05 * rng.standard_normal((1, noisy.shape[1])),
    "alternating rows": lambda noisy, rng: noisy + 0.05 * _lines(len(noisy))[:, None],
    "checkerboard": lambda noisy, rng: noisy + 0.05 * np.outer(*map(_lines, noisy.shape)),
    "three times the noise in the corners": _corners,
    "a row of six times the noise": _bad_row,
    "a column with an offset": _bad_column,
    "a wave": lambda noisy, rng: noisy + Wave((0.131, 0.2222), 0.05, 1.0).at(noisy.shape),
    "an offset of one half": lambda noisy, rng: noisy + 0.1 * (np.arange(len(noisy)) < len(noisy) // 2)[:, None],
    **ENLARGED,
}
"""Kinds of structured noise."""

CHANGES: Mapping[str, Mapping[str, str]] = {"a wave": {"noise.has_interference": "yes"}}
"""Settings that the note on a kind advises."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", type=int, default=128, help="rows and columns of the image")
    parser.add_argument("--presets", nargs="*", default=("default", "deep-decoder"))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "structured.md")
    arguments = parser.parse_args()
    scenes = [load(arguments.data / name, side, arguments.size) for name, side in IMAGES.items()]
    size = f"{arguments.size} × {arguments.size} pixels"
    text = f"{len(scenes)} images of {size}, white noise of {100 * SIGMA:g} % of the range; PSNR in dB.\n"
    for preset in arguments.presets:
        text += f"\n## {preset}\n\n{_table(preset, scenes)}\n"
        arguments.output.write_text(text, encoding="utf-8")


def _table(preset: str, scenes: list[np.ndarray]) -> str:
    rows, clean = [], []
    for name in STRUCTURES:
        runs = [_run(preset, scene, name) for scene in scenes]
        before, after, late, said = zip(*runs, strict=True)
        clean = clean or list(after)
        lost = [one - other for one, other in zip(clean, after, strict=True)]
        numbers = [statistics.fmean(before), statistics.fmean(after), statistics.fmean(lost), max(lost)]
        numbers += [statistics.fmean(late), max(late)]
        rows.append([name, *(f"{number:.2f}" for number in numbers), f"{sum(said)} of {len(said)}"])
        print(preset, *rows[-1], sep=" | ", flush=True)
    head = ["structure", "noisy", "result", "lost", "most", "stop late", "most", "named"]
    return markdown_table(head, rows)


def _run(preset: str, scene: np.ndarray, name: str) -> tuple[float, float, float, bool]:
    """Return the PSNR of the noisy image and of the result, how late the stop is, and True if the structure is named."""
    structure, changes, rng = STRUCTURES[name], CHANGES.get(name, {}), np.random.default_rng(0)
    noisy = structure(scene + SIGMA * rng.standard_normal(scene.shape), rng).astype(np.float32)
    scene = structure(scene, rng) if name in ENLARGED else scene
    peak = reference_range(scene)
    result = denoise(noisy, PRESETS[preset].replace({"n_threads": 1, **changes}), reference=scene)
    after = psnr(result.image, scene, peak)
    words = f"{result.frames[0].noise} {' '.join(result.notes)}"
    is_named = any(
        word in words
        for word in ("taken away", "as strong in other", "single rows or columns", "in the middle", "looks enlarged")
    )
    return psnr(noisy, scene, peak), after, max(result.psnr_by_step.values()) - after, is_named


if __name__ == "__main__":
    main()
