"""The errors a user can meet, each one sentence that says what to do.

A message names what was expected, what was got, whose value it is and the way out, so that the command line can print it
and the viewer can show it without adding a word.
"""

from __future__ import annotations


class ConvgenError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(ConvgenError, ValueError):
    """An image, reference or axis string that cannot be used."""


class ConfigError(ConvgenError, ValueError):
    """A setting outside its range, or one that does not exist."""


class DeviceError(ConvgenError, RuntimeError):
    """A device that was asked for and is not there."""


class FitError(ConvgenError, RuntimeError):
    """A fit that left nothing to keep."""


class ShortMemoryError(ConvgenError, MemoryError):
    """A fit that needs more memory than there is."""


class FileError(ConvgenError, OSError):
    """A file that cannot be read or written."""


def mismatch(what: str, *, expected: object, got: object, advice: str) -> str:
    """Word one mismatch: ``"mask must …: expected A, got B. Crop one of them."``.

    Parameters
    ----------
    what
        What must hold, with its owner named: ``"the reference must have the shape of the image"``.
    expected, got
        The two values, shown with ``str``.
    advice
        One sentence that says what to do.
    """
    return f"{what}: expected {expected}, got {got}. {advice}"
