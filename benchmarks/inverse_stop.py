"""The part ``stop`` of benchmarks/inverse.py: by how much the step that held-out entries choose is worse than the best one."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import inverse_phase
from inverse_images import JUDGING, TUNING, Deblur, ImagePart, Inpaint, Sensing, add_folder, load
from napari_convgen.config import presets_for
from napari_convgen.core.mri.simulation import equispaced, head, scan
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.reconstruct.result import ReconstructResult
from napari_convgen.run.reconstruct.run import ReconstructTask

TITLE = "The stop by held-out entries"

PRESET = "deep-decoder"
"""A generator alone, which is fitted until it fits noise, or what the measurement does not tell."""

CASES: tuple[tuple[ImagePart, float], ...] = ((Inpaint(), 0.05), (Deblur(), 30.0), (Sensing(), 0.05))
"""Problems with images, and what differs between their measurements."""

SCAN = {"size": (96, 80), "rows": 5, "calibration": 16, "noise": 0.01, "heads": (103, 104, 105)}
"""Scans of heads: points, distance of the sampled rows, rows for calibration, noise, and seeds."""

MORE_STEPS = 4000
"""Number of steps of one more run of the first scan, since the others end at their last one."""

PHASE = {"size": 64, "photons": 50, "draws": tuple(range(7))}
"""Images of a phase: rows and columns, mean photons of a pixel, and seeds."""

TUNING_HEADS = (100, 101, 102)
"""Seeds of the heads that chose the patience, and the step that is kept."""

MORE_TUNING = {
    "fluo/clean/ssi_characters875x1355.png": 4,
    "fluo/clean/ssi_drosophilaslice532x1352.png": 2,
    "fluo/clean/bpae_nuclei_f32.tif": 2,
    "natural/set12/05.png": 1,
    "natural/set12/06.png": 1,
    "natural/bsd68/test005.png": 1,
    "seed/phantom256.png": 2,
}
"""Tuning images beside those of the other parts, as there."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part."""
    add_folder(parser, 96)
    parser.add_argument(
        "--tune", action="store_true", help="the tuning images and heads in the place of the judging ones"
    )


def measure(arguments: argparse.Namespace) -> str:
    """Return the table."""
    torch.set_num_threads(1)
    rows, scans = [], []
    for name, runs in _cases(arguments):
        gaps, steps = zip(*(_gap(_reconstruct(each)) for each in runs), strict=True)
        scans += [each for each in runs if each["problem"] == "sense"]
        rows.append(
            [
                name,
                str(len(gaps)),
                f"{statistics.median(gaps):.2f}",
                f"{max(gaps):.2f}",
                f"{statistics.median(steps):.0f}",
            ]
        )
        print(*rows[-1], sep=" | ", flush=True)
    table = markdown_table(["measurement", "runs", "median", "worst", "kept step, median"], rows)
    return (
        f"By how many dB the generator's image at the kept step is worse than the best of the run, preset `{PRESET}`, "
        f"{arguments.size} × {arguments.size} pixels, scans {SCAN['size'][0]} × {SCAN['size'][1]}, phases "
        f"{PHASE['size']} × {PHASE['size']} with unknown aberrations.\n\n{table}{_more_steps(scans[0])}"
    )


def _more_steps(run: dict[str, Any]) -> str:
    """Return sentences on what more steps give a scan, whose fits end at their last one."""
    usual, more = presets_for("sense")[PRESET].n_steps, _reconstruct(run, n_steps=MORE_STEPS)
    psnr = more.psnr_by_step
    last = max(step for step in psnr if step <= usual)
    return (
        f"\n\nThe fits of scans are still getting better at their last step. With {MORE_STEPS} steps at most, that of the first scan is "
        f"{psnr[more.step] - psnr[last]:.2f} dB better at step {more.step}, which is kept, than at step {last}."
    )


def _cases(arguments: argparse.Namespace) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for part, setting in CASES:
        runs = []
        for name, side in ({**TUNING, **MORE_TUNING} if arguments.tune else JUDGING).items():
            scene = load(arguments.data / name, side, arguments.size + 2 * part.margin)
            measured, truth, inputs = part.observe(scene, setting, np.random.default_rng(0))
            runs.append({"image": measured, "reference": truth, "problem": part.problem, **inputs})
        yield f"{part.TITLE.lower()}, {part.settings[setting].lower()}", runs
    heads = TUNING_HEADS if arguments.tune else SCAN["heads"]
    is_sampled = equispaced(SCAN["size"], SCAN["rows"], SCAN["calibration"])
    scans = [scan(head(SCAN["size"], seed), is_sampled, noise=SCAN["noise"]) for seed in heads]
    runs = [{"image": each.kspace, "reference": np.abs(each.image), "problem": "sense"} for each in scans]
    yield f"scans, R = {1 / is_sampled.mean():.1f}, noise {100 * SCAN['noise']:.0f} %", runs
    for kind in () if arguments.tune else inverse_phase.IMAGES:
        runs = []
        for draw in PHASE["draws"]:
            stack, truth, _ = inverse_phase.observe(PHASE["size"], kind, PHASE["photons"], draw)
            runs.append({"image": stack, "reference": truth, **inverse_phase.inputs(kind)})
        yield f"phase, {kind}, {PHASE['photons']} photons", runs


def _reconstruct(run: dict[str, Any], **changes: Any) -> ReconstructResult:
    return ReconstructTask(config=PRESET, changes={"n_threads": 1, **changes}, **run).finish()


def _gap(result: ReconstructResult) -> tuple[float, int]:
    """Return by how many dB the kept step is worse than the best, and the kept step."""
    return max(result.psnr_by_step.values()) - result.scores(result.generator_image).psnr, result.step
