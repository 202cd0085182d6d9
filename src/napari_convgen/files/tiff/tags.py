"""What a TIFF file says beside its values, as the keyword arguments with which `tifffile` writes it again."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_convgen.core.image import ArrayLike
from napari_convgen.files.image_file import Tags
from napari_convgen.files.tiff.gray_values import tags_of_values

IMAGEJ_AXES = "TZCYXS"
"""Axes of an ImageJ hyperstack, in the only order that ImageJ allows."""

OME_TYPES = {"float32": "float", "float64": "double", "bool": "bit"}
"""Names that OME has for types of values, where they are not numpy's."""

PLAIN_KINDS = ("uniform", "generic", "shaped")
"""Names of tifffile for TIFF files without a vendor's format, whose description is free text."""


def is_ome(tags: Tags) -> bool:
    """Return True if images are written as OME-TIFF with these tags."""
    return (tags.get("description") or b"").rstrip().endswith(b"OME>")


def ome_root(tags: Tags) -> ElementTree.Element | None:
    """Return the metadata of images that are written as OME-TIFF with these tags; ``None`` for others, and for damaged metadata."""
    if not is_ome(tags):
        return None
    try:
        return ElementTree.fromstring(tags["description"])
    except ElementTree.ParseError:
        return None


def tags_of_type(tags: Tags, dtype: np.dtype[Any]) -> Tags:
    """Return the tags of an image for values of a type, which may be another one than in the file that was read."""
    if tags.get("photometric") == "palette" and dtype.kind != "u":
        tags = {name: tag for name, tag in tags.items() if name != "colormap"} | {"photometric": "minisblack"}
    root, name = ome_root(tags), OME_TYPES.get(dtype.name, dtype.name)
    if root is None:
        return tags_of_values(tags, dtype)
    others = [each for each in root.iterfind("{*}Image/{*}Pixels") if each.attrib.get("Type") != name]
    for pixels in others:
        pixels.attrib["Type"] = name
        pixels.attrib.pop("SignificantBits", None)
    return {**tags, "description": ome_text(root)} if others else tags


def layout_letters(letters: str, shape: Sequence[int], is_color: bool) -> str:
    """Return the letters of a file without repetition; those without a meaning become letters that count frames."""
    if "S" in letters and not (is_color and shape[letters.index("S")] in (3, 4)):
        letters = letters.replace("S", "?" if "C" in letters else "C")
    if "S" in letters:
        letters = letters.replace("C", "?")
    free = iter(free_letters(letters))
    return "".join(
        letter if letter.isalpha() and letter not in letters[:i] else next(free) for i, letter in enumerate(letters)
    )


def free_letters(letters: str) -> list[str]:
    """Return the letters that count frames and are not among ``letters``."""
    return [letter for letter in dict.fromkeys("QIRPA" + string.ascii_uppercase) if letter not in letters + "CSTXYZ"]


def page_tags(page: tifffile.TiffPage, letters: str, is_color: bool) -> dict[str, Any]:
    """Return the tags that every TIFF page can have, for an image with these axes."""
    tags: dict[str, Any] = {"photometric": "rgb" if is_color else "minisblack"}
    if "S" in letters:
        tags["planarconfig"] = "contig" if letters.endswith("S") else "separate"
        tags["extrasamples"] = page.extrasamples or None
    elif page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        tags["photometric"] = "miniswhite"
    elif page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        tags |= {"photometric": "palette", "colormap": page.colormap}
    resolution = page.tags.valueof("XResolution"), page.tags.valueof("YResolution")
    if all(value and all(value) for value in resolution):
        tags |= {"resolution": resolution, "resolutionunit": page.resolutionunit}
    if page.compression != tifffile.COMPRESSION.NONE:
        tags["compression"] = "zlib"
    return tags | {"iccprofile": page.tags.valueof("InterColorProfile")}


def format_tags(
    file: tifffile.TiffFile, number: int, data: ArrayLike, own_axes: str, axes: str | None
) -> dict[str, Any]:
    """Return the tags of the file's format.

    Parameters
    ----------
    file
        Open file.
    number
        Number of the image among those of the file.
    data, own_axes
        Values of the image, and its axes; there may be another number of samples than in the file.
    axes
        Axes that replace these, if the format can store them; ``None`` to keep them.
    """
    series = file.series[number]
    if series.kind == "imagej" and is_hyperstack(own_axes) and not ("S" in own_axes and data.dtype != np.uint8):
        return _imagej_tags(file.imagej_metadata or {}, own_axes, axes)
    is_as_stored = own_axes == series.axes and tuple(data.shape) == tuple(series.shape)
    if series.kind == "ome" and is_as_stored and (description := _ome_of_image(file, number)):
        return {"bigtiff": file.is_bigtiff, "metadata": None, "description": description}
    page = series.keyframe
    tags: dict[str, Any] = {"bigtiff": file.is_bigtiff, "metadata": None}
    if series.kind == "shaped" and file.shaped_metadata and len(file.shaped_metadata) == len(file.series):
        tags["metadata"] = {k: v for k, v in file.shaped_metadata[number].items() if k not in ("shape", "truncated")}
        if own_axes != series.axes:
            tags["metadata"]["axes"] = own_axes
    if axes or series.kind not in PLAIN_KINDS:
        tags["metadata"] = (tags["metadata"] or {}) | {"axes": axes or own_axes}
    if series.kind in PLAIN_KINDS and page.description != page.shaped_description:
        tags["description"] = page.description.encode() or None
    return tags


def _imagej_tags(metadata: Mapping[str, Any], own_axes: str, axes: str | None) -> dict[str, Any]:
    entries = {name: value if name in ("Info", "Labels") else escaped(value) for name, value in metadata.items()}
    can_hold = axes is not None and is_hyperstack(axes) and ("S" in axes) == ("S" in own_axes)
    return {"imagej": True, "metadata": entries | {"axes": axes if can_hold else own_axes}}


def is_hyperstack(axes: str) -> bool:
    """Return True if ImageJ can hold these axes."""
    return "YX" in axes and axes == "".join(letter for letter in IMAGEJ_AXES if letter in axes)


def escaped(value: Any) -> Any:
    r"""Write text as ImageJ's description does: ``µm`` as ``\u00B5m``."""
    return "".join(c if c.isascii() else f"\\u{ord(c):04X}" for c in value) if isinstance(value, str) else value


def _ome_of_image(file: tifffile.TiffFile, number: int) -> bytes | None:
    """Return a file's OME-XML reduced to one image, its planes in order; ``None`` if that is not clear."""
    root = ElementTree.fromstring(file.ome_metadata or "")
    namespace = root.tag.partition("}")[0].lstrip("{")
    series, images = file.series[number], root.findall("{*}Image")
    images_of_name = [
        image for image in images if image.get("Name", "") == series.name
    ]  # others can be in files that are not there
    series_of_name = [each for each in file.series if each.name == series.name]
    chosen = images_of_name[series_of_name.index(series)] if len(images_of_name) == len(series_of_name) else None
    if chosen is None or (pixels := chosen.find("{*}Pixels")) is None:
        return None
    for image in images:
        if image is not chosen:
            root.remove(image)
    root.attrib.pop("UUID", None)  # it names the file that was read
    blocks = pixels.findall("{*}TiffData")
    position = list(pixels).index(blocks[0])
    for block in blocks:
        pixels.remove(block)
    n_planes = int(np.prod(series.shape)) // int(np.prod(series.keyframe.shape))
    pixels.insert(position, ElementTree.Element(f"{{{namespace}}}TiffData", IFD="0", PlaneCount=str(n_planes)))
    return ome_text(root)


def ome_text(root: ElementTree.Element) -> bytes:
    """Return OME-XML as text."""
    ElementTree.register_namespace("", root.tag.partition("}")[0].lstrip("{"))
    xml: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml
