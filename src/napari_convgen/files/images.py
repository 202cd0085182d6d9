"""Reading and writing of image files: a file becomes an array with named axes, and an array a file with the same metadata.

TIFF keeps all metadata of an image: pixel size and units, the meaning of the axes, spacing, time interval, channels. PNG holds gray of 8 or
16 bits and color of 8. NIfTI, OME-Zarr and BART keep what they say. JPEG, BMP, DICOM, MRC and HDF5 are only read.
"""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_convgen.core.image import Image, guess_axes, projection_notes
from napari_convgen.errors import FileError
from napari_convgen.files.atomic import check_writable
from napari_convgen.files.explained import LaterValues, explained
from napari_convgen.files.formats import find_format, find_writable_format
from napari_convgen.files.image_file import Calibration, ImageFile, Recipe
from napari_convgen.files.magnetic_resonance import Part
from napari_convgen.files.orientation import UPRIGHT, turn_back, turn_upright
from napari_convgen.files.tiff.new import new_tags


def read_image(path: str | Path, axes: str | None = None, series: int = 0) -> ImageFile:
    """Read an image file.

    Parameters
    ----------
    path
        File of one of the `napari_convgen.files.formats.FORMATS`, which its ending tells.
    axes
        One letter for each axis of the image, in order, if the file names none or wrong ones: ``"CZYX"``. ``None``, the default, for
        the axes of the file.
    series
        Number of the image to read, if the file holds several, from 0; default 0. The notes of the image name all.

    Raises
    ------
    FileError
        The file is missing, damaged, or of another format, or has no image of this number.
    InputError
        ``axes`` do not fit the image.
    """
    path = Path(path)
    format_of_file = find_format(path)
    if not path.is_file() and not format_of_file.claims(path):
        raise FileError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}. Name an image file.")
    with explained(path):
        stored = format_of_file.read(path, axes, series)
    if not isinstance(stored.data, np.ndarray):
        smaller = tuple(LaterValues(path, each) for each in stored.smaller)
        stored = dataclasses.replace(stored, data=LaterValues(path, stored.data), smaller=smaller)
    return _upright(dataclasses.replace(stored, notes=(*stored.notes, *projection_notes(path.name))))


def part_of_file(path: str | Path) -> Part | None:
    """Return which part of complex values a file says that its image of magnetic resonance has.

    Only its description is read, not its pixels.

    Parameters
    ----------
    path
        File, or folder of a DICOM series.

    Returns
    -------
    str or None
        ``None`` if it is no image of magnetic resonance, does not say, or cannot be read.
    """
    path = Path(path)
    with suppress(Exception):  # what is no readable file says nothing
        return find_format(path).part(path)
    return None


def pixel_size_of_file(path: str | Path, axes: str) -> Calibration | None:
    """Return the distances between pixels along some axes, and their units, that a file says and napari's own reader leaves out.

    Only its description is read, not its pixels.

    Parameters
    ----------
    path
        Image file.
    axes
        One letter for each axis.

    Returns
    -------
    tuple or None
        ``None`` if the file does not say, cannot be read, or is of a format whose distances napari reads.
    """
    path = Path(path)
    with suppress(Exception):  # what is no readable file says nothing
        return find_format(path).pixel_size(path, axes)
    return None


def read_recipe(path: str | Path) -> Recipe:
    """Return how an image was made, from a file that this program has written.

    Parameters
    ----------
    path
        Image file.

    Raises
    ------
    FileError
        The file cannot be read, or does not say.
    """
    path = Path(path)
    try:
        recipe: Recipe = find_format(path).recipe(path)
    except FileError:
        raise
    except Exception as error:
        raise FileError(
            f"{path} has no settings of a run. Choose a result that was saved from napari, or a report (.json)."
        ) from error
    return recipe


def check_image(path: str | Path, like: ImageFile, dtype: DTypeLike | None = None) -> None:
    """Refuse a path to which `write_image` could not write, before any work is done for it.

    Parameters
    ----------
    path
        File to be written later; nothing is left there.
    like
        Image with the shape and axes of the one to be written.
    dtype
        Type of the values to be written; ``None``, the default, for that of ``like``.

    Raises
    ------
    FileError
        The folder is missing or does not allow new files, or the format cannot hold the image.
    """
    path = Path(path)
    format_of_file = find_writable_format(path)
    check_writable(path, format_of_file.suffixes, format_of_file.claims)
    for part in format_of_file.parts(path):
        check_writable(part, (part.suffix,))
    format_of_file.check(path, like if dtype is None else like.of_type(dtype))


def write_image(path: str | Path, data: NDArray[Any], like: ImageFile) -> None:
    """Write an image with the metadata of another one, completely or not at all.

    Parameters
    ----------
    path
        File to write, or folder of OME-Zarr; one of the same format that is there is replaced. TIFF
        keeps all metadata of ``like``, PNG keeps resolution and color profile.
    data
        Values of the shape of ``like.data``.
    like
        Image whose axes and metadata are written.

    Raises
    ------
    FileError
        `check_image` refuses the path, or the operating system does.
    """
    path = Path(path)
    check_image(path, like, data.dtype)
    format_of_file = find_writable_format(path)
    stored = turn_back(data, like.axes, like.orientation) if format_of_file.has_orientation else data
    format_of_file.write(path, stored, like)


def new_image(image: Image) -> ImageFile:
    """Return an image file for a gray image that comes from no file; `write_image` writes it as TIFF, with its axes and distances.

    Parameters
    ----------
    image
        Image with an array of real numbers; of its distances those along X, Y, Z and T are written.
    """
    data = (
        image.data if hasattr(image.data, "dtype") else np.asarray(image.data)
    )  # only shape and type of a lazy one are looked at
    axes = guess_axes(data.shape) if image.axes is None else image.axes
    calibration = None if image.scale is None or image.units is None else (image.scale, image.units)
    return ImageFile(data, axes, new_tags(data.shape, data.dtype, axes, calibration), calibration=calibration)


def _upright(stored: ImageFile) -> ImageFile:
    """Return an image as it is looked at, from how it is stored."""
    if stored.orientation == UPRIGHT:
        return stored
    data = turn_upright(np.asarray(stored.data), stored.axes, stored.orientation)
    return dataclasses.replace(stored, data=data, calibration=stored.turned_calibration)
