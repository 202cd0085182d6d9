"""The part ``constants`` of benchmarks/inverse.py: the constants of the non-local estimate in turns with the measurement, one at a time."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
import torch

from inverse_images import TUNING, Deblur, Enlarge, ImagePart, Inpaint, add_folder, load
from napari_convgen.core.quality.metrics import psnr, reference_range
from napari_convgen.core.regularized import plug_and_play
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.reconstruct.run import ReconstructTask

TITLE = "Constants of the turns"

CASES: tuple[tuple[ImagePart, float], ...] = (
    (Inpaint(), 0.0),
    (Inpaint(), 0.05),
    (Enlarge(), 0.0),
    (Deblur(), 30.0),
    (Deblur(), 300.0),
)
"""Problems, and what differs between their measurements."""

VARIANTS: dict[str, dict[str, float]] = {
    "as it is": {},
    "16 turns": {"N_TURNS": 16},
    "32 turns": {"N_TURNS": 32},
    "trust 0.4": {"TRUST": 0.4},
    "trust 0.6": {"TRUST": 0.6},
    "first level 0.07": {"FIRST_LEVEL": 0.07},
    "last level 0.5": {"LAST_LEVEL": 0.5},
    "least level 0.005": {"LEAST_LEVEL": 0.005},
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part."""
    add_folder(parser, 128)


def measure(arguments: argparse.Namespace) -> str:
    """Return the table."""
    torch.set_num_threads(1)
    rows = []
    for name, changes in VARIANTS.items():
        with patch.dict(vars(plug_and_play), changes):
            means = [statistics.fmean(_scores(part, setting, arguments)) for part, setting in CASES]
        rows.append([name, *(f"{mean:.2f}" for mean in (*means, statistics.fmean(means)))])
        print(*rows[-1], sep=" | ", flush=True)
    head = [f"{part.problem}, {part.settings[setting].lower()}" for part, setting in CASES]
    size = f"{arguments.size} × {arguments.size}"
    table = markdown_table(["constants", *head, "mean"], rows)
    return f"Mean PSNR in dB over the {len(TUNING)} tuning images at {size} pixels, preset `quick`.\n\n{table}"


def _scores(part: ImagePart, setting: float, arguments: argparse.Namespace) -> Iterator[float]:
    for name, side in TUNING.items():
        scene = load(arguments.data / name, side, arguments.size + 2 * part.margin)
        measured, truth, inputs = part.observe(scene, setting, np.random.default_rng(0))
        posed = ReconstructTask(measured, "quick", problem=part.problem, changes={"n_threads": 1}, **inputs).posed
        problem = posed.prepared.problem(posed.scaled)
        if isinstance(part, Enlarge):
            problem = plug_and_play.without_doubtful_noise(problem, torch.Generator().manual_seed(0))
        *_, last = plug_and_play.plug_and_play_stages(
            problem, n_turns=plug_and_play.N_TURNS, first_level=plug_and_play.FIRST_LEVEL
        )
        yield psnr(posed.units.restore(last.image.numpy()), truth, reference_range(truth))
