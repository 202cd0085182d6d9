"""The file door: an image file becomes an array with named axes, and an array a file of the same kind.

TIFF is read and written in all its forms with what it says of the image: pixel size and units, the meaning of axes,
spacing, time interval, channels. PNG holds gray of 8 or 16 bits and color of 8; JPEG and BMP are read only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_convgen.core.image import Layout
from napari_convgen.errors import ConvgenError, FileError
from napari_convgen.files.atomic import check_writable, replacing
from napari_convgen.files.tiff import Tags, is_ome, read_tiff, stack_tags, write_tiff

TIFF_SUFFIXES = (".tif", ".tiff")
PNG_SUFFIXES = (".png",)
READ_ONLY_SUFFIXES = (".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image with what is needed to write another of its kind.

    Attributes
    ----------
    data
        Values.
    axes
        A letter for each axis, as `napari_convgen.core.image.Layout` wants them.
    tiff
        Keyword arguments with which `tifffile.imwrite` writes such an image.
    png
        Keyword arguments with which Pillow saves such an image.
    notes
        What the user should know of the reading.
    """

    data: NDArray[Any]
    axes: str
    tiff: Tags
    png: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_image(path: str | Path, axes: str | None = None) -> ImageFile:
    """Read an image file.

    Parameters
    ----------
    path
        TIFF, PNG, JPEG or BMP, told apart by their endings.
    axes
        A letter for each axis of the image, in order, if the file has none or wrong ones: ``"CZYX"``.

    Raises
    ------
    FileError
        A file that is missing, damaged, or of another format.
    InputError
        ``axes`` do not fit the image.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    known = (*TIFF_SUFFIXES, *PNG_SUFFIXES, *READ_ONLY_SUFFIXES)
    if suffix not in known:
        raise FileError(f"{path} is of no known format: it must end in {', '.join(known[:-1])} or {known[-1]}.")
    if not path.is_file():
        raise FileError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}. Name an image file.")
    try:
        return _read_tiff(path, axes) if suffix in TIFF_SUFFIXES else _read_picture(path, axes)
    except ConvgenError:
        raise
    except Exception as error:  # a damaged file makes the libraries raise almost anything
        raise FileError(_wording(path, error)) from error


def check_image(path: str | Path, like: ImageFile) -> None:
    """Refuse a path that `write_image` could not write, before any work is done for it.

    Parameters
    ----------
    path
        To be written later.
    like
        Has the shape, dtype and axes of the image that is to be written.

    Raises
    ------
    FileError
        A folder that is missing or does not allow new files, or a format that cannot hold the image.
    """
    check_writable(path, (*TIFF_SUFFIXES, *PNG_SUFFIXES))
    if Path(path).suffix.lower() in PNG_SUFFIXES:
        _refuse_for_png(path, like)
    elif not is_ome(like.tiff):
        _refuse_ome_name(path)


def write_image(path: str | Path, data: NDArray[Any], like: ImageFile) -> None:
    """Write an image in the manner of another, whole or not at all.

    Parameters
    ----------
    path
        TIFF or PNG, told apart by their endings. TIFF keeps all that ``like`` says; PNG resolution and color profile.
    data
        Of the shape and dtype of ``like.data``.
    like
        The image whose axes and metadata are written.

    Raises
    ------
    FileError
        What `check_image` refuses, or the operating system does.
    """
    check_image(path, like)
    with replacing(path) as file:
        if Path(path).suffix.lower() in TIFF_SUFFIXES:
            write_tiff(file, data, like.tiff)
        else:
            samples = np.moveaxis(data, like.axes.index("S"), -1) if "S" in like.axes else data
            Image.fromarray(np.ascontiguousarray(samples)).save(file, format="PNG", **like.png)


def check_stack(path: str | Path) -> None:
    """Refuse a path that `write_stack` could not write, before any work is done for it.

    Raises
    ------
    FileError
        Not the ending of a TIFF file, or a folder that is missing or does not allow new files.
    """
    check_writable(path, TIFF_SUFFIXES)
    _refuse_ome_name(path)


def write_stack(
    path: str | Path, images: Sequence[NDArray[Any]], what: str, names: Sequence[int | str], like: ImageFile
) -> None:
    """Write images that belong together, such as those of a fit's steps, as one TIFF stack, whole or not at all.

    Where ImageJ's format can hold the stack, each plane is labeled with the name of its image. The names stand in the
    description too.

    Parameters
    ----------
    path
        TIFF.
    images
        Of the shape of ``like.data``, all of one dtype.
    what
        Word for what the first axis counts: with ``"step"``, labels are ``step 1`` and so on, and all names ``steps``.
    names
        Of the images.
    like
        The image whose axes and pixel size are written.

    Raises
    ------
    FileError
        What `check_stack` refuses, or the operating system does.
    """
    check_stack(path)
    with replacing(path) as file:
        write_tiff(file, np.stack(images), stack_tags(like.tiff, like.axes, images[0], what, names))


def _read_tiff(path: Path, axes: str | None) -> ImageFile:
    data, letters, tags, notes = read_tiff(path, axes)
    dots = {2: 1.0, 3: 2.54}.get(tags.get("resolutionunit", 1))  # an inch, a centimeter
    dpi = tuple(dots * n / d for n, d in tags["resolution"]) if dots else None
    return ImageFile(data, letters, tags, {"dpi": dpi, "icc_profile": tags["iccprofile"]}, notes)


def _read_picture(path: Path, axes: str | None) -> ImageFile:
    _refuse_deep_color(path)
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


def _wording(path: Path, error: Exception) -> str:
    """Say why a file cannot be read, after a library."""
    reason = str(getattr(error, "strerror", None) or (error.args or [type(error).__name__])[0]).rstrip(".")
    needs_codecs = "imagecodecs" in reason
    advice = "Install it with: pip install imagecodecs" if needs_codecs else "Save it anew, or as another format"
    return f"{path} cannot be read: {reason}. {advice}."


def _refuse_for_png(path: str | Path, like: ImageFile) -> None:
    if like.axes not in ("YX", "YXS", "SYX"):
        raise FileError(f"{path} cannot hold a stack with the axes {like.axes}. Write a .tif instead.")
    dtype = like.data.dtype
    if dtype != np.uint8 and ("S" in like.axes or dtype not in (np.uint16, np.bool_)):
        allowed = "color in PNG has 8 bits" if "S" in like.axes else "gray in PNG has 8 or 16 bits"
        raise FileError(f"{path} cannot hold {dtype} values: {allowed}. Write a .tif instead.")


def _refuse_ome_name(path: str | Path) -> None:
    if Path(path).suffixes[-2:-1] == [".ome"]:
        raise FileError(f"{path} would not be OME-TIFF: only an image read from OME-TIFF is. Leave the .ome away.")


def _refuse_deep_color(path: Path) -> None:
    """Pillow cuts PNG color of 16 bits to 8 without a word."""
    with path.open("rb") as file:
        header = file.read(26)
    is_deep, is_gray = header[24:25] == b"\x10", header[25:26] == b"\x00"
    if header.startswith(b"\x89PNG") and is_deep and not is_gray:
        raise FileError(f"{path} has color or transparency in 16 bits, of which 8 would be lost. Save it as .tif.")


def _values(path: Path, picture: Image.Image) -> NDArray[Any]:
    """Gray, or color as red, green, blue and perhaps alpha; indexed colors are looked up."""
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
