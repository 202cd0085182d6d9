"""Directions of the lights of an array, from a text file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from napari_convgen.errors import FileError


def read_lights(path: Path) -> Float[np.ndarray, "lights 2"]:
    """Return the directions of the lights in a text file.

    Parameters
    ----------
    path
        File with two numbers in each row, with or without a comma between them: sin θ along rows and along columns.

    Raises
    ------
    FileError
        It cannot be read as rows of two numbers.
    """
    try:
        rows = path.read_text(encoding="utf-8").replace(",", " ").splitlines()
        values = np.array([[float(word) for word in row.split()] for row in rows if row.strip()], np.float64)
        if values.ndim != 2 or values.shape[1] != 2:
            raise ValueError("it has other rows")
    except (OSError, ValueError) as error:
        raise FileError(
            f"{path} cannot be read as directions of lights: {error}. Write two numbers in each row."
        ) from error
    return values
