"""``new-config``: write a configuration to edit."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_convgen.config import PRESETS, preset
from napari_convgen.errors import FileError
from napari_convgen.files.atomic import check_writable, write_text

HELP = "write a configuration to edit"
DESCRIPTION = "Write a configuration with a comment over each setting, for the option --config of denoise and compare."
EPILOG = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="a .toml file; printed if left away")
    parser.add_argument("--preset", metavar="NAME", default="default", help=f"{', '.join(PRESETS)} (default: default)")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")


def run(options: argparse.Namespace) -> int:
    """Carry the command out; return the exit status."""
    text = preset(options.preset).to_toml()
    if options.output is None:
        print(text, end="")
        return 0
    check_writable(options.output, (".toml",))
    if options.output.exists() and not options.force:
        raise FileError(f"{options.output} exists already. Choose another name, or overwrite it with --force.")
    write_text(options.output, text)
    return 0
