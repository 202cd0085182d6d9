"""Four parts of benchmarks/inverse.py: clean images, measured by simulated instruments."""

from __future__ import annotations

import argparse
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from skimage.measure import block_reduce

from inverse_rivals import RIVALS, WITHOUT_STRENGTH, Trial
from napari_convgen.core.operators.blurring import blurring
from napari_convgen.core.optics.point_spread import gaussian_psf
from napari_convgen.core.quality.metrics import psnr, reference_range
from napari_convgen.files.images import read_image
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.reconstruct.run import ReconstructTask
from napari_convgen.run.simulate import simulate

TUNING: Mapping[str, int] = {
    "fluo/clean/ssi_nuclei924x624.png": 1,
    "natural/set12/01.png": 1,
    "natural/set12/02.png": 1,
    "natural/bsd68/test001.png": 1,
}
JUDGING: Mapping[str, int] = {
    "fluo/clean/ssi_cells1024x1024.png": 4,
    "fluo/clean/bbbc034_C0_u16.tif": 2,
    "fluo/clean/dsb2018_crop.tif": 2,
    "mri/clean/mni152_z95.tif": 1,
    "seed/mri.png": 2,
    "natural/set12/03.png": 1,
    "em/sem_red_blood_cell.tif": 4,
}
"""Images by which constants are chosen, and those that evaluate them: their path, and the side, in pixels, of the squares that are averaged
so that little of their own noise is left."""

VOLUME = "stacks3d/stardist_synth_nuclei_u16.tif"
"""A small volume, for deblurring."""


def add_folder(parser: argparse.ArgumentParser, size: int) -> None:
    """Add the folder of images, and the side of the part that is taken of each."""
    parser.add_argument("--data", type=Path, required=True, help="folder of images, see cases.py")
    parser.add_argument("--size", type=int, default=size, help="rows and columns of the image")


class ImagePart(ABC):
    """A part of the benchmark, with a table for each of its settings.

    Attributes
    ----------
    TITLE
        Title of its section.
    problem
        Name of the problem that is solved.
    settings
        What differs between the tables: words for each, by its number.
    rivals
        Names of the classical methods.
    margin
        Pixels beyond each border of the measurement that are needed to simulate it.
    """

    TITLE: ClassVar[str]
    problem: ClassVar[str]
    settings: ClassVar[Mapping[float, str]]
    rivals: ClassVar[Sequence[str]]
    margin: ClassVar[int] = 0

    @abstractmethod
    def observe(
        self, scene: np.ndarray, setting: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Return a measurement of a scene, the truth in its units, and the inputs of the reconstruction."""

    def scenes(self, arguments: argparse.Namespace) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the name and the values, from 0 to about 1, of each image."""
        for name, side in (TUNING if arguments.tune else JUDGING).items():
            if not arguments.images or any(part in name for part in arguments.images):
                yield name, load(arguments.data / name, side, arguments.size + 2 * self.margin)

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of this part."""
        add_folder(parser, 128)
        parser.add_argument("--draws", type=int, default=1, help="number of draws of mask and noise")
        parser.add_argument("--tune", action="store_true", help="the tuning images in the place of the judging ones")
        parser.add_argument("--images", nargs="*", default=(), help="parts of the names of the images to take")
        parser.add_argument("--presets", nargs="*", default=("quick", "default"))
        parser.add_argument("--rivals", nargs="*", default=self.rivals)

    def measure(self, arguments: argparse.Namespace) -> str:
        """Return the tables."""
        torch.set_num_threads(1)
        draws = "one draw" if arguments.draws == 1 else f"{arguments.draws} draws, mean ± standard deviation,"
        tables = [f"### {words}\n\n{self._table(setting, arguments)}" for setting, words in self.settings.items()]
        return "\n\n".join(
            [
                f"PSNR in dB, {draws} of mask and noise, images of {arguments.size} × {arguments.size} pixels. The strength of the others "
                "is chosen by held-out entries and, where a column says best, by the truth. Columns with s are CPU seconds, one thread.",
                *tables,
            ]
        )

    def _table(self, setting: float, arguments: argparse.Namespace) -> str:
        rows: list[dict[str, float]] = []
        names, cells = [], []
        for name, scene in self.scenes(arguments):
            draws = [self._scores(scene, setting, draw, arguments) for draw in range(arguments.draws)]
            rows.append({column: statistics.fmean(draw[column] for draw in draws) for column in draws[0]})
            names.append(Path(name).stem)
            cells.append([_mean_and_deviation([draw[column] for draw in draws]) for column in draws[0]])
            print(
                names[-1],
                *(f"{column} {cell}" for column, cell in zip(rows[-1], cells[-1], strict=True)),
                sep=" | ",
                flush=True,
            )
        mean = {column: statistics.fmean(row[column] for row in rows) for column in rows[0]}
        table = [[name, *each] for name, each in zip(names, cells, strict=True)]
        return markdown_table(["image", *mean], [*table, ["mean", *(f"{each:.2f}" for each in mean.values())]])

    def _scores(self, scene: np.ndarray, setting: float, draw: int, arguments: argparse.Namespace) -> dict[str, float]:
        measured, truth, inputs = self.observe(scene, setting, np.random.default_rng(draw))
        peak = reference_range(truth)
        changes = {"n_threads": 1} | ({"z_axis": "volume"} if "axes" in inputs else {})

        def task(preset: str) -> ReconstructTask:
            return ReconstructTask(measured, preset, problem=self.problem, changes=changes, **inputs)

        posed = task("quick").posed
        problem = posed.prepared.problem(posed.scaled)
        trial = Trial(measured, problem, posed.units.restore, lambda image: psnr(image, truth, peak))
        scores, seconds = {}, {}
        for name in arguments.rivals:
            own, best = _timed(seconds, name, lambda name=name: RIVALS[name](trial))
            scores |= {name: own} if name in WITHOUT_STRENGTH else {name: own, f"{name}, best": best}
        for preset in arguments.presets:
            scores[preset] = _timed(seconds, preset, lambda preset=preset: trial.psnr(task(preset).finish().image))
        return scores | {f"{name}, s": each for name, each in seconds.items()}


class Inpaint(ImagePart):
    """Half of the pixels missing."""

    TITLE = "Half of the pixels missing"
    problem = "inpaint"
    settings: ClassVar[Mapping[float, str]] = {0.0: "Without noise", 0.05: "Noise of 5 % of the range"}
    rivals = ("biharmonic", "smoothest", "TV")

    def observe(
        self, scene: np.ndarray, setting: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Leave out pixels, and add noise to the others."""
        is_missing = rng.random(scene.shape) < 0.5
        noisy = scene + setting * rng.standard_normal(scene.shape).astype(np.float32)
        return np.where(is_missing, np.nan, noisy).astype(np.float32), scene, {}


class InpaintMissing(Inpaint):
    """The same without noise, and the pixels that are missing alone: the others are given, with the noise of the truth itself."""

    TITLE = "Half of the pixels missing, those alone"
    settings: ClassVar[Mapping[float, str]] = {0.0: "Without noise"}

    def observe(
        self, scene: np.ndarray, setting: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Leave out pixels; the truth is known where they were left out."""
        measured, truth, inputs = super().observe(scene, setting, rng)
        return measured, np.where(np.isnan(measured), truth, np.nan), inputs


class Enlarge(ImagePart):
    """Pixels twice as large."""

    TITLE = "Pixels twice as large"
    problem = "enlarge"
    settings: ClassVar[Mapping[float, str]] = {0.0: "Without noise"}
    rivals = ("Lanczos", "smoothest", "TV")

    def observe(
        self, scene: np.ndarray, setting: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Average squares of pixels."""
        return block_reduce(scene, 2, np.mean).astype(np.float32), scene, {"factor": 2}


class Deblur(ImagePart):
    """A Gaussian blur with open borders, and photons."""

    TITLE = "Blur, and photons"
    problem = "deblur"
    settings: ClassVar[Mapping[float, str]] = {
        30.0: "30 photons where it is bright",
        300.0: "300 photons where it is bright",
    }
    rivals = ("smoothest", "TV", "RL")
    margin = 8

    def scenes(self, arguments: argparse.Namespace) -> Iterator[tuple[str, np.ndarray]]:
        """Yield images, and then a volume."""
        yield from super().scenes(arguments)
        if not arguments.tune and (not arguments.images or any(part in VOLUME for part in arguments.images)):
            yield VOLUME, scaled(read_image(arguments.data / VOLUME).data)

    def observe(
        self, scene: np.ndarray, setting: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Blur a scene with a standard deviation of 2 pixels, of a volume 1 pixel, and count photons."""
        sigma, is_volume = (2.0, False) if scene.ndim == 2 else (1.0, True)
        spread = gaussian_psf([sigma] * scene.ndim)
        size = [n - k + 1 for n, k in zip(scene.shape, spread.values.shape, strict=True)]
        blurred = blurring((1, *size), spread).apply(torch.from_numpy(scene)[None])[0].numpy()
        photons = rng.poisson(setting * blurred.clip(0)).astype(np.float32)
        axes = {"axes": "ZYX"} if is_volume else {}
        return photons, setting * scene[spread.field_of_view], {"sigma": sigma, **axes}


class Sensing(ImagePart):
    """A quarter as many sums of all pixels as there are pixels."""

    TITLE = "Compressive sensing"
    problem = "sensing"
    settings: ClassVar[Mapping[float, str]] = {0.0: "Without noise", 0.05: "Noise of 5 % of the range"}
    rivals = ("smoothest", "TV", "wavelets")

    def observe(
        self, scene: np.ndarray, setting: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Sum pixels with random signs under cosines."""
        seed = int(rng.integers(2**31))
        made = simulate(scene, problem="sensing", measured=0.25, matrix_seed=seed, noise=setting or None, seed=seed)
        n_rows, n_columns = scene.shape
        return made.measurement.data, scene, {"n_rows": n_rows, "n_columns": n_columns, "matrix_seed": seed}


def load(path: Path, side: int, size: int) -> np.ndarray:
    """Return the middle of an image, from 0 to about 1, after squares of pixels were averaged."""
    small = block_reduce(read_image(path).data.astype(np.float64), side, np.mean)
    starts = [(n - size) // 2 for n in small.shape]
    return scaled(small[tuple(slice(start, start + size) for start in starts)])


def scaled(values: np.ndarray) -> np.ndarray:
    """Return values with the least at 0 and the 99.5th percentile at 1."""
    low = float(values.min())
    return ((values - low) / (np.percentile(values, 99.5) - low)).astype(np.float32)


def _timed(seconds: dict[str, float], name: str, call: Any) -> Any:
    started = time.process_time()
    result = call()
    seconds[name] = time.process_time() - started
    return result


def _mean_and_deviation(values: list[float]) -> str:
    mean = statistics.fmean(values)
    return f"{mean:.2f}" if len(values) == 1 else f"{mean:.2f} ± {statistics.stdev(values):.2f}"
