"""Tags of TIFF files for images that were read from files of other formats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tifffile
from numpy.typing import DTypeLike

from napari_convgen.files.image_file import Calibration, Tags
from napari_convgen.files.tiff.tags import IMAGEJ_AXES, OME_TYPES
from napari_convgen.files.units import symbol_of

OME_NAMES = (*(f"{kind}{n}" for kind in ("int", "uint") for n in (8, 16, 32)), "complex64", "complex128", *OME_TYPES)
"""Types of values that OME-TIFF files hold."""


def new_tags(shape: Sequence[int], dtype: DTypeLike, axes: str, calibration: Calibration | None = None) -> Tags:
    """Return the tags for an image: those of OME-TIFF, with its distances and units, or of a plain file where OME has no such axes or type.

    Parameters
    ----------
    shape, dtype
        Shape and type of the image.
    axes
        One letter for each axis.
    calibration
        Distance between neighboring values along each axis, and the unit of each; ``None``, the default, if it is not known.
    """
    tags: dict[str, Any] = {"photometric": "rgb" if "S" in axes else "minisblack", "metadata": None}
    if "S" in axes:
        tags["planarconfig"] = "contig" if axes.endswith("S") else "separate"
        tags["extrasamples"] = ("unassalpha",) if shape[axes.index("S")] == 4 else None
    if not (axes.endswith("YX") and set(axes) <= set(IMAGEJ_AXES[:-1])) or np.dtype(dtype).name not in OME_NAMES:
        return tags | {"metadata": {"axes": axes}}
    distances: dict[str, float | str] = {}
    for letter, distance, unit in zip(axes, *(calibration or ((), ())), strict=False):
        if letter in "XYZ" and unit != "pixel" and 0 < distance < math.inf:
            distances |= {f"PhysicalSize{letter}": distance, f"PhysicalSize{letter}Unit": symbol_of(unit)}
    description = tifffile.OmeXml()
    n_planes = math.prod(shape[: axes.index("Y")])
    description.addimage(dtype, tuple(shape), (n_planes, 1, 1, shape[-2], shape[-1], 1), axes=axes, **distances)
    return tags | {"description": description.tostring(declaration=True).encode()}
