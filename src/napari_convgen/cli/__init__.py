"""The command line: an image file in, denoised or reconstructed ones out.

The exit status is 0 after a finished run, 2 after an error, which is one sentence, and 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from napari_convgen import __version__
from napari_convgen.cli.commands import (
    batch,
    compare,
    compare_fits,
    completion,
    denoise,
    new_config,
    reconstruct,
    reproduce,
    simulate,
    spectrum,
)
from napari_convgen.cli.interrupts import FAILED, INTERRUPTED
from napari_convgen.cli.terminal import deliver, flush_streams, prepare_streams, warn
from napari_convgen.errors import ConfigError, ConvgenError

COMMANDS = {
    "denoise": denoise,
    "reconstruct": reconstruct,
    "simulate": simulate,
    "batch": batch,
    "compare": compare,
    "compare-fits": compare_fits,
    "spectrum": spectrum,
    "reproduce": reproduce,
    "new-config": new_config,
    "completion": completion,
}
"""Modules of the commands: each has ``HELP`` (one line), ``DESCRIPTION``, ``EPILOG`` and the functions ``add_options`` and ``run``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        Command and its options; those of the shell if ``None``, the default.

    Returns
    -------
    int
        Exit status: 0 after a finished run, 2 after an error, 130 after Ctrl-C.
    """
    _quiet_libraries()
    prepare_streams()
    try:
        options = _parser().parse_args(arguments)
        status: int = options.command(options)
    except ConvgenError as error:
        _complain(" ".join(str(error).split()))
        return FAILED
    except KeyboardInterrupt:
        _complain("aborted; no further file was written.")
        return INTERRUPTED
    finally:
        flush_streams()
    return status


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="napari-convgen", description="Denoise and reconstruct images with untrained convolutional generators."
    )
    parser.add_argument("-V", "--version", action="version", version=f"napari-convgen {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.DESCRIPTION, epilog=module.EPILOG)
        command.set_defaults(command=module.run, root=parser)
        module.add_options(command)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser that reports options it does not understand like every other error, and prints its help like a command its output."""

    def print_help(self, file: Any = None) -> None:
        deliver(self.format_help().rstrip())

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see '{self.prog} --help').")


def _complain(sentence: str) -> None:
    warn(f"napari-convgen: {sentence}")


def _quiet_libraries() -> None:
    """Keep warnings of libraries out of the terminal, unless Python was started with an option for warnings."""
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
