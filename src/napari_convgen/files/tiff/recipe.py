"""Tags of an image that was read from no TIFF file: its pixel size, its units, and the recipe that made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_convgen.core.image import Image
from napari_convgen.files.image_file import RECIPE, ImageFile
from napari_convgen.files.tiff.calibration import imagej_distances
from napari_convgen.files.tiff.new import new_tags, recipe_text
from napari_convgen.files.tiff.tags import is_hyperstack, is_ome


def as_file(image: Image, recipe: Mapping[str, Any], is_in_stack: bool = False) -> ImageFile:
    """Return an image as it is written to a TIFF file: as an ImageJ hyperstack where that can hold it, or else as OME-TIFF.

    Other formats take its axes, distances, units and recipe from it.

    Parameters
    ----------
    image
        Image with its axes, distances and units.
    recipe
        Plain values that are written along: how the image was made.
    is_in_stack
        True for an image that becomes part of a stack, see `napari_convgen.files.stack`, whose axes OME-TIFF does not know; by default
        False.
    """
    axes, data = image.axes or "", np.asarray(image.data)
    calibration = None if image.scale is None or image.units is None else (image.scale, image.units)
    tags = {**new_tags(data.shape, data.dtype, axes, calibration, recipe), "iccprofile": None}
    can_be_imagej = is_hyperstack(axes) and data.dtype.char in ("B" if "S" in axes else "BHf")
    if can_be_imagej or not is_ome(tags) or is_in_stack:
        tags.pop("description", None)
        tags["metadata"] = {"axes": axes, "Info": recipe_text(recipe)}
        if calibration is not None:
            distances, entries = imagej_distances(axes, *calibration)
            tags, tags["metadata"] = tags | distances, tags["metadata"] | entries
    if can_be_imagej:
        tags["imagej"] = True
    return ImageFile(data, axes, tags, calibration=calibration, recipe=dict(recipe))


def read_recipe(path: Path) -> Any:
    """Return the recipe in a TIFF file that this program has written; raises any exception if it has none."""
    with tifffile.TiffFile(path) as file:
        described = [file.imagej_metadata or {}, *(file.shaped_metadata or ())]
        texts = [each["Info"] for each in described if "Info" in each]
        if file.is_ome:
            root = ElementTree.fromstring(file.ome_metadata or "")
            texts += [each.text or "" for each in root.iterfind("{*}Image/{*}Description")]
    infos = [json.loads(text) for text in texts]
    return next(info[RECIPE] for info in infos if RECIPE in info)
