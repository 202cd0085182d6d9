"""The side from which a stored picture is looked at, as cameras and scanners note it (EXIF and TIFF tag 274, 1 to 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TAG = 274
"""Code of the tag, in TIFF and in EXIF."""

UPRIGHT = 1
"""Orientation of a picture that is stored as it is looked at."""


def read_orientation(value: Any) -> int:
    """Return the orientation that a tag says; upright where it is missing or says nothing that is known."""
    return int(value) if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT


def exif_of(orientation: int) -> dict[str, Any]:
    """Return the keyword arguments of Pillow's `save` that write an orientation; none for an upright picture."""
    if orientation == UPRIGHT:
        return {}
    exif = Image.Exif()
    exif[TAG] = orientation
    return {"exif": exif.tobytes()}


def tiff_tags_of(orientation: int) -> dict[str, Any]:
    """Return the keyword arguments of `tifffile.imwrite` that write an orientation; none for an upright picture."""
    return {} if orientation == UPRIGHT else {"extratags": [(TAG, "H", 1, orientation, False)]}


def is_sideways(orientation: int) -> bool:
    """Return True if rows are stored as columns."""
    return orientation >= 5


def turn_upright(data: NDArray[Any], axes: str, orientation: int) -> NDArray[Any]:
    """Return a stored picture as it is looked at.

    Parameters
    ----------
    data
        Values as they are stored.
    axes
        One letter for each axis; rows ``Y`` and columns ``X`` are turned, in all others.
    orientation
        Value of the tag, 1 to 8.

    References
    ----------
    TIFF 6.0, ``Orientation``: the sides on which the first row and the first column are seen.
    """
    if is_sideways(orientation):
        data = _swapped(data, axes)
    return _flipped(data, axes, orientation)


def turn_back(data: NDArray[Any], axes: str, orientation: int) -> NDArray[Any]:
    """Return a picture that is upright as it is stored: the inverse of `turn_upright`."""
    data = _flipped(data, axes, orientation)
    return _swapped(data, axes) if is_sideways(orientation) else data


def stored_shape(shape: Sequence[int], axes: str, orientation: int) -> tuple[int, ...]:
    """Return the shape of a picture as it is stored, from that of the picture as it is looked at."""
    lengths = list(shape)
    if is_sideways(orientation):
        y, x = axes.index("Y"), axes.index("X")
        lengths[y], lengths[x] = lengths[x], lengths[y]
    return tuple(lengths)


def _swapped(data: NDArray[Any], axes: str) -> NDArray[Any]:
    return np.ascontiguousarray(data.swapaxes(axes.index("Y"), axes.index("X")))


def _flipped(data: NDArray[Any], axes: str, orientation: int) -> NDArray[Any]:
    flips = {"X": orientation in (2, 3, 6, 7), "Y": orientation in (3, 4, 7, 8)}
    counted = tuple(position for position, letter in enumerate(axes) if flips.get(letter))
    return np.ascontiguousarray(np.flip(data, counted)) if counted else data
