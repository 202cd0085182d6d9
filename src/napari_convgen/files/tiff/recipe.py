"""Tags of an image that was read from no TIFF file: its pixel size, its units, and the recipe that made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_convgen.core.image import Image
from napari_convgen.files.image_file import RECIPE, ImageFile
from napari_convgen.files.tiff.tags import escaped, is_hyperstack

SYMBOLS = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm", "centimeter": "cm", "meter": "m"}
"""Symbols of units, which ImageJ and OME know, by their names in napari."""

OME_TYPES_OF_NUMBERS = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64")
"""Types of values that OME-TIFF can hold."""


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
        entries = {"unit": escaped(SYMBOLS.get(units["X"], units["X"]))} | (
            {"spacing": scale["Z"]} if "Z" in scale else {}
        )
    if is_hyperstack(axes) and data.dtype.char in ("B" if is_color else "BHf"):
        tags |= {"imagej": True, "metadata": {"axes": axes, "Info": text, **entries}}
    elif is_hyperstack(axes) and not (is_color or is_in_stack) and data.dtype.name in OME_TYPES_OF_NUMBERS:
        places = (
            {f"PhysicalSize{letter}": scale[letter] for letter in "XYZ" if letter in scale} if is_calibrated else {}
        )
        names = {f"{name}Unit": SYMBOLS.get(units[name[-1]], units[name[-1]]) for name in places}
        tags |= {"metadata": None, "description": _ome_text(data, axes, {"Description": text, **places, **names})}
    else:
        tags |= {"metadata": {"axes": axes, "Info": text, **entries}}
    calibration = None if image.scale is None or image.units is None else (image.scale, image.units)
    return ImageFile(data, axes, tags, calibration=calibration, recipe=dict(recipe))


def _ome_text(data: NDArray[Any], axes: str, metadata: Mapping[str, Any]) -> bytes:
    xml = tifffile.OmeXml()
    n_planes = int(np.prod(data.shape[:-2]))
    xml.addimage(data.dtype, data.shape, (n_planes, 1, 1, *data.shape[-2:], 1), axes=axes, **metadata)
    text: bytes = xml.tostring().encode()
    return text


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
