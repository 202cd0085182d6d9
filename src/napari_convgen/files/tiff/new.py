"""Tags of an image that was read from no TIFF file: its pixel size, its units, and the recipe that made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_convgen.core.image import Image
from napari_convgen.errors import FileError
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.tiff.tags import escaped, is_hyperstack

RECIPE = "convgen"
"""Key of the recipe in the description of a TIFF file; ImageJ shows it in *Image → Show Info*."""


def as_file(image: Image, recipe: Mapping[str, Any]) -> ImageFile:
    """Return an image as it is written to a TIFF file: as an ImageJ hyperstack where that can hold it.

    Parameters
    ----------
    image
        Image with its axes, distances and units.
    recipe
        Plain values that are written along: how the image was made.
    """
    axes, data = image.axes or "", np.asarray(image.data)
    is_color = "S" in axes
    text = json.dumps({RECIPE: dict(recipe)})
    scale = dict(zip(axes, image.scale or (), strict=False))
    units = dict(zip(axes, image.units or (), strict=False))
    tags: dict[str, Any] = {"photometric": "rgb" if is_color else "minisblack", "iccprofile": None}
    if is_color:
        tags |= {"planarconfig": "contig", "extrasamples": ["unassalpha"] if data.shape[-1] == 4 else None}
    is_calibrated = units.get("X", "pixel") != "pixel" and all(scale[letter] > 0 for letter in "XY" if letter in scale)
    entries: dict[str, Any] = {}
    if is_calibrated and "Y" in scale:
        tags |= {"resolution": (1 / scale["X"], 1 / scale["Y"]), "resolutionunit": "NONE"}
        entries = {"unit": escaped(units["X"])} | ({"spacing": scale["Z"]} if "Z" in scale else {})
    if is_hyperstack(axes) and data.dtype.char in ("B" if is_color else "BHf"):
        tags |= {"imagej": True, "metadata": {"axes": axes, "Info": text, **entries}}
    else:
        tags |= {"metadata": {"axes": axes, "Info": text, **entries}}
    return ImageFile(data, axes, tags)


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Return the recipe of a TIFF file that this program has written.

    Raises
    ------
    FileError
        The file cannot be read, or has none.
    """
    try:
        with tifffile.TiffFile(path) as file:
            described = [file.imagej_metadata or {}, *(file.shaped_metadata or ())]
        infos = [json.loads(each["Info"]) for each in described if "Info" in each]
        recipe: dict[str, Any] = next(info[RECIPE] for info in infos if RECIPE in info)
    except (OSError, ValueError, StopIteration, TypeError) as error:
        raise FileError(f"{path} has no settings of a run. Choose a file that this program has written.") from error
    return recipe
