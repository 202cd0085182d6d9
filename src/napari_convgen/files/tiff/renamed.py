"""Axes that the user names, in the metadata of an OME-TIFF file that names others."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from napari_convgen.files.image_file import Tags
from napari_convgen.files.tiff.tags import ome_root, ome_text

COUNTED = "ZCT"
"""Axes of OME beside rows and columns."""

ABOUT = {"Z": ("PhysicalSizeZ", "PhysicalSizeZUnit"), "T": ("TimeIncrement", "TimeIncrementUnit")}
"""Attributes of OME's ``Pixels`` that say something of one of them."""


def with_axes(tags: Tags, shape: Sequence[int], axes: str) -> Tags | None:
    """Return the tags of an OME-TIFF image with other axes; ``None`` if OME has no place for them.

    What the metadata say of single planes, and of axes that are no longer there, is left out; new channels have no name.

    Parameters
    ----------
    tags
        Tags of the image, whose description is OME-XML.
    shape
        Shape of the image.
    axes
        One letter for each axis.
    """
    root = ome_root(tags)
    pixels = None if root is None else root.find("{*}Image/{*}Pixels")
    counted = axes.removesuffix("S").removesuffix("YX")
    if root is None or pixels is None or not axes.removesuffix("S").endswith("YX") or not set(counted) <= set(COUNTED):
        return None
    lengths = dict(zip(axes, shape, strict=True))
    order = counted[::-1] + "".join(letter for letter in COUNTED if letter not in counted)
    n_channels = lengths.get("C", 1)
    sizes = {f"Size{letter}": str(lengths.get(letter, 1)) for letter in COUNTED}
    pixels.attrib |= sizes | {"DimensionOrder": f"XY{order}", "SizeC": str(n_channels * lengths.get("S", 1))}
    for letter in ABOUT.keys() - set(counted):
        for name in ABOUT[letter]:
            pixels.attrib.pop(name, None)
    channels = pixels.findall("{*}Channel")
    for each in (*channels[n_channels:], *pixels.findall("{*}Plane")):
        pixels.remove(each)
    if "S" not in axes:
        for each in channels:
            each.set("SamplesPerPixel", "1")
    namespace = pixels.tag.removesuffix("Pixels")
    for number in range(len(channels), n_channels):
        new = ElementTree.Element(f"{namespace}Channel", ID=f"Channel:0:{number}", SamplesPerPixel="1")
        pixels.insert(number, new)
    return {**tags, "description": ome_text(root)}
