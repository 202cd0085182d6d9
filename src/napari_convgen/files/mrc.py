"""MRC files of electron microscopy, which are only read, as their values are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_convgen.core.image import Layout
from napari_convgen.errors import FileError
from napari_convgen.files.converted import converted
from napari_convgen.files.image_file import Calibration, Format, ImageFile
from napari_convgen.files.optional import load
from napari_convgen.files.series import choose_series
from napari_convgen.files.tiff.new import new_tags

IMOD_STAMP = 1146047817
"""Number in the header of files by IMOD."""

SIGNED_BYTES = 1
"""Flag in such a header: bytes have a sign."""


def _read(path: Path, axes: str | None, series: int) -> ImageFile:
    mrcfile = load("mrcfile", "mrc", "MRC files")
    file = mrcfile.mmap(path, mode="r")
    data = file.data
    if data is None:
        raise FileError(f"{path} holds no image. Name another file.")
    choose_series(path, [" × ".join(map(str, data.shape))], series)
    letters = _letters(file, data.ndim)
    calibration = _calibration(file, letters)
    letters = letters if axes is None else Layout.of(data.shape, axes).axes
    if data.dtype == np.int8 and _has_unsigned_bytes(file):
        data = data.view(np.uint8)
    if not data.dtype.isnative:
        data = converted(data, data.dtype.newbyteorder("="))
    return ImageFile(data, letters, new_tags(data.shape, data.dtype, letters, calibration), calibration=calibration)


def _letters(file: Any, n_axes: int) -> str:
    """Return the letters of the axes: those that the header names for columns, rows and sections, and one that counts images or volumes."""
    if file.is_image_stack():
        return "QYX"
    order = [int(file.header[name]) for name in ("maps", "mapr", "mapc")]
    letters = "".join("XYZ"[axis - 1] for axis in order) if sorted(order) == [1, 2, 3] else "ZYX"
    return ("Q" + letters)[-n_axes:] if n_axes > 2 else "YX"


def _has_unsigned_bytes(file: Any) -> bool:
    """Return True for a file by IMOD whose bytes are from 0 to 255, unlike those of the standard.

    References
    ----------
    The MRC format of IMOD, ``imodStamp`` and ``imodFlags``: words 39 and 40 of the header, of which ``extra2`` begins with word 29.
    """
    words = np.frombuffer(file.header.extra2.tobytes(), file.header.nx.dtype)
    return bool(words[10] == IMOD_STAMP and not words[11] & SIGNED_BYTES)


def _calibration(file: Any, letters: str) -> Calibration | None:
    """Return distances in angstroms; ``None`` if the file does not say them."""
    size = {letter: float(file.voxel_size[letter.lower()]) for letter in "XYZ"}
    if not (size["X"] > 0 and size["Y"] > 0):
        return None
    return tuple(size.get(x, 1.0) for x in letters), tuple("Å" if x in size else "pixel" for x in letters)


FORMAT = Format((".mrc", ".mrcs", ".map", ".rec", ".st"), _read)
