"""Stacks of images that belong together, such as those of a fit's steps, as one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.errors import FileError
from napari_convgen.files.atomic import check_writable, replacing
from napari_convgen.files.formats import find_writable_format
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.images import check_image, write_image
from napari_convgen.files.orientation import UPRIGHT, turn_back
from napari_convgen.files.tiff import FORMAT, writing


def check_stack(path: str | Path, like: ImageFile) -> None:
    """Refuse a path to which `write_stack` could not write, before any work is done for it.

    Parameters
    ----------
    path
        File to be written later; nothing is left there.
    like
        Image with the shape, type and axes of each of the images.

    Raises
    ------
    FileError
        The format cannot hold a stack of such images, or the folder is missing or does not allow new files.
    """
    path = Path(path)
    if _is_plain_tiff(path):
        check_writable(path, FORMAT.suffixes)
    else:
        check_image(path, _counted(path, like, "image", [1]))


def write_stack(
    path: str | Path, images: Sequence[NDArray[Any]], what: str, names: Sequence[int | str], like: ImageFile
) -> None:
    """Write images that belong together as one stack, completely or not at all.

    In TIFF, each plane is labeled with the name of its image if ImageJ's format can hold the stack; its description lists the names.
    OME-TIFF, OME-Zarr and NIfTI count the images along the time axis, or along the channels if the images have a time axis, and list
    the names in the recipe.

    Parameters
    ----------
    path
        File to write, of a format that can hold another axis.
    images
        Images of the shape of ``like.data``, all of the same dtype.
    what
        Word for what the first axis counts: with ``"step"``, the labels are ``step 1`` and so on, and the list of names is ``steps``.
    names
        Name of each image.
    like
        Image whose axes and pixel size are written.

    Raises
    ------
    FileError
        `check_stack` refuses the path, or the operating system does.
    """
    path = Path(path)
    check_stack(path, like)
    if not _is_plain_tiff(path):
        write_image(path, np.stack(images), _counted(path, like.of_type(images[0].dtype), what, names))
        return
    with replacing(path) as file:
        stored = [turn_back(image, like.axes, like.orientation) for image in images]
        writing.write_tiff(file, np.stack(stored), writing.stack_tags(like, stored[0], what, names))


def _is_plain_tiff(path: Path) -> bool:
    return find_writable_format(path) is FORMAT and not writing.is_ome_name(path)


def _counted(path: Path, like: ImageFile, what: str, names: Sequence[int | str]) -> ImageFile:
    """Return what the file of a stack is like, whose first axis counts images.

    Raises
    ------
    FileError
        The images have a time axis and channels: no axis is free.
    """
    letter = next(
        (letter for letter in "TC" if letter not in like.axes and not (letter == "C" and "S" in like.axes)), None
    )
    if letter is None:
        raise FileError(
            f"{path} has no free axis for the {what}s of an image with the axes {like.axes}. Write a .tif instead."
        )
    calibration = like.calibration and ((1.0, *like.calibration[0]), ("pixel", *like.calibration[1]))
    return replace(
        like,
        data=np.broadcast_to(np.zeros((), like.data.dtype), (len(names), *like.data.shape)),
        axes=letter + like.axes,
        tiff={},
        png={},
        calibration=calibration,
        orientation=UPRIGHT,
        header=None,
        recipe={**(like.recipe or {}), f"{what}s": list(names)},
    )
