"""The cases of unchanged.py that read and write files: image files, and commands of the command line."""

from __future__ import annotations

import contextlib
import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from napari_convgen import Config
from unchanged_denoise import SMALL, Case, Parts, Values
from unchanged_digest import without_untimely
from unchanged_images import clean_image, color, eight_bits, gaussian, photons
from unchanged_verbs import file_written_again, run_command


def files() -> Iterator[tuple[str, Case]]:
    gray, rgb = photons((24, 28)), eight_bits(color())
    stack = np.stack([photons((24, 28), seed=i) for i in range(2)])
    imagej = {"imagej": True, "resolution": (9.26, 9.26), "metadata": {"unit": "um", "axes": "TYX", "finterval": 0.5}}
    ome = {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.11, "PhysicalSizeXUnit": "µm"}}
    yield "plain", partial(_file, "noisy.tif", gray, {"resolution": (300, 300), "description": "a sample"})
    yield "float", partial(_file, "noisy.tif", gaussian((24, 28)).astype(np.float32), {"compression": "zlib"})
    yield "color", partial(_file, "noisy.tif", rgb, {"photometric": "rgb"})
    yield "ImageJ", partial(_file, "noisy.tif", stack, imagej)
    yield "OME", partial(_file, "noisy.ome.tif", stack, ome)
    yield "PNG", partial(_file, "noisy.png", gray, {})
    yield "PNG, color", partial(_file, "noisy.png", rgb, {})


def _file(name: str, image: Values, tags: Mapping[str, Any]) -> Parts:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        _write(path, image, tags)
        if path.suffix == ".tif" and path.stem.endswith(".ome"):
            path = path.rename(path.with_name("noisy.tif"))
        return file_written_again(path)


def _write(path: Path, image: Values, tags: Mapping[str, Any]) -> None:
    if path.suffix == ".png":
        Image.fromarray(image).save(path)
    else:
        tifffile.imwrite(path, image, **tags)


def commands() -> Iterator[tuple[str, Case]]:
    small = ["--quiet", "--set", *(f"{name}={value}" for name, value in SMALL.items() if Config().has(name))]
    written = ["--snapshots", "out/steps.tif", "--expected-error", "out/error.tif", "--report", "out/report.json"]
    to_file = ["denoise", "noisy.tif", "-o", "out/image.tif", "--reference", "clean.tif", *written]
    yield "denoise", partial(_command, [*to_file, *small])
    preset = ["--preset", "paper", "--seed", "4", "--steps", "9", "--stopping", "held-out", "--axes", "YX"]
    narrow = ["generator.n_channels=8", "generator.n_scales=2"]
    yield (
        "denoise, a preset",
        partial(_command, ["denoise", "noisy.tif", "-o", "out/image.tif", *written[-2:], *small, *narrow, *preset]),
    )
    yield ("compare", partial(_command, ["compare", "noisy.tif", "-o", "out", "--reference", "clean.tif", *small]))
    fits = ["compare-fits", "noisy.tif", "-o", "out", "--reference", "clean.tif", "--added-noise", "20"]
    yield "compare-fits", partial(_command, [*fits, *small])
    looked = [word for word in small if not word.startswith("n_steps=")]  # its steps are those of --at-step
    yield (
        "spectrum",
        partial(_command, ["spectrum", "noisy.tif", "-o", "out", "--rank", "3", "--at-step", "0", *looked, *narrow]),
    )
    yield "reproduce", partial(_command, ["reproduce", "fig3", "-o", "out", "--device", "cpu", "--quiet"])


def _command(arguments: Sequence[str]) -> Parts:
    """Run a command on a file and return the contents of the files that it writes."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), warnings.catch_warnings():
        noisy = photons((32, 32))
        tifffile.imwrite("noisy.tif", noisy, imagej=True, resolution=(5, 5), metadata={"unit": "um", "axes": "YX"})
        tifffile.imwrite("clean.tif", np.rint(120 * clean_image((32, 32)) + 100).astype(np.uint16))
        Path("out").mkdir()
        parts: Parts = {"status": run_command(arguments)}
        for path in sorted(Path("out").iterdir()):
            if path.suffix == ".tif":
                parts[path.name] = tifffile.imread(path)
            elif path.suffix == ".csv":
                parts[path.name] = path.read_text()
            elif path.suffix == ".json":
                report = without_untimely(json.loads(path.read_text()))
                parts |= {f"{path.name}: {name}": value for name, value in report.items()}
        return parts
