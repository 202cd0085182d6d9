"""Errors of libraries that read files, in one sentence for the user, whenever the values are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.image import ArrayLike
from napari_convgen.core.image.lazy import LazyArray, held_bytes
from napari_convgen.errors import ConvgenError, FileError


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn whatever the reading of a file raises into one sentence.

    Raises
    ------
    FileError
        Any exception that is not of this package, explained.
    """
    try:
        yield
    except ConvgenError:
        raise
    except Exception as error:  # a damaged file makes the libraries raise almost anything
        raise FileError(_explain(path, error)) from error


class LaterValues(LazyArray):
    """Values of an image that are read as they are needed; they are indexed by numbers and slices.

    Parameters
    ----------
    path
        The file.
    values
        Its values, as a library reads them.

    Attributes
    ----------
    shape, dtype
        Shape and type of the image.
    n_held_bytes
        Bytes of memory that the values hold all the time.
    """

    def __init__(self, path: Path, values: ArrayLike) -> None:
        self._path = path
        self._values = values
        self.shape = tuple(values.shape)
        self.dtype = np.dtype(values.dtype)
        self.n_held_bytes = held_bytes(values)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read a part of the values.

        Raises
        ------
        FileError
            It cannot be read.
        """
        with explained(self._path):
            return np.asarray(self._values[index])


def _explain(path: Path, error: Exception) -> str:
    """Return a sentence on why a file cannot be read, from the exception of a library."""
    reason = " ".join(str(getattr(error, "strerror", None) or (error.args or [""])[0]).split()).rstrip(".")
    if "imagecodecs" in reason:
        return f"{path} cannot be read: {reason}. Install it with: pip install imagecodecs."
    if isinstance(error, MemoryError):
        reason = "there is not enough memory for it"
    elif not isinstance(error, (OSError, ValueError, NotImplementedError)) or not reason:
        reason = (
            f"it is damaged, or of a kind that is not supported ({type(error).__name__}{': ' * bool(reason)}{reason})"
        )
    return f"{path} cannot be read: {reason}. Save it anew, or as another format."
