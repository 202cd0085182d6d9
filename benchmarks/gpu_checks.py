"""The checks of gpu.py on whole fits: the tests, the same bits twice, and CPU against GPU."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import napari_convgen.run  # noqa: F401  sets how PyTorch's threads wait, so it comes before PyTorch

# isort: split
import numpy as np
from numpy.typing import NDArray

from gpu_items import Items, Write
from napari_convgen import PRESETS, Config, DenoiseResult, denoise
from napari_convgen.samples import fluorescence

ROOT = Path(__file__).resolve().parent.parent

PASSES_TEST = "tests/core/generators/fused/test_gpu.py"
"""File of tests that all run on a GPU where there is one, marked or not."""

N_WORKERS = 8
"""Number of processes of pytest: of 16 cores, those that the other checks leave."""

N_STEPS = 8
"""Number of steps of a fit: CUDA graphs are replayed from the fourth on, and snapshots are taken between."""

SIDE = 64
"""Side of the image, in pixels: four halvings leave 4 × 4."""


START_TOLERANCES = {"float32": 3e-3, "bfloat16": 2e-2}
"""Largest relative difference between CPU and GPU in the loss of the first step, before anything is fitted, by the fit's precision.

Of the networks here the losses of float32 and bfloat16 differ by up to 4e-3 on a CPU. A GPU's convolutions take 11 bits of the 24 of
float32, three more than bfloat16 has. The tolerances leave several times that."""

IMAGE_TOLERANCE = 0.4
"""Largest difference of the images of CPU and GPU after `N_STEPS` steps, as the mean of its absolute value over the image's deviation.

The first steps of Adam go by the sign of a gradient, however small, so that rounding soon shows. On a CPU two libraries lead to
differences of up to 0.12 here, and bfloat16 to 0.23; the images of unrelated fits differ by about 1."""

VARIANTS: dict[str, dict[str, Any]] = {
    "default, plain PyTorch": {"backend": "torch"},
    "default, bfloat16": {"precision": "bfloat16"},
    "skip-network": {"generator.kind": "skip-network"},
    "skip-network, reflected, dropout": {
        "generator.kind": "skip-network",
        "generator.padding": "reflection",
        "generator.dropout": 0.2,
    },
    "guided-network, with its guide": {"generator.kind": "guided-network", "generator.guide_step": N_STEPS // 2},
    "convolutional, fixed": {"generator.kind": "convolutional", "generator.convolution": "fixed"},
    "convolutional, learned": {"generator.kind": "convolutional", "generator.convolution": "learned"},
    "convolutional, transposed": {"generator.kind": "convolutional", "generator.convolution": "transposed"},
    "two-layer": {"generator.kind": "two-layer"},
}
"""Settings that differ from those of the preset default, by name: every kind of generator, with what its presets leave out."""


@dataclass(frozen=True)
class Fit:
    """A fit that is checked.

    Attributes
    ----------
    image
        Noisy image.
    config
        Settings of the fit.
    axes
        Letters of the image's axes; guessed if ``None``.
    """

    image: NDArray[Any]
    config: Config
    axes: str | None = None

    def run(self, device: str) -> DenoiseResult:
        """Run the fit."""
        return denoise(self.image, self.config.replace({"device": device}), axes=self.axes)


def fits(device: str) -> dict[str, Fit]:
    """Return the fits by name: the presets, the variants, volumes and a color image; with few channels in a rehearsal."""
    noisy = fluorescence().noisy[96 : 96 + SIDE, 96 : 96 + SIDE].astype(np.float32)
    volume = np.stack([np.roll(noisy[:32, :32], i, 1) for i in range(12)])
    color = np.stack([noisy, noisy[::-1], noisy.T], -1)
    short: dict[str, Any] = {"n_steps": N_STEPS}
    if device == "cpu":
        short |= {"n_steps": N_STEPS // 2, "generator.n_channels": 4}
    found = {name: Fit(noisy, config.replace(short)) for name, config in PRESETS.items()}
    found |= {name: Fit(noisy, Config().replace(short | changes)) for name, changes in VARIANTS.items()}
    in_depth = short | {"z_axis": "volume"}
    found["default, volume"] = Fit(volume, Config().replace(in_depth), "ZYX")
    found["guided network, volume"] = Fit(volume, PRESETS["guided-network"].replace(in_depth), "ZYX")
    found["default, color"] = Fit(color, Config().replace(short), "YXC")
    return found


def bits(device: str) -> Items:
    """Return the checks that a fit has the same bits twice."""
    return {name: partial(_same_bits, name, fit, device) for name, fit in fits(device).items()}


def _same_bits(name: str, fit: Fit, device: str, write: Write) -> None:
    first, second = fit.run(device), fit.run(device)
    same_losses = all(a.loss == b.loss for a, b in zip(first.frames, second.frames, strict=True))
    difference = np.abs(first.image.astype(np.float64) - second.image).max() / first.image.std()
    write(
        {
            "run": name,
            "backend": first.backend,
            "steps": len(first.frames[0].loss),
            "largest difference / deviation": float(difference),
            "digest": digest(first),
            "holds": digest(first) == digest(second) and same_losses,
        }
    )


def digest(result: DenoiseResult) -> str:
    """Return a few characters that tell the image's bits apart from others."""
    return hashlib.sha256(np.ascontiguousarray(result.image).tobytes()).hexdigest()[:10]


def presets(device: str) -> Items:
    """Return the comparisons of a fit on the CPU and on the GPU."""
    return {name: partial(_same_image, name, fit, device) for name, fit in fits(device).items()}


def _same_image(name: str, fit: Fit, device: str, write: Write) -> None:
    found, expected = fit.run(device), fit.run("cpu")
    pairs = list(zip(found.frames[0].loss, expected.frames[0].loss, strict=True))
    at_start, at_end = (abs(a - b) / b for a, b in (pairs[0], pairs[-1]))
    difference = float(np.abs(found.image.astype(np.float64) - expected.image).mean() / fit.image.std())
    tolerance = START_TOLERANCES[fit.config.precision]
    write(
        {
            "run": name,
            "backends": f"{expected.backend}, {found.backend}",
            "first loss, relative difference": at_start,
            "its tolerance": tolerance,
            "last loss, relative difference": at_end,
            "image, mean difference / deviation": difference,
            "tolerance": IMAGE_TOLERANCE,
            "digest": digest(found),
            "holds": at_start <= tolerance and difference <= IMAGE_TOLERANCE,
        }
    )


class _Recorder:
    """A plugin of pytest that writes a row as soon as a test has ended."""

    def __init__(self, write: Write) -> None:
        self.write = write
        self.n_tests = 0

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take note of a test that was called, or was not because of an error or a skip before."""
        if report.when == "call" or report.outcome != "passed":
            self.n_tests += 1
            row = {"test": report.nodeid.removeprefix("tests/"), "seconds": report.duration, "outcome": report.outcome}
            self.write(row | ({"holds": False, "error": str(report.longrepr)} if report.failed else {}))


def tests(device: str) -> Items:
    """Return the tests that are marked ``gpu``, and the others of the passes on a GPU, which run on whatever there is."""
    files = [str(file) for file in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in file.read_text()]
    rest = ["-m", "not gpu", str(ROOT / PASSES_TEST)]
    if device == "cpu":
        rest += ["-k", "any_number_of_channels"]
    elif importlib.util.find_spec("xdist"):
        rest += ["-p", "xdist.plugin", "-n", str(N_WORKERS)]
    return {"marked gpu": partial(_tests, ["-m", "gpu", *files]), "passes on a GPU": partial(_tests, rest)}


def _tests(arguments: list[str], write: Write) -> None:
    import pytest

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # of what else is installed there
    recorder = _Recorder(write)
    # Warnings are no errors: CUDA's differ from the CPU's.
    options = ["-W", "default", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-q"]
    status = pytest.main([*options, *arguments], plugins=[recorder])
    if recorder.n_tests == 0:
        raise RuntimeError(f"No test ran: pytest ended with status {int(status)}.")
