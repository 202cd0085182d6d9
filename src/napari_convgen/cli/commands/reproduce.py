"""``reproduce``: the figures, the table and the theorems of the paper, computed again and checked."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_convgen import __version__
from napari_convgen.cli.options import add_device, add_output_folder, add_quiet, make_folder
from napari_convgen.cli.progress import Show, progress_display
from napari_convgen.cli.terminal import tell
from napari_convgen.errors import ConfigError, FileError
from napari_convgen.figures.files import write_curves, write_figure
from napari_convgen.files.atomic import write_text
from napari_convgen.reproduction import STUDIES, TITLE, load_study
from napari_convgen.reproduction.cells import Cells

HELP = "compute the paper's figures again and check its statements"
DESCRIPTION = (
    "Compute the figures, the table and the theorems of Heckel and Soltanolkotabi (ICLR 2020) again, and results of four related papers, "
    "and check the papers' statements. "
    "Each study writes a figure, its curves and its numbers; README.md lists which statements agree."
)
EPILOG = (
    "The studies: "
    + "; ".join(f"{name}, {title[0].lower()}{title[1:]}" for name, (_, title) in STUDIES.items())
    + ". An interrupted study continues where it was: finished parts are kept in the subfolder 'cells'."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="names of studies, such as fig1 or theorem2")
    add("--all", action="store_true", help="run all studies")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="use small networks and images, for two CPU cores (default)")
    size.add_argument("--full", action="store_true", help="use the sizes of the paper, for a GPU")
    add_device(parser)
    parser.set_defaults(device="auto")
    add("--images", type=Path, metavar="FOLDER", help=_IMAGES)
    add_output_folder(parser, "figures, curves, numbers and README.md", is_required=True)
    parser.add_argument("--force", action="store_true", help=_FORCE)
    add_quiet(parser)


SUFFIXES = (".json", ".png", ".svg", ".csv")
"""Endings of the files of a study; the first is its record, by which this command knows its own files."""

_FORCE = (
    "replace studies that are there in the other size, and files of the same names that this command has not written"
)
_IMAGES = "folder with other images for fig10 and table1 (default: freely licensed images that come with scikit-image)"


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    names = _names(options)
    if options.images is not None and not options.images.is_dir():
        raise FileError(f"--images must be a folder, got {options.images}.")
    if not options.force:
        _check_sizes(names, options)
        _check_files(names, options.output)
    make_folder(options.output)
    from napari_convgen.reproduction.report import record, to_markdown
    from napari_convgen.reproduction.study import Setting
    from napari_convgen.run.setup.devices import resolve_device

    device, out = resolve_device(options.device), options.output
    with progress_display(options.quiet) as show:
        for i, name in enumerate(names):
            report = _StudyProgress(show, name, i, len(names))
            cells = Cells(out / "cells")
            start = time.monotonic()
            findings = load_study(name)(Setting(options.full, device, options.images, cells, report))
            seconds = time.monotonic() - start + cells.seconds_saved
            entry = record(
                name, findings, is_full=options.full, seconds=seconds, device=str(device), version=__version__
            )
            write_text(out / f"{name}.json", json.dumps(entry, indent=2) + "\n")
            for suffix in (".png", ".svg"):
                write_figure(out / f"{name}{suffix}", findings.panels)
            write_curves(out / f"{name}.csv", findings.panels)
            write_text(out / "README.md", to_markdown(_records(out)))
    if not options.quiet:
        tell("\n".join(_summary(names, out)))
    return 0


def _names(options: argparse.Namespace) -> list[str]:
    """Return the studies that are asked for, in the order of the paper."""
    unknown = [name for name in options.names if name not in STUDIES]
    if unknown:
        raise ConfigError(f"There is no study '{unknown[0]}'. The studies are {', '.join(STUDIES)}.")
    if options.all == bool(options.names):
        raise ConfigError(f"Name the studies, or give --all. The studies are {', '.join(STUDIES)}.")
    return [name for name in STUDIES if options.all or name in options.names]


def _check_sizes(names: Sequence[str], options: argparse.Namespace) -> None:
    """Refuse to replace a study by one of the other size."""
    size = "full" if options.full else "quick"
    for entry in _records(options.output):
        if entry["study"] in names and entry["size"] != size:
            raise FileError(
                f"{options.output / entry['study']}.json holds the study with --{entry['size']}, and would be replaced by one with "
                f"--{size}. Name another folder, or replace what is there with --force."
            )


def _check_files(names: Sequence[str], out: Path) -> None:
    """Refuse to replace files that this command has not written: those of a study without its record, and a README.md of another kind."""
    new = [name for name in names if _record(out / f"{name}.json", name) is None]
    others = [path for name in new for suffix in SUFFIXES if os.path.lexists(path := out / f"{name}{suffix}")]
    readme = out / "README.md"
    if readme.is_file() and readme.read_bytes().splitlines()[:1] != [TITLE.encode()]:
        others.append(readme)
    if others:
        raise FileError(
            f"{others[0]} was not written by this command, and would be replaced. Name another folder, or replace what is there with "
            "--force."
        )


class _StudyProgress:
    """Shows what a study is doing, and the share of all studies that is done."""

    def __init__(self, show: Show, name: str, i: int, n: int) -> None:
        self.show, self.name, self.i, self.n = show, name, i, n

    def __call__(self, what: str, share: float | None = None) -> None:
        self.show(f"{self.name}  {what}", (self.i + (share or 0)) / self.n)


def _records(out: Path) -> list[dict[str, Any]]:
    """Return the findings of all studies in the folder, those of earlier commands included."""
    records = (_record(out / f"{name}.json", name) for name in STUDIES)
    return [record for record in records if record is not None]


def _record(path: Path, name: str) -> dict[str, Any] | None:
    """Return the findings of a study; ``None`` if the file is not there or this command has not written it."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    is_own = isinstance(record, dict) and record.get("study") == name and {"size", "claims", "seconds"} <= set(record)
    return record if is_own else None


def _summary(names: Sequence[str], out: Path) -> list[str]:
    lines = []
    for entry in _records(out):
        if entry["study"] in names:
            n_agreeing = sum(claim["agrees"] for claim in entry["claims"])
            lines.append(
                f"{entry['study']:17}{n_agreeing} of {len(entry['claims'])} statements agree, {entry['seconds']:.0f} s"
            )
    return [*lines, f"Wrote {out / 'README.md'}."]
