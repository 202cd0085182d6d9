"""Stacks whose frames are denoised together or each alone, and the ends of volumes.

    python benchmarks/stacks.py --data FOLDER [--part stacks starts] [--preset quick] [--only NAME]

FOLDER is described in cases.py; of it a confocal stack and a time lapse with little noise are used, to which noise is added. Everything
else is computed by formula. The part ``stacks`` compares the PSNR of frames that are denoised alone with that of frames that are denoised
together (``frames.fit``). The part ``starts`` compares fits of a generator that start afresh with those that start from the frame before
(``frames.start``), by PSNR and steps. The part ``volumes`` compares the slices at the ends of a volume with those in the middle, and with
the same slices frame by frame. For volumes that are Gaussian fields the table also has what no estimate can exceed: the Wiener filter that
knows the covariance. The part ``constants`` shows what the reach and the stride of the patches of a stack were chosen by, on other
stacks. The part ``lessons`` shows what bounds the lessons of the network of ``default`` in volumes, on other volumes. The tables are
written to results/stacks.md. All takes an hour and a half on a core.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter, shift, uniform_filter

from napari_convgen.config import preset
from napari_convgen.core.generators import taught
from napari_convgen.core.non_local import chain
from napari_convgen.core.non_local.patches import Patches
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.denoise.run import denoise
from napari_convgen.samples import SAMPLES

RESULTS = Path(__file__).parent / "results" / "stacks.md"

NOISE = 0.1
"""Standard deviation of the noise that is added, relative to the range."""

RING = 3
"""Number of neighboring frequencies along each axis over which a covariance is averaged: with it the two Gaussian fields come within
half a decibel of what is possible."""

FIELDS = {"field, coarse along Z": ((5, 96, 96), (2, 3, 3)), "field, fine along Z": ((8, 64, 64), (1, 2, 2))}
"""Shapes of Gaussian fields, and the standard deviations of the Gaussian that white noise is blurred with."""


def scaled(image: np.ndarray) -> np.ndarray:
    """Return an image with values from 0 to 1."""
    return (image - image.min()) / np.ptp(image)


def field(shape: Sequence[int], widths: Sequence[float], seed: int = 1) -> np.ndarray:
    """Return a Gaussian field without influence of edges."""
    margins = [int(4 * width) + 1 for width in widths]
    rng = np.random.default_rng(seed)
    wide = gaussian_filter(rng.standard_normal([n + 2 * m for n, m in zip(shape, margins, strict=True)]), widths)
    return scaled(wide[tuple(slice(m, m + n) for n, m in zip(shape, margins, strict=True))])


def cells(shape: Sequence[int], step: float, seed: int = 3) -> np.ndarray:
    """Return textured ellipsoids in slices ``step`` pixels apart."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape).astype(float)
    texture = field(shape, (2.4 / step, 1.5, 1.5), seed + 1)
    volume = np.full(shape, 0.1)
    for _ in range(6 + int(np.prod(shape) * step / 9000)):
        center = rng.uniform(-5, shape[0] * step + 5), rng.uniform(0, shape[1]), rng.uniform(0, shape[2])
        axes = rng.uniform(4, 10, 3)
        radius = np.sqrt(sum(((p - c) / a) ** 2 for p, c, a in zip((z * step, y, x), center, axes, strict=True)))
        volume += rng.uniform(0.3, 0.8) / (1 + np.exp(8 * (radius - 1))) * (0.6 + 0.8 * texture)
    return scaled(gaussian_filter(volume, (0.4, 0.8, 0.8)))


def movie(
    n: int, speed: float, names: Sequence[str] = ("fluorescence",), corner: tuple[int, int] = (64, 64), side: int = 96
) -> np.ndarray:
    """Return ``n`` frames that move by ``speed`` pixels each; samples of several names take turns, three frames each."""
    frames = []
    for t in range(n):
        scene = scaled(SAMPLES[names[t // 3 % len(names)]]().clean.astype(float))
        moved = shift(scene, (0.8 * speed * t, 0.6 * speed * t), order=3, mode="reflect")
        frames.append(moved[corner[0] : corner[0] + side, corner[1] : corner[1] + side])
    return np.clip(frames, 0, 1)


def ovule(folder: Path, n: int, corner: int = 32) -> np.ndarray:
    """Return slices of the confocal stack."""
    part = slice(corner, corner + 64)
    return scaled(tifffile.imread(folder / "stacks3d" / "ovule_raw_u8.tif")[8 : 8 + n, part, part].astype(float))


def membranes(folder: Path, part: slice = slice(160)) -> np.ndarray:
    """Return frames of a real time lapse of moving membranes, with the little noise that they have."""
    return scaled(tifffile.imread(folder / "timeseries" / "membrane_5x256x256_u16.tif")[:, part, part].astype(float))


STACKS: dict[str, Callable[[Path], np.ndarray]] = {
    "slices of cells, 16": lambda folder: cells((16, 64, 64), 1.0),
    "slices of an ovule, 16": lambda folder: ovule(folder, 16),
    "time lapse that fades by 2 % a frame": lambda folder: movie(8, 0) * (1 - 0.02 * np.arange(8))[:, None, None],
    "drift of 0.1 pixels a frame": lambda folder: movie(8, 0.1),
    "motion of 1 pixel a frame": lambda folder: movie(8, 1.0),
    "motion of 3 pixels a frame": lambda folder: movie(8, 3.0),
    "cut after every third frame": lambda folder: movie(8, 0.2, tuple(SAMPLES)),
    "time lapse of membranes, as measured": lambda folder: membranes(folder),
    "frames without relation": lambda folder: np.concatenate(
        [field((1, 96, 96), (0, 2, 2), seed) for seed in range(6)]
    ),
}

TUNING: dict[str, Callable[[Path], np.ndarray]] = {
    "ovule": lambda folder: ovule(folder, 16, 64),
    "drift": lambda folder: movie(8, 0.1, corner=(150, 130)),
    "motion": lambda folder: movie(8, 3.0, corner=(150, 130)),
    "membranes": lambda folder: membranes(folder, slice(160, 256)),
    "cells": lambda folder: cells((16, 64, 64), 1.0, 11),
}
"""Stacks by which constants may be chosen; no other table has them."""

VOLUMES: dict[str, Callable[[Path], np.ndarray]] = {
    **{name: lambda folder, setup=setup: field(*setup) for name, setup in FIELDS.items()},
    "cells, 5 × 96 × 96": lambda folder: cells((5, 96, 96), 2.0),
    "cells, 8 × 64 × 64": lambda folder: cells((8, 64, 64), 2.0, 4),
    "ovule, 16 × 64 × 64": lambda folder: ovule(folder, 16),
}


def psnr_of_slices(image: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Return the PSNR of each slice in dB, for a range of 1."""
    return np.asarray(-10 * np.log10(((image - clean) ** 2).mean((1, 2))))


def mean_psnr(values: np.ndarray) -> float:
    """Return the PSNR of slices together."""
    return float(-10 * np.log10((10 ** (-values / 10)).mean()))


def run(clean: np.ndarray, name: str, axes: str, **changes: str) -> tuple[np.ndarray, float]:
    """Return the PSNR of each slice, and the seconds of the processor."""
    noisy = (clean + NOISE * np.random.default_rng(1).standard_normal(clean.shape)).astype(np.float32)
    settings = {key.replace("__", "."): value for key, value in changes.items()}
    started = time.process_time()
    result = denoise(noisy, preset(name).replace({"n_threads": 1, **settings}), axes=axes)
    return psnr_of_slices(result.image, clean), time.process_time() - started


def most_possible(shape: Sequence[int], widths: Sequence[float]) -> np.ndarray:
    """Return the PSNR of each slice with the Wiener filter of a Gaussian field, which no other estimate exceeds on average.

    The covariance is separable. Along Y and X it is taken to be periodic, along Z it ends with the volume.
    """
    variance, powers = field(shape, widths).var(), []
    for n, width in zip(shape[1:], widths[1:], strict=True):
        distance = np.minimum(np.arange(n), n - np.arange(n))
        powers.append(np.maximum(np.fft.fft(np.exp(-(distance**2) / (4 * width**2))).real, 0))
    apart = np.subtract.outer(np.arange(shape[0]), np.arange(shape[0]))
    along_z, vectors = np.linalg.eigh(np.exp(-(apart**2) / (4 * widths[0] ** 2)))
    signal = variance * np.maximum(along_z, 0)[:, None, None] * np.multiply.outer(*powers)
    error = (signal * NOISE**2 / (signal + NOISE**2)).mean((1, 2))
    return np.asarray(-10 * np.log10(vectors**2 @ error))


def linear_filter(clean: np.ndarray) -> np.ndarray:
    """Return the PSNR of each slice with the Wiener filter that knows the covariance of the clean volume.

    Along Y and X the covariance is diagonal in Fourier's basis, under a window, and a mean over `RING` frequencies; along Z it depends on
    the distance of two slices alone, and is tapered where few of them are as far apart, so that it is that of a signal.
    """
    n_slices, n_rows, n_columns = clean.shape
    window = np.multiply.outer(*(np.hanning(n + 2)[1:-1] for n in (n_rows, n_columns)))
    window /= np.sqrt((window**2).mean())
    waves = np.fft.fft2((clean - clean.mean()) * window, norm="ortho")
    covariance = np.stack(
        [
            (waves[d:] * waves[: n_slices - d].conj()).real.mean(0) * np.exp(-((d / (0.7 * n_slices)) ** 4))
            for d in range(n_slices)
        ]
    )
    covariance = uniform_filter(covariance, (1, RING, RING), mode="wrap")
    apart = np.abs(np.subtract.outer(np.arange(n_slices), np.arange(n_slices)))
    signal, vectors = np.linalg.eigh(np.moveaxis(covariance[apart], (0, 1), (2, 3)))
    signal = np.maximum(signal, 0)
    error = np.einsum("yxzk,yxk->z", vectors**2, signal * NOISE**2 / (signal + NOISE**2)) / (n_rows * n_columns)
    return np.asarray(-10 * np.log10(error))


def stacks(folder: Path, presets: Sequence[str], only: str) -> str:
    """Return the table of stacks."""
    rows = []
    for title, make in STACKS.items():
        if only not in title:
            continue
        clean = make(folder)
        for name in presets:
            (alone, before), (together, after) = (
                run(clean, name, "TYX", frames__fit=fit) for fit in ("separate", "auto")
            )
            gains = (mean_psnr(together) - mean_psnr(alone), (together - alone).min())
            rows.append(
                [
                    title,
                    name,
                    f"{mean_psnr(alone):.2f}",
                    f"{mean_psnr(together):.2f}",
                    *(f"{x:+.2f}" for x in gains),
                    f"{after / before:.2f}",
                ]
            )
            print(*rows[-1], flush=True)
    head = ["stack", "preset", "separate", "auto", "gain", "least gain of a frame", "time, relative"]
    return f"{TITLES['stacks']}\n\nPSNR in dB.\n\n{markdown_table(head, rows)}\n"


STARTS = (
    "time lapse that fades by 2 % a frame",
    "drift of 0.1 pixels a frame",
    "motion of 1 pixel a frame",
    "cut after every third frame",
)
"""Stacks whose fits start from the frame before."""


def starts(folder: Path, presets: Sequence[str], only: str) -> str:
    """Return the table of starts; of the presets it is ``deep-decoder``, whose network is fitted to each frame alone."""
    rows = []
    for title in STARTS:
        if only not in title:
            continue
        clean = STACKS[title](folder)
        noisy = (clean + NOISE * np.random.default_rng(1).standard_normal(clean.shape)).astype(np.float32)
        psnr, steps = {}, {}
        for start in ("fresh", "previous"):
            config = preset("deep-decoder").replace({"n_threads": 1, "generator.n_channels": 32, "frames.start": start})
            result = denoise(noisy, config, axes="TYX")
            psnr[start] = psnr_of_slices(result.image, clean)[1:]
            steps[start] = sum(len(frame.loss) for frame in result.frames[1:])
        gains = (mean_psnr(psnr["previous"]) - mean_psnr(psnr["fresh"]), (psnr["previous"] - psnr["fresh"]).min())
        rows.append(
            [
                title,
                *(f"{mean_psnr(each):.2f}" for each in psnr.values()),
                *(f"{x:+.2f}" for x in gains),
                f"{steps['previous'] / steps['fresh']:.2f}",
            ]
        )
        print(*rows[-1], flush=True)
    head = ["stack", "fresh", "previous", "gain", "least gain of a frame", "steps, relative"]
    text = "PSNR in dB of all frames but the first, with `deep-decoder` of 32 channels, which starts afresh or from the frame before."
    return f"{TITLES['starts']}\n\n{text}\n\n{markdown_table(head, rows)}\n"


def volumes(folder: Path, presets: Sequence[str], only: str) -> str:
    """Return the table of volumes."""
    rows = []
    for title, make in VOLUMES.items():
        if only not in title:
            continue
        clean = make(folder)
        if title in FIELDS:
            most = _ends_and_middle(most_possible(*FIELDS[title]))
            rows.append([title, "the most that is possible", *most, "", "", ""])
        rows.append([title, "linear filter", *_ends_and_middle(linear_filter(clean)), "", "", ""])
        for name in presets:
            whole, _ = run(clean, name, "ZYX", z_axis="volume")
            frames, _ = run(clean, name, "ZYX", frames__fit="separate")
            rows.append(
                [title, name, *_ends_and_middle(whole), *_ends_and_middle(frames), f"{(whole - frames).min():+.2f}"]
            )
            print(*rows[-1], flush=True)
    of_frames = ("ends, frame by frame", "middle, frame by frame")
    head = ["volume", "preset", "ends", "middle", *of_frames, "least gain of a slice"]
    text = (
        "PSNR in dB of the first and the last slice, and of the slices in the middle third. *Linear filter* is the Wiener filter that "
        "knows the covariance of the clean volume: it too has fewer neighbors at the ends."
    )
    return f"{TITLES['volumes']}\n\n{text}\n\n{markdown_table(head, rows)}\n"


CONSTANTS = (
    # reach, strides of the first estimate and of the stages, patches of a group
    ((2, 16, 16), 4, 4, 48),
    ((2, 10, 10), 4, 4, 48),
    ((2, 6, 6), 6, 5, 48),
    ((3, 6, 6), 4, 4, 48),
    ((3, 6, 6), 6, 5, 48),
    ((3, 6, 6), 6, 6, 48),
    ((3, 6, 6), 6, 5, 32),
    ((3, 6, 6), 6, 5, 64),
    ((3, 8, 8), 6, 5, 48),
    ((4, 6, 6), 6, 5, 48),
)
"""Constants that are compared."""


def constants(folder: Path, presets: Sequence[str], only: str) -> str:
    """Return the table of constants, with ``quick``."""
    scenes = {title: make(folder) for title, make in TUNING.items()}
    for fit in ("separate", "joint"):  # the first time, kernels are compiled
        run(scenes["cells"][:3], "quick", "TYX", frames__fit=fit)
    alone = {title: run(clean, "quick", "TYX", frames__fit="separate") for title, clean in scenes.items()}
    rows = []
    for reach, first, stride, n in CONSTANTS:
        sets = {
            "FIRST_STACK_PATCHES": Patches((1, 11, 11), reach, (1, first, first), 16),
            "STACK_PATCHES": Patches((1, 6, 6), reach, (1, stride, stride), n),
        }
        with mock.patch.multiple(chain, **sets):
            together = {title: run(clean, "quick", "TYX", frames__fit="joint") for title, clean in scenes.items()}
        gains = [mean_psnr(together[title][0]) - mean_psnr(alone[title][0]) for title in scenes]
        cost = np.mean([together[title][1] / alone[title][1] for title in scenes])
        rows.append([str(reach), f"{first}, {stride}", str(n), *(f"{x:+.2f}" for x in gains), f"{cost:.2f}"])
        print(*rows[-1], flush=True)
    head = ["reach (frames, rows, columns)", "strides", "patches of a group", *scenes, "time, relative"]
    text = "Gain of frames that are denoised together over each alone, in dB, with `quick`."
    return f"{TITLES['constants']}\n\n{text}\n\n{markdown_table(head, rows)}\n"


def _ends_and_middle(psnr: np.ndarray) -> tuple[str, str]:
    n = len(psnr)
    return f"{mean_psnr(psnr[[0, -1]]):.2f}", f"{mean_psnr(psnr[n // 3 : n - n // 3]):.2f}"


LESSON_VOLUMES: dict[str, Callable[[Path], np.ndarray]] = {
    "ovule, upper rows": lambda folder: scaled(
        tifffile.imread(folder / "stacks3d" / "ovule_raw_u8.tif")[8:24, :32].astype(float)
    ),
    "cells, 8 × 64 × 64": lambda folder: cells((8, 64, 64), 2.0, 11),
    "field": lambda folder: field((16, 64, 64), (3, 2, 2), 7),
}
"""Volumes by which the lessons of the taught network are chosen; no other table has them."""

MOST_GRADIENTS = (0.1, 0.3, 1.0, math.inf)
"""Largest norms of the gradient of a lesson that are compared."""

N_SEEDS = 2
"""Number of seeds of the networks."""


def lessons(folder: Path, presets: Sequence[str], only: str) -> str:
    """Return the table of what the taught network of ``default`` adds to the estimate of a volume."""
    scenes = {title: make(folder) for title, make in LESSON_VOLUMES.items()}
    guides = {title: mean_psnr(run(clean, "quick", "ZYX", z_axis="volume")[0]) for title, clean in scenes.items()}
    rows = []
    for most in MOST_GRADIENTS:
        row = ["any" if most == math.inf else f"{most}"]
        for title, clean in scenes.items():
            for seed in range(N_SEEDS):
                with mock.patch.object(taught, "MOST_GRADIENT", most):
                    psnr, _ = run(clean, "default", "ZYX", z_axis="volume", seed=str(seed))
                row.append(f"{mean_psnr(psnr) - guides[title]:+.2f}")
        rows.append(row)
        print(*row, flush=True)
    head = ["largest norm of the gradient", *(f"{title}, seed {seed}" for title in scenes for seed in range(N_SEEDS))]
    text = "Gain of `default` over `quick`, in dB, by the largest norm of the gradient of a lesson."
    return f"{TITLES['lessons']}\n\n{text}\n\n{markdown_table(head, rows)}\n"


TITLES = {
    "stacks": "### Stacks",
    "starts": "### Starts from the frame before",
    "volumes": "### Volumes",
    "constants": "### Constants of stacks",
    "lessons": "### Lessons of volumes",
}

PARTS = {"stacks": stacks, "starts": starts, "volumes": volumes, "constants": constants, "lessons": lessons}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument(
        "--part", choices=PARTS, nargs="*", default=list(PARTS), help="parts to compute; all by default"
    )
    parser.add_argument(
        "--preset", nargs="*", default=["quick", "default"], help="presets; quick and default by default"
    )
    parser.add_argument("--only", default="", help="part of the names of the stacks and volumes; all by default")
    options = parser.parse_args()
    tables = {part: PARTS[part](options.data, options.preset, options.only) for part in options.part}
    print("\n".join(tables.values()))
    if not options.only:
        RESULTS.write_text("\n".join((_read() | tables)[part] for part in PARTS if part in _read() | tables))


def _read() -> dict[str, str]:
    """Return the tables of the last results by the name of their part."""
    texts = [f"### {text.strip()}\n" for text in RESULTS.read_text().split("### ")[1:]] if RESULTS.exists() else []
    return {part: text for part, title in TITLES.items() for text in texts if text.startswith(f"{title}\n")}


if __name__ == "__main__":
    main()
