"""Distances between pixels in micrometers, from those of an image in the units of its file or layer."""

from __future__ import annotations

import math
from collections.abc import Mapping

from napari_convgen.core.image.image import Image

MICROMETERS: Mapping[str, float] = {
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
    **dict.fromkeys(("µm", "μm", "um", "micron", "micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("å", "angstrom"), 1e-4),
    **dict.fromkeys(("in", "inch"), 25_400.0),
}
"""Number of micrometers in a unit of length, by its names in ImageJ, OME and napari, in lower case and without a plural's s."""


def distances(image: Image, axes: str) -> Mapping[str, float]:
    """Return the distance between neighboring pixels along each axis whose distance is known, in micrometers.

    Parameters
    ----------
    image
        Image, which may know its scale and units.
    axes
        One letter for each of its axes.
    """
    if image.scale is None or image.units is None or not len(image.scale) == len(image.units) == len(axes):
        return {}
    known = {letter: abs(d) * micrometers(unit) for letter, d, unit in zip(axes, image.scale, image.units, strict=True)}
    return {letter: float(d) for letter, d in known.items() if 0 < d < math.inf}


def micrometers(unit: str) -> float:
    """Return the number of micrometers in a unit; ``nan`` if it is not known, or no unit of length."""
    name = unit.strip().lower()
    return MICROMETERS.get(name.removesuffix("s").replace("inche", "inch") if len(name) > 2 else name, math.nan)
