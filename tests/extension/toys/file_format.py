"""A toy file format: NumPy's, after a magic word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.errors import FileError
from napari_convgen.files.atomic import replacing
from napari_convgen.files.image_file import ImageFile, WritableFormat

MAGIC = b"TOY!"


def _read(path: Path, axes: str | None, series: int) -> ImageFile:
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise FileError(f"{path} does not begin with {MAGIC!r}. Choose another file.")
        data = np.load(file)
    named = axes or "ZYX"[-data.ndim :]
    return ImageFile(data, named, {"photometric": "minisblack", "metadata": {"axes": named}})


def _check(path: Path, like: ImageFile) -> None:
    if like.data.dtype.hasobject:
        raise FileError(f"{path} holds numbers only, got {like.data.dtype}. Choose a .tif.")


def _write(path: Path, data: NDArray[Any], like: ImageFile) -> None:
    with replacing(path) as file:
        file.write(MAGIC)
        np.save(file, data)


FORMAT = WritableFormat((".toy",), _read, check=_check, write=_write)
