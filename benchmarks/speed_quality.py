"""Quality of the images of the methods in speed.py, and the time until they reach it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from speed_methods import (
    AUTHORS,
    FUSED,
    FUSED_AUTHORS,
    FUSED_BFLOAT16,
    UNFUSED,
    Case,
    Machine,
    Training,
    authors_network,
    format_ratio,
    fused_authors_network,
    say,
)

# It sets how PyTorch's threads wait, so it comes before PyTorch.
# isort: split
import numpy as np
import skimage.data
import torch
from skimage.transform import downscale_local_mean
from torch import nn

from napari_convgen import PRESETS, DenoiseTask
from napari_convgen.core.quality.metrics import psnr
from napari_convgen.run.compare.result import markdown_table

TOLERANCE = 0.1
"""Largest difference in PSNR, in dB, of two images that count as equally good. Chosen so that it cannot be seen."""


@dataclass(frozen=True, eq=False)
class NoisyImage:
    """A clean image from 0 to 255, and the same with Gaussian noise of standard deviation 25.

    Attributes
    ----------
    clean, noisy
        Images with rows and columns.
    """

    clean: np.ndarray
    noisy: np.ndarray

    @classmethod
    def of(cls, name: str, side: int) -> NoisyImage:
        """Return the central ``side`` pixels of a gray image of scikit-image at half its resolution."""
        clean = downscale_local_mean(getattr(skimage.data, name)().astype(float), (2, 2))
        top, left = ((n - side) // 2 for n in clean.shape)
        clean = clean[top : top + side, left : left + side]
        return cls(clean, clean + 25 * np.random.default_rng(0).standard_normal(clean.shape))

    def psnr(self, image: np.ndarray) -> float:
        """Return the PSNR of an image, in dB."""
        return psnr(image, self.clean, 255)


@dataclass(frozen=True)
class Point:
    """The quality of a fit's image at a step.

    Attributes
    ----------
    psnr
        PSNR of the image, in dB.
    step
        Number of the step, from 1.
    seconds
        Seconds of the fit until this step, without the time for scores.
    """

    psnr: float
    step: int
    seconds: float


def best(curve: Sequence[Point]) -> Point:
    return max(curve, key=lambda point: point.psnr)


def first_above(curve: Sequence[Point], level: float) -> Point | None:
    return next((point for point in curve if point.psnr >= level), None)


def iterate_curve(generator: nn.Module, scene: NoisyImage, machine: Machine, n_steps: int) -> list[Point]:
    """Return the quality at every step of a fit as the authors do it; the clock stops while an image is scored."""
    target = torch.as_tensor(scene.noisy[None, None] / 255, dtype=torch.float32).to(machine.device)
    training = Training(generator, target)
    curve, seconds = [], 0.0
    for step in range(1, n_steps + 1):
        started = time.perf_counter()
        image = training.step()
        machine.wait()
        seconds += time.perf_counter() - started
        curve.append(Point(scene.psnr(255 * image[0, 0].cpu().numpy()), step, seconds))
    return curve


def package_curve(scene: NoisyImage, machine: Machine, preset: str, n_steps: int, **changes: object) -> list[Point]:
    """Return the quality of each snapshot of a fit with a preset; the run's clock stops while one is scored."""
    fixed = {"stopping.kind": "fixed", "device": machine.device.type, "n_steps": n_steps}
    run = DenoiseTask(scene.noisy, PRESETS[preset].replace(fixed | changes))
    return [
        Point(scene.psnr(progress.snapshot.image), progress.step, progress.seconds)
        for progress in run
        if progress.snapshot is not None
    ]


def time_to_quality_section(names: Sequence[str], machine: Machine, is_quick: bool) -> str:
    n_authors, n_decoder = (10, 60) if is_quick else (500, 1000)
    head = ["image: fit", "best PSNR", "at step", "level", "seconds to it", "steps to it", "authors' / it"]
    rows = [row for name in names for row in _times_to_quality(name, machine, n_authors, n_decoder)]
    return (
        "### Time to quality\n\nImages that scikit-image carries, 256 × 256 pixels, with noise of standard deviation 25 of 255. "
        f"The level is {TOLERANCE} dB below the best output of the authors' network, k = 128, within {n_authors} steps; the image "
        f"of a preset is its average, of `deep-decoder` within {n_decoder} steps. Seconds of the preset `default` include its non-local "
        "estimate; nothing is held out for its stop, which is fixed. Where the best is called rising, more steps would make it better.\n\n"
        + markdown_table(head, rows)
    )


def _times_to_quality(name: str, machine: Machine, n_authors: int, n_decoder: int) -> list[list[str]]:
    """Return the rows of the table for one image."""
    say(f"time to quality: {name}")
    scene, case = NoisyImage.of(name, 256), Case((256, 256), 128)
    n_default = PRESETS["default"].n_steps
    fits = {
        AUTHORS: (lambda n: iterate_curve(authors_network(case, machine), scene, machine, n), n_authors),
        FUSED_AUTHORS: (lambda n: iterate_curve(fused_authors_network(case, machine), scene, machine, n), n_authors),
        "preset `deep-decoder`": (lambda n: package_curve(scene, machine, "deep-decoder", n), n_decoder),
        "preset `default`": (lambda n: package_curve(scene, machine, "default", n), n_default),
    }
    for fit, _ in fits.values():
        fit(5)  # to compile and load
    curves = {fit_name: fit(n_steps) for fit_name, (fit, n_steps) in fits.items()}
    level = best(curves[AUTHORS]).psnr - TOLERANCE
    authors = first_above(curves[AUTHORS], level)
    rows = []
    for fit_name, curve in curves.items():
        top, there = best(curve), first_above(curve, level)
        rising = ", rising" if top.step > 0.95 * curve[-1].step else ""
        reached = (
            [f"{there.seconds:.1f}", str(there.step), format_ratio(authors.seconds / there.seconds)]
            if there
            else ["–"] * 3
        )
        rows.append([f"{name}: {fit_name}", f"{top.psnr:.2f}", f"{top.step}{rising}", f"{level:.2f}", *reached])
    return rows


def same_quality_section(machine: Machine, is_quick: bool) -> str:
    scene = NoisyImage.of("camera", 128)
    n_steps, seeds = (60, [0]) if is_quick else (800, [0, 1, 2])
    variants = {
        UNFUSED: {"backend": "torch"},
        FUSED: {"backend": machine.backend},
        FUSED_BFLOAT16: {"backend": machine.backend, "precision": "bfloat16"},
    }
    peaks = {}
    for name, changes in variants.items():
        say(f"same quality: {name}")
        peaks[name] = [
            best(package_curve(scene, machine, "deep-decoder", n_steps, seed=seed, **changes)).psnr for seed in seeds
        ]
    rows = []
    for name, values in peaks.items():
        difference = statistics.fmean(values) - statistics.fmean(peaks[UNFUSED])
        rows.append([name, *(f"{value:.2f}" for value in values), f"{difference:+.3f}"])
    head = ["best PSNR", *(f"seed {seed}" for seed in seeds), "mean difference"]
    return (
        f"### Same quality\n\nThe middle 128 × 128 pixels of the image `camera`, preset `deep-decoder`, best of {n_steps} steps.\n\n"
        + markdown_table(head, rows)
    )
