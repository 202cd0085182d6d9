"""Stacks of images that belong together, such as those of a fit's steps, as one TIFF file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.files.atomic import check_writable, replacing
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.orientation import turn_back
from napari_convgen.files.tiff import FORMAT, writing


def check_stack(path: str | Path) -> None:
    """Refuse a path to which `write_stack` could not write, before any work is done for it.

    Parameters
    ----------
    path
        File to be written later; nothing is left there.

    Raises
    ------
    FileError
        The name does not end like that of a TIFF file, or the folder is missing or does not allow new files.
    """
    check_writable(path, FORMAT.suffixes)
    writing.refuse_ome_name(path)


def write_stack(
    path: str | Path, images: Sequence[NDArray[Any]], what: str, names: Sequence[int | str], like: ImageFile
) -> None:
    """Write images that belong together as one TIFF stack, completely or not at all.

    If ImageJ's format can hold the stack, each plane is labeled with the name of its image. The description lists the names too.

    Parameters
    ----------
    path
        File to write, ending in ``.tif`` or ``.tiff``.
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
    check_stack(path)
    with replacing(path) as file:
        stored = [turn_back(image, like.axes, like.orientation) for image in images]
        writing.write_tiff(file, np.stack(stored), writing.stack_tags(like.tiff, like.axes, stored[0], what, names))
