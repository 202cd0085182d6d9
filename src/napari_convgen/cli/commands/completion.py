"""``completion``: the script that lets a shell complete commands, options and their values."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from napari_convgen.cli.terminal import deliver
from napari_convgen.config import PRESETS, StoppingConfig
from napari_convgen.config.base import kinds_of
from napari_convgen.errors import ConfigError

HELP = "print the script that completes commands in a shell"
DESCRIPTION = "Print the script that lets a shell complete commands, options, presets, stopping rules and file names at the tab key."
EPILOG = (
    "For bash: napari-convgen completion bash > ~/.local/share/bash-completion/completions/napari-convgen. "
    "For zsh: napari-convgen completion zsh > FOLDER/_napari-convgen, where FOLDER is one of $fpath. "
    "For fish: napari-convgen completion fish > ~/.config/fish/completions/napari-convgen.fish."
)

SHELLS = ("bash", "zsh", "fish", "tcsh")

VALUES = {"preset": tuple(PRESETS), "stopping": tuple(kinds_of(StoppingConfig))}
"""Values that are completed, by option; the command line itself checks them later, with sentences of its own."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"shell: {', '.join(SHELLS)}")


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    try:
        shtab = importlib.import_module("shtab")
    except ImportError as error:
        raise ConfigError(
            "This needs the package shtab, which is not installed. Install it with: pip install 'napari-convgen[completion]'."
        ) from error
    root: argparse.ArgumentParser = options.root
    for parser in _with_commands(root):
        for action in parser._actions:  # argparse has no public list of the options
            if action.type is Path or action.dest == "inputs":
                action.complete = shtab.DIRECTORY if action.metavar == "FOLDER" else shtab.FILE  # type: ignore[attr-defined]
            elif action.dest in VALUES:
                action.choices = VALUES[action.dest]
    deliver(shtab.complete(root, options.shell))
    return 0


def _with_commands(root: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return a parser and those of its commands."""
    commands = [action for action in root._actions if isinstance(action, argparse._SubParsersAction)]
    return [root, *(parser for action in commands for parser in action.choices.values())]
