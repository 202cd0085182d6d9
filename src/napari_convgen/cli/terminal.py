"""What the commands print: an end of the terminal never undoes what is done.

The reader of a pipe may be gone, the disk of a log file full, or a console may lack letters. None of these is a reason to lose a fit, or to
call a run failed whose files are written.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO

from napari_convgen.errors import FileError


def prepare_streams() -> None:
    r"""Let stdout and stderr write letters that their encoding lacks as escapes: ``±`` as ``\xb1``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def tell(text: str) -> None:
    """Print to stdout what is good to know; nothing happens if it cannot be printed."""
    _print(text, sys.stdout)


def warn(text: str) -> None:
    """Print to stderr; nothing happens if it cannot be printed."""
    _print(text, sys.stderr)


def deliver(text: str) -> None:
    """Print to stdout what a command is there for.

    Parameters
    ----------
    text
        Text, without the last end of line.

    Raises
    ------
    FileError
        It cannot be printed, other than to a pipe whose reader has read enough.
    """
    error = _print(text, sys.stdout)
    if error is not None and not isinstance(error, BrokenPipeError):
        raise FileError(f"The output cannot be printed: {error.strerror or error}. Print to another place.") from error


def flush_streams() -> None:
    """Write out what stdout and stderr still hold; what cannot be written is dropped, and does not change the exit status."""
    for stream in (sys.stdout, sys.stderr):
        _print("", stream)


def _print(text: str, stream: TextIO | None) -> OSError | None:
    """Print lines and flush them; return the error, after which the stream swallows all."""
    if stream is None or stream.closed:
        return None
    try:
        stream.write(f"{text}\n" if text else "")
        stream.flush()
    except OSError as error:
        _swallow(stream)
        return error
    return None


def _swallow(stream: TextIO) -> None:
    """Lead a stream nowhere: Python itself flushes it at its end, and would report the error once more."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
