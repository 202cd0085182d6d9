"""The distance between pixels, and the time between frames, as TIFF files store them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from napari_convgen.files.image_file import Calibration
from napari_convgen.files.tiff.tags import escaped
from napari_convgen.files.units import TIMES, in_unit, symbol_of

UNCALIBRATED = 1.0, "pixel"
"""Distance and unit along an axis that has none."""

OME_SIZES = {
    "X": ("PhysicalSizeX", "µm"),
    "Y": ("PhysicalSizeY", "µm"),
    "Z": ("PhysicalSizeZ", "µm"),
    "T": ("TimeIncrement", "s"),
}
"""Attribute of OME's ``Pixels`` with the distance along each axis, and its unit if the attribute with ``Unit`` behind is missing."""


def imagej_calibration(resolution: Any, metadata: Mapping[str, Any], axes: str) -> Calibration | None:
    """Return the calibration of an ImageJ file; ``None`` if it has none.

    Parameters
    ----------
    resolution
        Number of pixels for each unit, along X and Y, each as numerator and denominator; ``None`` if the file has none.
    metadata
        Entries of ImageJ's description: ``unit``, with ``yunit`` and ``zunit`` where these are others, ``spacing`` of the slices,
        ``finterval`` between frames, and its ``tunit``, by default seconds.
    axes
        One letter for each axis.
    """
    units = {
        name: _unescaped(str(metadata[name])) for name in ("unit", "yunit", "zunit", "tunit") if metadata.get(name)
    }
    known, unit = {}, units.get("unit", "pixel")
    if resolution is not None and unit != "pixel":
        x, y = (denominator / numerator for numerator, denominator in resolution)
        z = float(metadata.get("spacing", 1.0))
        known = {"X": (x, unit), "Y": (y, units.get("yunit", unit)), "Z": (z, units.get("zunit", unit))}
    known["T"] = float(metadata.get("finterval", 0)), units.get("tunit", "s")
    return _along(axes, known)


def imagej_distances(axes: str, scale: Sequence[float], units: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return distances as ImageJ stores them: tags, and entries of the description; none for those that are not known.

    All of space gets the unit of X, the only one that most programs read.

    Parameters
    ----------
    axes
        One letter for each axis.
    scale, units
        Distance between neighboring values along each axis, and the unit of each.
    """
    tags: dict[str, Any] = {}
    entries: dict[str, Any] = {}
    given = {letter: (abs(d), unit) for letter, d, unit in zip(axes, scale, units, strict=False)}
    unit = symbol_of(given.get("X", UNCALIBRATED)[1])
    lengths = {letter: in_unit(*given[letter], unit) for letter in "XYZ" if letter in given}
    known = {letter: d for letter, d in lengths.items() if 0 < d < math.inf}
    if unit != "pixel" and {"X", "Y"} <= set(known):
        tags = {"resolution": (1 / known["X"], 1 / known["Y"]), "resolutionunit": "NONE"}
        entries = {"unit": escaped(unit)}
        if "Z" in lengths:
            entries |= {"spacing": known["Z"]} if "Z" in known else {"zunit": "pixel"}  # ImageJ takes none for 1 unit
    interval, unit = given.get("T", UNCALIBRATED)
    if symbol_of(unit) in TIMES and 0 < interval < math.inf:
        entries |= {"finterval": interval, "tunit": escaped(symbol_of(unit))}
    return tags, entries


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
    OME model, ``Pixels``: ``PhysicalSizeX`` and so on, in ``PhysicalSizeXUnit``, by default micrometers; ``TimeIncrement``, in
    ``TimeIncrementUnit``, by default seconds.
    """
    element = ElementTree.fromstring(description).find("{*}Image/{*}Pixels")
    pixels = {} if element is None else element.attrib
    return _along(
        axes,
        {
            letter: (float(pixels[name]), pixels.get(f"{name}Unit", unit))
            for letter, (name, unit) in OME_SIZES.items()
            if name in pixels
        },
    )


def ome_distances(axes: str, scale: Sequence[float], units: Sequence[str]) -> dict[str, float | str]:
    """Return distances as attributes of OME's ``Pixels``, see `imagej_distances`; each keeps its unit, and ``pixel`` is one of OME's."""
    entries: dict[str, float | str] = {}
    for letter, distance, unit in zip(axes, map(abs, scale), map(symbol_of, units), strict=False):
        has_place = letter in "XYZ" if unit not in TIMES else letter == "T"
        if has_place and (distance, unit) != UNCALIBRATED and 0 < distance < math.inf:
            name, _ = OME_SIZES[letter]
            entries |= {name: distance, f"{name}Unit": unit}
    return entries


def _unescaped(text: str) -> str:
    """Return text of ImageJ's description, which is ASCII, with its other characters."""
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda code: chr(int(code[1], 16)), text)


def _along(axes: str, known: Mapping[str, tuple[float, str]]) -> Calibration | None:
    """Return the distance and the unit along each axis; ``None`` if not one is known."""
    known = {letter: each for letter, each in known.items() if letter in axes and 0 < each[0] < math.inf}
    along = [known.get(letter, UNCALIBRATED) for letter in axes]
    return (tuple(d for d, _ in along), tuple(unit for _, unit in along)) if known else None
