"""Options that several commands have, and checks of the files that are named in them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from napari_convgen.config import PRESETS, Config, preset
from napari_convgen.errors import ConfigError, FileError
from napari_convgen.files.images import ImageFile, read_image


def add_input(parser: argparse.ArgumentParser) -> None:
    """Add the noisy image and its axes."""
    add = parser.add_argument
    add("input", type=Path, metavar="INPUT", help="noisy image: TIFF, PNG, JPEG or BMP")
    add("--axes", help="a letter for each axis of the image, such as CZYX, instead of what the file says")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add what decides the configuration."""
    add = parser.add_argument
    add("--preset", metavar="NAME", help=f"{', '.join(PRESETS)} (default: default)")
    add("--config", type=Path, metavar="FILE", help="configuration as new-config writes it, or the report of a run")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change settings, by dotted name")
    add("--seed", help="seed of the fit")
    add("--steps", metavar="N", help="steps at most")
    add("--stopping", metavar="RULE", help="auto, fixed, or the name of another rule (see docs)")
    add("--device", help="auto, cpu, mps, cuda or cuda:N")


def add_reference(parser: argparse.ArgumentParser) -> None:
    """Add the ground truth and the peak of the scores."""
    add = parser.add_argument
    add("--reference", type=Path, metavar="FILE", help="ground truth to score against; has no influence on the result")
    add("--data-range", type=float, metavar="V", help="peak of the scores; from the reference by default")


def read_config(options: argparse.Namespace) -> Config:
    """Bring together preset or file, --set and the options, the later over the earlier."""
    if options.config and options.preset:
        raise ConfigError("--config is complete and --preset would replace it. Give one of the two.")
    config = Config.from_file(options.config) if options.config else preset(options.preset or "default")
    changes = dict(_setting(text) for text in options.set)
    options_of = {"seed": "seed", "n_steps": "steps", "stopping.kind": "stopping", "device": "device"}
    named = {name: getattr(options, option) for name, option in options_of.items()}
    return config.replace(changes | {name: value for name, value in named.items() if value is not None})


def read_reference(options: argparse.Namespace) -> ImageFile | None:
    """Read the ground truth, if there is one."""
    return None if options.reference is None else read_image(options.reference)


def make_folder(folder: Path) -> None:
    """Make the folder that outputs go to, if it is missing.

    Raises
    ------
    FileError
        A file of that name, or the operating system refuses.
    """
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder} is a file. Name a folder.")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder} cannot be made: {error.strerror or error}. Choose another folder.") from error


def check_distinct(read: Mapping[str, Path | None], written: Mapping[str, Path | None]) -> None:
    """Refuse to write to a file that is read or written under another name.

    Parameters
    ----------
    read, written
        Files by the words that name them.
    """
    files = [(name, path) for name, path in {**read, **written}.items() if path]
    for i, (name, path) in enumerate(files):
        for other, other_path in files[:i]:
            if name in written and _is_same_file(path, other_path):
                raise FileError(f"{name} and {other} are the same file, {path}. Write to another one.")


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set takes settings as KEY=VALUE, got '{text}'. Write for example --set n_steps=500.")
    return name.strip(), value.strip()


def _is_same_file(a: Path, b: Path) -> bool:
    return a.resolve() == b.resolve() or (a.exists() and b.exists() and os.path.samefile(a, b))
