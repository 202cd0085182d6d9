"""The distance between pixels, as TIFF files store it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from napari_convgen.files.image_file import Calibration

SPACE = "XYZ"
UNCALIBRATED = 1.0, "pixel"
"""Distance and unit along an axis that has none."""


def imagej_calibration(resolution: Any, metadata: Mapping[str, Any], axes: str) -> Calibration | None:
    """Return the calibration of an ImageJ file; ``None`` if it has none.

    Parameters
    ----------
    resolution
        Number of pixels for each unit, along X and Y, each as numerator and denominator; ``None`` if the file has none.
    metadata
        Entries of ImageJ's description: ``unit``, and ``spacing`` of the slices.
    axes
        One letter for each axis.
    """
    unit = metadata.get("unit")
    if resolution is None or not unit or unit == "pixel":
        return None
    unit = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda code: chr(int(code[1], 16)), str(unit))  # ImageJ's text is ASCII
    x, y = (denominator / numerator for numerator, denominator in resolution)
    return _along(axes, {"X": x, "Y": y, "Z": float(metadata.get("spacing", 1.0))}, dict.fromkeys(SPACE, unit))


def ome_calibration(description: bytes, axes: str) -> Calibration | None:
    """Return the calibration of an OME-TIFF file; ``None`` if it has none.

    Parameters
    ----------
    description
        OME-XML.
    axes
        One letter for each axis.

    References
    ----------
    OME model, ``Pixels``: ``PhysicalSizeX`` and so on, in ``PhysicalSizeXUnit``, by default micrometers.
    """
    element = ElementTree.fromstring(description).find("{*}Image/{*}Pixels")
    pixels = {} if element is None else element.attrib
    sizes = {letter: float(pixels[f"PhysicalSize{letter}"]) for letter in SPACE if f"PhysicalSize{letter}" in pixels}
    if not sizes:
        return None
    return _along(axes, sizes, {letter: pixels.get(f"PhysicalSize{letter}Unit", "µm") for letter in sizes})


def _along(axes: str, sizes: Mapping[str, float], units: Mapping[str, str]) -> Calibration:
    known = [(sizes[letter], units[letter]) if letter in sizes else UNCALIBRATED for letter in axes]
    return tuple(size for size, _ in known), tuple(unit for _, unit in known)
