"""The part ``doubt`` of benchmarks/inverse.py: whether the noise of an image that is to be enlarged is believed."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch

from inverse_images import TUNING, Enlarge, add_folder, load
from napari_convgen.core.quality.metrics import psnr, reference_range
from napari_convgen.core.regularized.plug_and_play import CLEARLY, doubt, plug_and_play_stages
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.reconstruct.run import ReconstructTask

TITLE = "Doubt of the noise of enlarged images"

NOISES = (0.0, 0.01, 0.03, 0.06)
"""Standard deviations of the noise where it is measured, relative to the range."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part."""
    add_folder(parser, 128)


def measure(arguments: argparse.Namespace) -> str:
    """Return the table."""
    torch.set_num_threads(1)
    part, rows = Enlarge(), []
    for name, side in TUNING.items():
        scene = load(arguments.data / name, side, arguments.size)
        exact, truth, inputs = part.observe(scene, 0.0, np.random.default_rng(0))
        for noise in NOISES:
            drawn = np.random.default_rng(1).standard_normal(exact.shape)
            measured = exact + noise * np.ptp(exact) * drawn
            posed = ReconstructTask(measured, "quick", problem="enlarge", changes={"n_threads": 1}, **inputs).posed
            problem = posed.prepared.problem(posed.scaled)
            score = doubt(problem, torch.Generator().manual_seed(0))
            images = []
            for trial in (problem, replace(problem, noise_level=None)):
                *_, last = plug_and_play_stages(trial)
                images.append(posed.units.restore(last.image.numpy()))
            scores = [f"{psnr(image, truth, reference_range(truth)):.2f}" for image in images]
            rows.append([name.rpartition("/")[2], f"{noise:g}", f"{score:.1f}", *scores])
            print(*rows[-1], sep=" | ", flush=True)
    head = ["image", "noise", "doubt", "believed", "not believed"]
    return (
        f"Tuning images, {arguments.size} × {arguments.size} pixels. Doubt: by how many standard errors held-out entries are predicted "
        f"better without noise; from {CLEARLY:g} on it is not believed. PSNR in dB of the estimate with and without it.\n\n"
        f"{markdown_table(head, rows)}"
    )
