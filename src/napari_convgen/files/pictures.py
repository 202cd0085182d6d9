"""Pictures that Pillow reads: a plane of gray or color, with resolution and color profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_convgen.core.image import Layout
from napari_convgen.errors import FileError
from napari_convgen.files.image_file import ImageFile


def read(path: Path, axes: str | None) -> ImageFile:
    """Read a picture.

    Parameters
    ----------
    path
        File of any format that Pillow reads.
    axes
        One letter for each axis; ``None`` for ``"YX"`` or, in color, ``"YXS"``.

    Raises
    ------
    InputError
        ``axes`` do not fit the image.
    FileError
        The picture is gray with transparency.
    """
    with Image.open(path) as picture:
        options = {name: picture.info.get(name) for name in ("dpi", "icc_profile")}
        data = _values(path, picture)
    tags = {
        "photometric": "minisblack" if data.ndim == 2 else "rgb",
        "extrasamples": ("unassalpha",) if data.shape[2:] == (4,) else None,
        "iccprofile": options["icc_profile"],
        "metadata": None,
    }
    if options["dpi"]:
        tags |= {"resolution": options["dpi"], "resolutionunit": "inch"}
    letters = "YXS"[: data.ndim] if axes is None else Layout.of(data.shape, axes).axes
    return ImageFile(data, letters, tags, options)


def _values(path: Path, picture: Image.Image) -> NDArray[Any]:
    """Return gray values, or red, green, blue and perhaps alpha; indexed colors are looked up."""
    if picture.mode == "LA":
        gray, alpha = (np.asarray(band) for band in picture.split())
        if (alpha != 255).any():
            raise FileError(f"{path} is gray with transparency. Remove its alpha channel, or save it as RGBA.")
        return gray
    if picture.mode == "P":
        color = np.asarray(picture.convert("RGBA" if "transparency" in picture.info else "RGB"))
        is_gray = (color == color[..., :1]).all()
        return np.ascontiguousarray(color[..., 0]) if is_gray else color
    if picture.mode not in ("1", "L", "RGB", "RGBA") and not picture.mode.startswith("I"):
        return np.asarray(picture.convert("RGB"))
    values = np.asarray(picture)
    return values.astype(np.uint16) if picture.mode.startswith("I") else values
