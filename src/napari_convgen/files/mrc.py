"""MRC files of electron microscopy, which are only read, as their values are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_convgen.core.image import Layout
from napari_convgen.errors import FileError
from napari_convgen.files.converted import converted
from napari_convgen.files.image_file import Calibration, Format, ImageFile
from napari_convgen.files.optional import load
from napari_convgen.files.series import choose_series
from napari_convgen.files.tiff.new import new_tags


def _read(path: Path, axes: str | None, series: int) -> ImageFile:
    mrcfile = load("mrcfile", "mrc", "MRC files")
    file = mrcfile.mmap(path, mode="r")
    data = file.data
    if data is None:
        raise FileError(f"{path} holds no image. Name another file.")
    choose_series(path, [" × ".join(map(str, data.shape))], series)
    letters = "QZYX"[-data.ndim :]
    if file.is_image_stack():
        letters = letters.replace("Z", "Q")
    calibration = _calibration(file, letters)
    letters = letters if axes is None else Layout.of(data.shape, axes).axes
    if not data.dtype.isnative:
        data = converted(data, data.dtype.newbyteorder("="))
    return ImageFile(data, letters, new_tags(data.shape, data.dtype, letters, calibration), calibration=calibration)


def _calibration(file: Any, letters: str) -> Calibration | None:
    """Return distances in angstroms; ``None`` if the file does not say them."""
    size = {letter: float(file.voxel_size[letter.lower()]) for letter in "XYZ"}
    if not (size["X"] > 0 and size["Y"] > 0):
        return None
    return tuple(size.get(x, 1.0) for x in letters), tuple("Å" if x in size else "pixel" for x in letters)


FORMAT = Format((".mrc", ".mrcs", ".map", ".rec", ".st"), _read)
