"""Values that ImageJ shows in other units than its files store them: a straight line of these, and numbers of 16 bits with a sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.image import ArrayLike
from napari_convgen.files.converted import converted
from napari_convgen.files.image_file import Tags

SIGNED = {"cf": 0, "c0": -(2.0**15), "c1": 1.0, "vunit": "Gray Value"}
"""Entries of ImageJ's description for numbers of 16 bits with a sign, which are stored without."""

STRAIGHT_LINE = 0
"""Number of that curve among ImageJ's (``ij.measure.Calibration``), of which the others keep their meaning by the values as stored."""


def in_gray_values(stored: ArrayLike, described: Mapping[str, Any]) -> ArrayLike:
    """Return values in the units that ImageJ shows.

    Parameters
    ----------
    stored
        Values as the file stores them.
    described
        Entries of ImageJ's description; ``c0`` and ``c1`` are offset and slope of a straight line.
    """
    line = described.get("c0"), described.get("c1")
    if described.get("cf") != STRAIGHT_LINE or None in line or np.dtype(stored.dtype).kind != "u":
        return stored
    offset, slope = (float(each or 0) for each in line)
    values: Any = stored
    if stored.dtype == np.uint16 and (offset, slope) == (SIGNED["c0"], SIGNED["c1"]):
        return converted(values, np.int16, _with_sign)
    return converted(values, np.float32, lambda part: offset + slope * part.astype(np.float64))


def as_stored(data: NDArray[Any], tags: Tags) -> NDArray[Any]:
    """Return values as the file of these tags stores them: without a sign in ImageJ's."""
    return (data.view(np.uint16) ^ np.uint16(2**15)) if is_without_sign(data.dtype, tags) else data


def is_without_sign(dtype: np.dtype[Any], tags: Tags) -> bool:
    """Return True if a file of these tags stores numbers with a sign as ones without."""
    return bool(tags.get("imagej")) and dtype == np.int16


def tags_of_values(tags: Tags, dtype: np.dtype[Any]) -> Tags:
    """Return tags that say of the values of a type what they are; those of other formats than ImageJ's as they are."""
    if not tags.get("imagej") or dtype.kind == "u":
        return tags
    kept = {name: entry for name, entry in (tags.get("metadata") or {}).items() if name not in ("cf", "c0", "c1")}
    return {**tags, "metadata": kept | (SIGNED if is_without_sign(dtype, tags) else {})}


def _with_sign(part: NDArray[Any]) -> NDArray[Any]:
    return (part ^ np.uint16(2**15)).view(np.int16)
