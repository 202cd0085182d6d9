"""The part ``mri`` of benchmarks/inverse.py: simulated scans of heads with 8 coils."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from napari_convgen.config import presets_for
from napari_convgen.core.mri.simulation import Scan, equispaced, head, poisson_disc, scan
from napari_convgen.core.regularized.choice import regularize, stop_early
from napari_convgen.core.regularized.total_variation import TotalVariation
from napari_convgen.core.regularized.wavelets import Wavelets
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.reconstruct.run import ReconstructTask
from napari_convgen.run.setup.build import random_source

TITLE = "Magnetic resonance imaging"

SAMPLINGS: dict[str, Callable[[tuple[int, int]], np.ndarray]] = {
    "every 5th row": lambda size: equispaced(size, 5, 16),
    "every 8th row": lambda size: equispaced(size, 8, 12),
    "Poisson disc": lambda size: poisson_disc(size, 8),
}
"""Samplings of k-space; the table adds how many times fewer points are sampled, those for calibration included."""

NOISES = (0.0, 0.01)
"""Standard deviation of the real and of the imaginary part of k-space, relative to the largest magnitude of the image."""

FIRST_SEED = 100
"""Seed of the first phantom of the judging set: those below were there for tuning."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part."""
    parser.add_argument("--size", type=int, nargs=2, default=(128, 112), help="rows and columns")
    parser.add_argument("--phantoms", type=int, default=2, help="number of heads")
    parser.add_argument("--draws", type=int, default=3, help="number of draws of the noise")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed of the first head")
    parser.add_argument("--n-threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=presets_for("sense")["default"].n_steps, help="steps at most")


def measure(arguments: argparse.Namespace) -> str:
    """Return the table."""
    torch.set_num_threads(arguments.n_threads)
    size = tuple(arguments.size)
    rows, seconds = [], []
    for case in _cases(size, arguments):
        scores = [_scores(each, arguments.n_threads, arguments.steps) for each in case.scans]
        seconds += [score.pop("seconds") for score in scores]
        cells = [_mean_and_deviation([score[name] for score in scores]) for name in METHODS]
        rows.append([case.name, *cells])
        print(*rows[-1], sep=" | ", flush=True)
    means = [f"{statistics.fmean(float(row[i].split()[0]) for row in rows):.2f}" for i in range(1, 1 + len(METHODS))]
    table = markdown_table(["scan", *METHODS], [*rows, ["mean", *means]])
    return (
        f"PSNR in dB of the magnitude where a coil sees anything, {size[0]} × {size[1]} pixels, 8 coils, mean ± standard deviation over "
        f"{arguments.draws} draws of the noise; preset `default`, {arguments.steps} steps at most, "
        f"{statistics.fmean(seconds):.0f} s in the mean ({arguments.n_threads} threads).\n\n{table}"
    )


@dataclass(frozen=True)
class Case:
    """Scans that differ in their noise alone."""

    name: str
    scans: list[Scan]


def _cases(size: tuple[int, int], arguments: argparse.Namespace) -> Iterator[Case]:
    for seed in range(arguments.first, arguments.first + arguments.phantoms):
        image = head(size, seed)
        for name, sampled in SAMPLINGS.items():
            is_sampled = sampled(size)
            for noise in NOISES:
                draws = range(arguments.draws if noise else 1)
                scans = [scan(image, is_sampled, noise=noise, seed=draw) for draw in draws]
                yield Case(f"head {seed}, {name} (R = {1 / is_sampled.mean():.1f}), noise {100 * noise:.0f} %", scans)


METHODS = ("zero-filled", "CG-SENSE", "L1-wavelet", "TV", "generator")


def _scores(of: Scan, n_threads: int, n_steps: int) -> dict[str, float]:
    task = ReconstructTask(of.kspace, problem="sense", changes={"n_threads": n_threads, "n_steps": n_steps})
    posed, config = task.posed, task.config
    problem = posed.prepared.problem(posed.scaled)
    members = posed.prepared.rule(posed.scaled, config.seed).members(
        problem, config.n_seeds, random_source(config.seed, 0)
    )
    flat = torch.full(problem.forward_model.in_shape, 0.5)
    zero_filled = flat - problem.forward_model.adjoint(problem.residual(flat))
    sees = np.abs(posed.extras["coil_maps"]).any(0)
    truth = np.abs(of.image)[sees]

    def psnr(image: np.ndarray) -> float:
        return float(10 * np.log10(truth.max() ** 2 / np.mean((np.abs(image)[sees] - truth) ** 2)))

    def of_parts(parts: torch.Tensor) -> float:
        return psnr(posed.units.restore(parts.numpy()))

    scores = {
        "zero-filled": of_parts(zero_filled),
        "CG-SENSE": of_parts(stop_early(problem, members.weights, flat).whole),
    }
    for name, penalty in (("L1-wavelet", Wavelets), ("TV", TotalVariation)):
        *_, found = regularize(problem, members.weights, penalty, flat)
        scores[name] = of_parts(found.whole)
    started = time.perf_counter()
    scores["generator"] = psnr(task.finish().image)
    return scores | {"seconds": time.perf_counter() - started}


def _mean_and_deviation(values: list[float]) -> str:
    mean = statistics.fmean(values)
    return f"{mean:.2f}" if len(values) == 1 else f"{mean:.2f} ± {statistics.stdev(values):.2f}"
