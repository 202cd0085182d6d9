"""``new-config``: write a file of settings to edit."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_convgen.cli.options import add_force, check_outputs
from napari_convgen.cli.terminal import deliver
from napari_convgen.config import PRESETS, preset
from napari_convgen.files.atomic import check_writable, write_text

HELP = "write a file of settings to edit"
DESCRIPTION = "Write all settings of a preset to a file, with a comment above each, for the option --config of the other commands."
EPILOG = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=".toml file to write (default: print)")
    parser.add_argument("--preset", metavar="NAME", default="default", help=_PRESET)
    add_force(parser)


_PRESET = f"preset whose settings are written: {', '.join(PRESETS)} (default: default)"


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    text = preset(options.preset).to_toml()
    if options.output is None:
        deliver(text.removesuffix("\n"))
        return 0
    check_writable(options.output, (".toml",))
    check_outputs({}, {"--output": options.output}, is_forced=options.force)
    write_text(options.output, text)
    return 0
