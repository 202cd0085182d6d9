"""Tags of TIFF files for images that were read from files of other formats."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tifffile
from numpy.typing import DTypeLike

from napari_convgen.files.image_file import RECIPE, Calibration, Recipe, Tags
from napari_convgen.files.tiff.calibration import imagej_distances, ome_distances
from napari_convgen.files.tiff.tags import IMAGEJ_AXES, OME_TYPES

OME_NAMES = (*(f"{kind}{n}" for kind in ("int", "uint") for n in (8, 16, 32)), "complex64", "complex128", *OME_TYPES)
"""Types of values that OME-TIFF files hold."""


def new_tags(
    shape: Sequence[int],
    dtype: DTypeLike,
    axes: str,
    calibration: Calibration | None = None,
    recipe: Recipe | None = None,
) -> Tags:
    """Return the tags for an image: those of OME-TIFF, or of a plain file where OME has no such axes or type; with its distances and units.

    Parameters
    ----------
    shape, dtype
        Shape and type of the image.
    axes
        One letter for each axis.
    calibration
        Distance between neighboring values along each axis, and the unit of each; ``None``, the default, if it is not known.
    recipe
        Plain values on how the image was made; ``None``, the default, for none.
    """
    tags: dict[str, Any] = {"photometric": "rgb" if "S" in axes else "minisblack", "metadata": None}
    if "S" in axes:
        tags["planarconfig"] = "contig" if axes.endswith("S") else "separate"
        tags["extrasamples"] = ("unassalpha",) if shape[axes.index("S")] == 4 else None
    if not _has_ome(axes, np.dtype(dtype)):
        distances, apart = ({}, {}) if calibration is None else imagej_distances(axes, *calibration)
        described = {"axes": axes, **({} if recipe is None else {"Info": recipe_text(recipe)}), **apart}
        return tags | distances | {"metadata": described}
    entries: dict[str, float | str] = {} if recipe is None else {"Description": recipe_text(recipe)}
    entries |= {} if calibration is None else ome_distances(axes, *calibration)
    description = tifffile.OmeXml()
    n_rows, n_columns = shape[axes.index("Y") :][:2]
    n_samples = shape[axes.index("S")] if "S" in axes else 1
    n_planes = math.prod(shape) // (n_rows * n_columns * n_samples)
    n_separate, n_together = (n_samples, 1) if axes.endswith("SYX") else (1, n_samples)
    stored = (n_planes, n_separate, 1, n_rows, n_columns, n_together)
    description.addimage(dtype, tuple(shape), stored, axes=axes, **entries)
    return tags | {"description": description.tostring(declaration=True).encode()}


def recipe_text(recipe: Recipe) -> str:
    """Return how an image was made as the text that a file carries."""
    return json.dumps({RECIPE: dict(recipe)})


def _has_ome(axes: str, dtype: np.dtype[Any]) -> bool:
    """Return True if OME-TIFF has these axes, with color in its pixels, in its planes or in channels, and values of this type."""
    is_known = axes.endswith(("YX", "YXS")) and set(axes) <= set(IMAGEJ_AXES) and not {"C", "S"} <= set(axes)
    return is_known and "S" not in axes[:-3] and dtype.name in OME_NAMES
