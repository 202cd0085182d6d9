"""The part ``phase`` of benchmarks/inverse.py: simulated cells through focus or under an array of lights, with unknown aberrations."""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from napari_convgen.core.baselines.inverse.phase import gerchberg_saxton, tuned_transport
from napari_convgen.core.image import Image
from napari_convgen.core.phase.starts import Verdict, hold_out, try_starts
from napari_convgen.core.quality.metrics import psnr
from napari_convgen.core.regularized.choice import regularize
from napari_convgen.core.regularized.plug_and_play import plug_and_play_stages
from napari_convgen.core.regularized.total_variation import TotalVariation
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.reconstruct.problems.phase import Phase
from napari_convgen.run.reconstruct.run import ReconstructTask
from napari_convgen.run.simulate import simulate
from napari_convgen.samples import phase_of_cells

TITLE = "Phase, aberrations unknown"

N_PLANES, STEP, PIXEL, N_ZERNIKES, ABERRATION = 7, 2.0, 0.2, 9, 0.6
"""Planes, micrometers between them, side of a pixel, number of aberrations and their root mean square in radians."""

N_LIGHTS, SINE = 8, 0.4
"""Lights around the one on the axis, and sine of their angle to it."""

ANGLES = np.arange(N_LIGHTS) * 2 * np.pi / N_LIGHTS
"""Their directions around the axis, in radians."""

IMAGES: Mapping[str, Mapping[str, Any]] = {
    f"{N_PLANES} planes": {"n_planes": N_PLANES, "z_step": STEP},
    f"{1 + N_LIGHTS} lights": {"lights": SINE * np.array([(0, 0), *zip(np.sin(ANGLES), np.cos(ANGLES), strict=True)])},
}
"""Images that are taken, and what simulates them."""

COLUMNS = (
    "images",
    "photons",
    "method",
    "PSNR of the phase (dB)",
    "error (rad)",
    "error of the aberrations (rad)",
    "s",
)

RIGHT = 0.9
"""Correlation of a start with the truth above which it has found it: that of right ones is at least 0.92 at 50 photons, for the noise."""

FAR = 0.35
"""Standard deviation in radians of starts that are meant to fail: several times that of usual ones."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part."""
    parser.add_argument("--size", type=int, default=64, help="rows and columns of the image")
    parser.add_argument("--draws", type=int, default=2, help="number of objects, each with its aberrations and noise")
    parser.add_argument("--starts", type=int, default=10, help="number of starts far from zero phase")
    parser.add_argument("--photons", type=int, nargs="*", default=(50, 500), help="mean photons of a pixel")


def measure(arguments: argparse.Namespace) -> str:
    """Return the tables."""
    torch.set_num_threads(1)
    rows, failures = [], []
    for images, photons in itertools.product(IMAGES, arguments.photons):
        draws = [_scores(arguments, images, photons, draw) for draw in range(arguments.draws)]
        for name in draws[0][0]:
            shown = [_mean([each[0][name][i] for each in draws]) for i in range(4)]
            rows.append([images, str(photons), name, *shown])
        counts = np.sum([each[1] for each in draws], 0)
        failures.append([images, str(photons), *map(str, counts)])
    return "\n\n".join(
        [
            f"Cells of {arguments.size} × {arguments.size} pixels with up to about 1.5 radians, {N_PLANES} planes {STEP:g} µm apart, or "
            f"{N_LIGHTS} lights around one on the axis, the sine of their angle {SINE:g}; "
            f"numerical aperture 0.5, 520 nm, pixels of {PIXEL:g} µm, {N_ZERNIKES} aberrations of {ABERRATION:g} radians together; "
            f"{arguments.draws} draws of object, aberrations and photons, mean ± standard deviation. TV is given the aberrations that were "
            "found, and its weight is chosen by held-out entries; transport of intensity and Gerchberg-Saxton know none, and choose their "
            "strength or number of steps by entries that they have not seen. Seconds of one CPU thread.",
            markdown_table([*COLUMNS], rows),
            f"{arguments.starts} starts {FAR:g} radians from zero phase for each draw, most of which are meant to fail: how many found the "
            f"phase (correlation of {RIGHT:g} with the truth), how many of the others were rejected or doubted, and how many were not.",
            markdown_table(["images", "photons", "found", "failed and detected", "failed and undetected"], failures),
        ]
    )


def observe(size: int, kind: str, photons: int, draw: int) -> tuple[Image, np.ndarray, np.ndarray]:
    """Return simulated images, the phase in radians that they are of, its mean 0, and the aberrations in radians.

    Parameters
    ----------
    size
        Rows and columns of the images.
    kind
        Which images are taken: a key of `IMAGES`.
    photons
        Mean photons of a pixel.
    draw
        Seed of the object, its aberrations and the photons.
    """
    rng = np.random.default_rng(draw)
    margin = 60
    whole = phase_of_cells(rng, size + 2 * margin)
    aberrations = rng.standard_normal(N_ZERNIKES)
    aberrations *= ABERRATION / np.linalg.norm(aberrations)
    scale = {"scale": (PIXEL, PIXEL), "units": ("micrometer",) * 2}
    made = simulate(Image(whole, "YX", **scale), problem="phase", aberrations=aberrations.tolist(), **IMAGES[kind])
    inside = (slice(margin, -margin),) * 2
    clean = np.asarray(made.measurement.data, np.float64)[(slice(None), *inside)]
    images = rng.poisson(photons * clean).astype(np.float32)
    truth = whole[inside] - whole[inside].mean()
    return Image(images, "ZYX", (STEP, PIXEL, PIXEL), ("micrometer",) * 3), truth, aberrations


def inputs(kind: str) -> dict[str, Any]:
    """Return what a reconstruction needs beside such images."""
    lights = {name: value for name, value in IMAGES[kind].items() if name == "lights"}
    return {"problem": "phase", "n_zernikes": N_ZERNIKES, **lights}


def _scores(
    arguments: argparse.Namespace, kind: str, photons: int, draw: int
) -> tuple[Mapping[str, tuple[float, float, float, float]], tuple[int, int, int]]:
    stack, truth, aberrations = observe(arguments.size, kind, photons, draw)

    def task() -> ReconstructTask:
        return ReconstructTask(stack, changes={"n_threads": 1}, **inputs(kind))

    def score(phase: np.ndarray, started: float, off: float = float("nan")) -> tuple[float, float, float, float]:
        centered = phase - phase.mean()
        error = float(np.sqrt(np.mean((centered - truth) ** 2)))
        return psnr(centered, truth, float(np.ptp(truth))), error, off, time.process_time() - started

    started = time.process_time()
    ours = task()
    result = ours.finish()
    off = float(np.linalg.norm(result.extras["zernikes"] - aberrations))
    scores = {"quick": score(result.image, started, off)}
    posed = ours.posed
    assert isinstance(posed, Phase)
    problem, imaging, view = posed.prepared.problem(posed.scaled), posed.imaging, posed.imaging.view
    observed = torch.ones_like(problem.weights)
    out = hold_out(imaging.model(torch.zeros(N_ZERNIKES + 1)), observed > 0, torch.Generator().manual_seed(0))
    started = time.process_time()
    *_, found = regularize(problem, (observed * (1 - out))[None], TotalVariation, torch.full(imaging.in_shape, 0.5))
    scores["TV"] = score(posed.units.restore(found.whole.numpy()), started, off)
    started = time.process_time()
    *_, stage = plug_and_play_stages(problem)
    scores["plug and play"] = score(posed.units.restore(stage.image.numpy()), started, off)
    values = posed.calibration.measurement
    others = {
        "transport of intensity": lambda: tuned_transport(imaging, values),
        "Gerchberg-Saxton": lambda: gerchberg_saxton(imaging, values, out),
    }
    if "lights" in IMAGES[kind]:
        del others["transport of intensity"]  # it needs planes
    for name, solve in others.items():
        started = time.process_time()
        scores[name] = score(solve()[0].numpy()[view].astype(np.float64), started)
    for name, each in scores.items():
        print(kind, photons, draw, name, *(f"{value:.3g}" for value in each), flush=True)
    counts = _count_failures(posed, observed, out, truth, arguments.starts)
    print(kind, photons, draw, "found, detected, undetected:", *counts, flush=True)
    return scores, counts


def _count_failures(
    posed: Phase, observed: torch.Tensor, out: torch.Tensor, truth: np.ndarray, n_starts: int
) -> tuple[int, int, int]:
    rngs = [torch.Generator().manual_seed(1000 + number) for number in range(n_starts)]
    *_, verdict = try_starts(posed.calibration, observed, out, rngs, FAR)
    assert isinstance(verdict, Verdict)
    view, is_doubted = posed.imaging.view, bool(verdict.doubts)

    def is_right(image: torch.Tensor) -> bool:
        return float(np.corrcoef(image[0].numpy()[view].ravel(), truth.ravel())[0, 1]) >= RIGHT

    right = [is_right(start.estimate.image) for start in verdict.starts]
    detected = [start.is_rejected or is_doubted for start in verdict.starts]
    failed = [detection for detection, found in zip(detected, right, strict=True) if not found]
    return sum(right), sum(failed), len(failed) - sum(failed)


def _mean(values: list[float]) -> str:
    if np.isnan(values).any():
        return "–"
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"
