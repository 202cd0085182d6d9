"""PNG files: gray with 8 or 16 bits, color with 8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_convgen.errors import FileError
from napari_convgen.files import pictures
from napari_convgen.files.atomic import replacing
from napari_convgen.files.image_file import ImageFile, WritableFormat


def _read(path: Path, axes: str | None, series: int) -> ImageFile:
    _refuse_deep_color(path)
    return pictures.read(path, axes, series)


def _write(path: Path, data: NDArray[Any], like: ImageFile) -> None:
    samples = np.moveaxis(data, like.axes.index("S"), -1) if "S" in like.axes else data
    if like.tiff.get("photometric") == "miniswhite":  # which PNG does not know
        samples = ~samples
    with replacing(path) as file:
        Image.fromarray(np.ascontiguousarray(samples)).save(file, format="PNG", **like.png)


def _check(path: Path, like: ImageFile) -> None:
    if like.axes not in ("YX", "YXS", "SYX"):
        raise FileError(f"{path} cannot hold a stack with the axes {like.axes}. Write a .tif instead.")
    if tifffile.EXTRASAMPLE.ASSOCALPHA in (like.tiff.get("extrasamples") or ()):
        raise FileError(f"{path} cannot hold colors that are multiplied by their transparency. Write a .tif instead.")
    dtype = like.data.dtype
    if dtype != np.uint8 and ("S" in like.axes or dtype not in (np.uint16, np.bool_)):
        allowed = "color in PNG has 8 bits" if "S" in like.axes else "gray in PNG has 8 or 16 bits"
        raise FileError(f"{path} cannot hold {dtype} values: {allowed}. Write a .tif instead.")


def _refuse_deep_color(path: Path) -> None:
    """Refuse color with 16 bits, which Pillow would reduce to 8 without a warning."""
    with path.open("rb") as file:
        header = file.read(26)
    is_deep, is_gray = header[24:25] == b"\x10", header[25:26] == b"\x00"
    if header.startswith(b"\x89PNG") and is_deep and not is_gray:
        raise FileError(f"{path} has color or transparency in 16 bits, of which 8 would be lost. Save it as .tif.")


FORMAT = WritableFormat((".png",), _read, check=_check, write=_write, has_orientation=True)
