"""Tags of an image that comes from no file."""

from __future__ import annotations

from typing import Any

from napari_convgen.files.image_file import Calibration, Tags
from napari_convgen.files.tiff.tags import escaped, is_hyperstack

IMAGEJ_TYPES = "BHf"
"""Types that ImageJ holds: uint8, uint16 and float32."""


def fresh_tags(axes: str, dtype: Any, calibration: Calibration | None) -> Tags:
    """Return the tags of a gray image: ImageJ's, which know its distances, where ImageJ holds it, and otherwise those that name its axes.

    Parameters
    ----------
    axes
        One letter for each axis.
    dtype
        Type of the values.
    calibration
        Distance between neighboring values along each axis, and the unit of each; ``None`` if they are not known.
    """
    tags: dict[str, Any] = {"photometric": "minisblack", "metadata": {"axes": axes}, "iccprofile": None}
    if not is_hyperstack(axes) or dtype.char not in IMAGEJ_TYPES:
        return tags
    tags["imagej"] = True
    if calibration is not None:
        sizes, units = dict(zip(axes, calibration[0], strict=True)), dict(zip(axes, calibration[1], strict=True))
        tags |= {"resolution": (1 / sizes["X"], 1 / sizes["Y"]), "resolutionunit": "NONE"}
        tags["metadata"]["unit"] = escaped(units["X"])
        if "Z" in sizes:
            tags["metadata"]["spacing"] = sizes["Z"]
    return tags
