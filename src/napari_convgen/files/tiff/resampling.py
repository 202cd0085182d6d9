"""What a TIFF file says of its pixels, where an image like it has more of them, or fewer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_convgen.files.image_file import Tags
from napari_convgen.files.tiff.tags import ome_root, ome_text

PIXEL_PLACES = ("ROI", "Overlays")
"""Entries of ImageJ that draw on certain pixels."""


def resampled_tags(tags: Tags, ratios: Mapping[str, float], n_pixels: Mapping[str, int], n_samples: int | None) -> Tags:
    """Return the tags of an image like another one with more or fewer pixels in the same place.

    Parameters
    ----------
    tags
        Tags of the other image.
    ratios
        Number of pixels in one of the other image, by the letter of the axis; those that are left out are 1.
    n_pixels
        Number of pixels along each axis, by its letter.
    n_samples
        Number of color samples; ``None`` if there are none.
    """
    new = dict(tags)
    if n_samples == 3:
        new["extrasamples"] = None
    if not ratios:
        return new
    if "resolution" in tags:
        new["resolution"] = tuple(
            ratios.get(letter, 1) * _number(value) for letter, value in zip("XY", tags["resolution"], strict=True)
        )
    if tags.get("imagej"):
        new["metadata"] = _imagej_entries(tags["metadata"], ratios)
    elif (root := ome_root(tags)) is not None:
        _resample_ome(root, ratios, n_pixels)
        new["description"] = ome_text(root)
    return new


def _number(value: Any) -> float:
    """Return a resolution as a number, from a numerator and a denominator."""
    return value[0] / value[1] if isinstance(value, tuple) else float(value)


def _imagej_entries(entries: Mapping[str, Any], ratios: Mapping[str, float]) -> dict[str, Any]:
    """Return ImageJ's entries with the distance of planes and the origin in pixels; what is tied to pixels or planes is left out."""
    lost = PIXEL_PLACES + ("Labels",) * ("Z" in ratios)
    kept = {name: value for name, value in entries.items() if name not in lost}
    for name, letter in (("xorigin", "X"), ("yorigin", "Y"), ("zorigin", "Z")):
        if name in kept:
            kept[name] = ratios.get(letter, 1) * float(kept[name])
    if "spacing" in kept:
        kept["spacing"] = float(kept["spacing"]) / ratios.get("Z", 1)
    return kept


def _resample_ome(root: Any, ratios: Mapping[str, float], n_pixels: Mapping[str, int]) -> None:
    """Change the OME metadata of an image; what is tied to pixels or planes is left out."""
    pixels = root.find("{*}Image/{*}Pixels")
    n_planes = int(pixels.attrib["SizeZ"])
    for letter, ratio in ratios.items():
        pixels.attrib[f"Size{letter}"] = str(n_pixels[letter])
        if (size := pixels.attrib.get(f"PhysicalSize{letter}")) is not None:
            pixels.attrib[f"PhysicalSize{letter}"] = repr(float(size) / ratio)
    if "Z" in ratios:
        for plane in pixels.findall("{*}Plane"):
            pixels.remove(plane)
        for block in pixels.findall("{*}TiffData"):
            block.attrib["PlaneCount"] = str(int(block.attrib["PlaneCount"]) * n_pixels["Z"] // n_planes)
    for parent in (root, *root.findall("{*}Image")):
        for drawn in (*parent.findall("{*}ROI"), *parent.findall("{*}ROIRef")):
            parent.remove(drawn)
