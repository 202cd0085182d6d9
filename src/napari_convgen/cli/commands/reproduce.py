"""``reproduce``: the figures, the table and the theorems of the paper, each made again and checked."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_convgen import __version__
from napari_convgen.cli.options import make_folder
from napari_convgen.cli.progress import Show, progress_display
from napari_convgen.errors import ConfigError, FileError
from napari_convgen.figures.files import write_curves, write_figure
from napari_convgen.files.atomic import write_text
from napari_convgen.reproduction import STUDIES, load_study
from napari_convgen.reproduction.cells import Cells

HELP = "make the paper's figures again and check them"
DESCRIPTION = (
    "Make the figures, the table and the theorems of Heckel and Soltanolkotabi (2020) again, and check what the paper says of them. "
    "Each study writes a picture, its curves and its numbers; README.md says what agrees."
)
EPILOG = (
    "The studies: "
    + "; ".join(f"{name}, {title[0].lower()}{title[1:]}" for name, (_, title) in STUDIES.items())
    + ". A study that was ended goes on where it was: finished parts are kept in the folder's 'cells'."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="studies, such as fig1 or theorem2")
    add("--all", action="store_true", help="all studies")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small nets and images, for two CPU cores (the default)")
    size.add_argument("--full", action="store_true", help="the paper's size, for a GPU")
    add("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N")
    add(
        "--images", type=Path, metavar="FOLDER", help="images instead of the freely licensed ones, for fig10 and table1"
    )
    add("-o", "--out", type=Path, required=True, metavar="FOLDER", help="where everything is written; made if missing")
    add("--quiet", action="store_true", help="print nothing but errors")


def run(options: argparse.Namespace) -> int:
    """Carry the command out; return the exit status."""
    names = _names(options)
    if options.images is not None and not options.images.is_dir():
        raise FileError(f"--images must be a folder, got {options.images}.")
    make_folder(options.out)
    from napari_convgen.reproduction.report import record, to_markdown
    from napari_convgen.reproduction.study import Setting
    from napari_convgen.run.setup.devices import resolve_device

    device, out = resolve_device(options.device), options.out
    with progress_display(options.quiet) as show:
        for i, name in enumerate(names):
            tell = _Teller(show, name, i, len(names))
            cells = Cells(out / "cells")
            start = time.monotonic()
            findings = load_study(name)(Setting(options.full, device, options.images, cells, tell))
            seconds = time.monotonic() - start + cells.seconds_saved
            for suffix in (".png", ".svg"):
                write_figure(out / f"{name}{suffix}", findings.panels)
            write_curves(out / f"{name}.csv", findings.panels)
            words = record(
                name, findings, is_full=options.full, seconds=seconds, device=str(device), version=__version__
            )
            write_text(out / f"{name}.json", json.dumps(words, indent=2) + "\n")
            write_text(out / "README.md", to_markdown(_records(out)))
    if not options.quiet:
        print("\n".join(_summary(names, out)))
    return 0


def _names(options: argparse.Namespace) -> list[str]:
    """The studies asked for, in the paper's order."""
    unknown = [name for name in options.names if name not in STUDIES]
    if unknown:
        raise ConfigError(f"There is no study '{unknown[0]}'. The studies are {', '.join(STUDIES)}.")
    if options.all == bool(options.names):
        raise ConfigError(f"Name the studies, or give --all. The studies are {', '.join(STUDIES)}.")
    return [name for name in STUDIES if options.all or name in options.names]


class _Teller:
    """Shows which study is at what, and the share of all that is done."""

    def __init__(self, show: Show, name: str, i: int, n: int) -> None:
        self.show, self.name, self.i, self.n = show, name, i, n

    def __call__(self, what: str, share: float | None = None) -> None:
        self.show(f"{self.name}  {what}", (self.i + (share or 0)) / self.n)


def _records(out: Path) -> list[dict[str, Any]]:
    """What the folder's studies found, those of earlier commands too."""
    return [json.loads(path.read_text(encoding="utf-8")) for name in STUDIES if (path := out / f"{name}.json").exists()]


def _summary(names: Sequence[str], out: Path) -> list[str]:
    lines = []
    for words in _records(out):
        if words["study"] in names:
            n_agreeing = sum(claim["agrees"] for claim in words["claims"])
            lines.append(
                f"{words['study']:13}{n_agreeing} of {len(words['claims'])} statements agree, {words['seconds']:.0f} s"
            )
    return [*lines, f"Wrote {out / 'README.md'}."]
