"""Pictures that Pillow reads: a plane of gray or color, with resolution, orientation and color profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from napari_convgen.core.image import Layout
from napari_convgen.errors import FileError
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.orientation import TAG, exif_of, read_orientation, tiff_tags_of
from napari_convgen.files.series import choose_series


def read(path: Path, axes: str | None, series: int) -> ImageFile:
    """Read a picture.

    Parameters
    ----------
    path
        File of any format that Pillow reads.
    axes
        One letter for each axis; ``None`` for ``"YX"`` or, in color, ``"YXS"``.
    series
        Number of the picture in an animation or a collection, from 0.

    Raises
    ------
    InputError
        ``axes`` do not fit the image.
    FileError
        The picture is gray with transparency, or there is none of this number.
    """
    with Image.open(path) as file:
        size = f"{file.height} × {file.width}"
        notes = choose_series(path, [f"{size} {file.mode}"] * getattr(file, "n_frames", 1), series)
        picture = ImageSequence.Iterator(file)[series]
        picture.load()
        orientation = read_orientation(picture.getexif().get(TAG))
        profile = picture.info.get("icc_profile") if picture.mode != "CMYK" else None
        options = {"dpi": picture.info.get("dpi"), "icc_profile": profile} | exif_of(orientation)
        data = _values(path, picture)
    tags = {
        "photometric": "minisblack" if data.ndim == 2 else "rgb",
        "extrasamples": ("unassalpha",) if data.shape[2:] == (4,) else None,
        "iccprofile": profile,
        "metadata": None,
    } | tiff_tags_of(orientation)
    if options["dpi"]:
        tags |= {"resolution": options["dpi"], "resolutionunit": "inch"}
    letters = "YXS"[: data.ndim] if axes is None else Layout.of(data.shape, axes).axes
    return ImageFile(data, letters, tags, options, notes, orientation=orientation)


def _values(path: Path, picture: Image.Image) -> NDArray[Any]:
    """Return gray values, or red, green, blue and perhaps alpha; indexed colors are looked up."""
    key = picture.info.get("transparency")
    if picture.mode in ("P", "PA"):
        color = _opaque(np.asarray(picture.convert("RGBA")))
        is_gray = color.shape[-1] == 3 and (color == color[..., :1]).all()
        return np.ascontiguousarray(color[..., 0]) if is_gray else color
    if picture.mode == "RGB" and key is not None:
        return _opaque(np.asarray(picture.convert("RGBA")))
    if picture.mode in ("LA", "La", "1", "L") or picture.mode.startswith("I"):
        gray, alpha = (
            (np.asarray(band) for band in picture.split())
            if picture.mode in ("LA", "La")
            else (np.asarray(picture), None)
        )
        is_transparent = (alpha != 255).any() if alpha is not None else key is not None and (gray == key).any()
        if is_transparent:
            raise FileError(f"{path} is gray with transparency. Remove its alpha channel, or save it as RGBA.")
        return gray.astype(np.uint16) if picture.mode.startswith("I") else gray
    return np.asarray(picture if picture.mode in ("RGB", "RGBA") else picture.convert("RGB"))


def _opaque(color: NDArray[Any]) -> NDArray[Any]:
    """Return a color picture without its alpha channel if it is nowhere transparent."""
    return np.ascontiguousarray(color[..., :3]) if (color[..., 3] == 255).all() else color
