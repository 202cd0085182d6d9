"""The errors that a user can get. The message of each is one sentence or two that say what to do.

A message names what was expected, what was got, which input it concerns, and how to solve the problem, so that the command line can print
it and the viewer can show it as it is.
"""

from __future__ import annotations


class ConvgenError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(ConvgenError, ValueError):
    """An image, reference or axis string that cannot be used."""


class ConfigError(ConvgenError, ValueError):
    """A setting outside its range, or one that does not exist."""


class DeviceError(ConvgenError, RuntimeError):
    """A device that was requested and is not available."""


class FitError(ConvgenError, RuntimeError):
    """A fit without a result."""


class ShortMemoryError(ConvgenError, MemoryError):
    """A fit that needs more memory than is free."""


class FileError(ConvgenError, OSError):
    """A file that cannot be read or written."""


def mismatch(what: str, *, expected: object, got: object, advice: str) -> str:
    """Return the message for a mismatch: ``"mask must …: expected A, got B. Crop one of them."``.

    Parameters
    ----------
    what
        Condition that must hold, with the input that it concerns: ``"The reference must have the shape of the image"``.
    expected, got
        Expected and actual value, shown with ``str``.
    advice
        Sentence that says what to do.
    """
    return f"{what}: expected {expected}, got {got}. {advice}"
