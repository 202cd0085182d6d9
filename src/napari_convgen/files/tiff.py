"""TIFF files: what `tifffile` says of one, in the words with which it writes such a file again."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_convgen.core.image import Layout

IMAGEJ_AXES = "TZCYXS"
"""The axes of an ImageJ hyperstack, in the only order that it has."""

PLAIN_KINDS = ("uniform", "generic", "shaped")
"""What tifffile calls files of no maker's own format; their description is free text."""

STACK_TAGS = (
    "photometric",
    "planarconfig",
    "extrasamples",
    "resolution",
    "resolutionunit",
    "compression",
    "iccprofile",
)
"""What a stack of images has in common with the image that they are of."""

Tags = Mapping[str, Any]
"""Keyword arguments of `tifffile.imwrite`."""


def read_tiff(path: Path, axes: str | None) -> tuple[NDArray[Any], str, Tags, tuple[str, ...]]:
    """Read the first image of a TIFF file.

    Parameters
    ----------
    path
        Plain, multi-page, ImageJ, OME or BigTIFF.
    axes
        Letters that overrule the file's own.

    Returns
    -------
    tuple
        Values, axes as `napari_convgen.core.image.Layout` wants them, tags, and notes for the user.

    Raises
    ------
    InputError
        ``axes`` do not fit the image.
    """
    with tifffile.TiffFile(path) as file:
        series, n_images = file.series[0], len(file.series)
        data, page = series.asarray(), series.keyframe
        is_color = page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
        if axes is None:
            letters = _layout_letters(series.axes, data.shape, is_color)
        else:
            letters = axes = Layout.of(data.shape, axes).axes
        tags = _page_tags(page, series.axes, is_color) | _format_tags(file, series, axes)
    notes = (f"{path} holds {n_images} images; only the first is used.",) if n_images > 1 else ()
    return data, letters, tags, notes


def write_tiff(file: BinaryIO, data: NDArray[Any], tags: Tags) -> None:
    """Write an array with the tags of a file whose image has its shape and dtype."""
    tifffile.imwrite(file, data, software="napari-convgen", ome=False, **tags)


def is_ome(tags: Tags) -> bool:
    """Whether images are written as OME-TIFF with these tags."""
    return (tags.get("description") or b"").rstrip().endswith(b"OME>")


def stack_tags(tags: Tags, axes: str, image: NDArray[Any], what: str, names: Sequence[int | str]) -> Tags:
    """Return the tags of a stack of images that belong together, such as those of a fit's steps.

    ImageJ's format is used where it can hold the stack: its time axis counts the images, and each plane is labeled with the
    name of its own. Otherwise the names are in the JSON of the description.

    Parameters
    ----------
    tags, axes
        Of the file that the images are like.
    image
        Any of the images.
    what
        Word for what the stack counts, such as ``"step"``.
    names
        Of the images.
    """
    kept = {name: tags[name] for name in STACK_TAGS if name in tags}
    if kept["photometric"] == "palette":
        kept["photometric"] = "minisblack"
    counted = [letter for letter in axes if letter not in "CYXS"]
    hyperstack = "T" + (axes.replace(counted[0], "Z") if len(counted) == 1 else axes)
    if not _is_hyperstack(hyperstack) or image.dtype.char not in ("B" if "S" in axes else "BHf"):
        return kept | {"metadata": {"axes": _free_letters(axes)[0] + axes, f"{what}s": list(names)}}
    calibration, words = _imagej_calibration(tags)
    n_planes = int(np.prod([n for n, letter in zip(image.shape, axes, strict=True) if letter not in "YXS"]))
    labels = [f"{what} {name}" for name in names for _ in range(n_planes)]
    metadata = words | {"axes": hyperstack, "Labels": labels, f"{what}s": json.dumps(names)}
    return kept | calibration | {"imagej": True, "metadata": metadata}


def _layout_letters(letters: str, shape: Sequence[int], is_color: bool) -> str:
    """Turn a file's letters into different ones; those that say nothing become letters that count frames."""
    if "S" in letters and not (is_color and shape[letters.index("S")] in (3, 4)):
        letters = letters.replace("S", "?" if "C" in letters else "C")
    if "S" in letters:
        letters = letters.replace("C", "?")
    free = iter(_free_letters(letters))
    return "".join(
        letter if letter.isalpha() and letter not in letters[:i] else next(free) for i, letter in enumerate(letters)
    )


def _free_letters(letters: str) -> list[str]:
    """Letters that count frames and are not among ``letters``."""
    return [letter for letter in dict.fromkeys("QIRPA" + string.ascii_uppercase) if letter not in letters + "CSTXYZ"]


def _page_tags(page: tifffile.TiffPage, letters: str, is_color: bool) -> dict[str, Any]:
    """Take over what every page of a TIFF file can say."""
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


def _format_tags(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, axes: str | None) -> dict[str, Any]:
    """Take over what the file's format says; ``axes`` that overrule its own are noted where there is a place."""
    if series.kind == "imagej" and _is_hyperstack(series.axes):
        return _imagej_tags(file.imagej_metadata or {}, series.axes, axes)
    if series.kind == "ome" and (description := _ome_of_first_image(file, series)):
        return {"bigtiff": file.is_bigtiff, "metadata": None, "description": description}
    page = series.keyframe
    tags: dict[str, Any] = {"bigtiff": file.is_bigtiff, "metadata": None}
    if series.kind == "shaped" and file.shaped_metadata:
        tags["metadata"] = {k: v for k, v in file.shaped_metadata[0].items() if k not in ("shape", "truncated")}
    if axes or series.kind not in PLAIN_KINDS:
        tags["metadata"] = (tags["metadata"] or {}) | {"axes": axes or series.axes}
    if series.kind in PLAIN_KINDS and page.description != page.shaped_description:
        tags["description"] = page.description.encode() or None
    return tags


def _imagej_tags(metadata: Mapping[str, Any], own_axes: str, axes: str | None) -> dict[str, Any]:
    words = {name: value if name in ("Info", "Labels") else _escaped(value) for name, value in metadata.items()}
    can_hold = axes is not None and _is_hyperstack(axes) and ("S" in axes) == ("S" in own_axes)
    return {"imagej": True, "metadata": words | {"axes": axes if can_hold else own_axes}}


def _is_hyperstack(axes: str) -> bool:
    return "YX" in axes and axes == "".join(letter for letter in IMAGEJ_AXES if letter in axes)


def _escaped(value: Any) -> Any:
    r"""Write text as ImageJ's description does: ``µm`` as ``\u00B5m``."""
    return "".join(c if c.isascii() else f"\\u{ord(c):04X}" for c in value) if isinstance(value, str) else value


def _imagej_calibration(tags: Tags) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the size of a pixel as ImageJ has it: tags and words of the description."""
    if tags.get("imagej"):
        words = tags["metadata"]
        return {}, {name: words[name] for name in ("unit", "spacing", "mode", "Ranges", "LUTs") if name in words}
    if not is_ome(tags):
        return {}, {}
    element = ElementTree.fromstring(tags["description"]).find("{*}Image/{*}Pixels")
    pixels = {} if element is None else element.attrib
    if "PhysicalSizeX" not in pixels or "PhysicalSizeY" not in pixels:
        return {}, {}
    words = {"unit": _escaped(pixels.get("PhysicalSizeXUnit", "µm"))}
    if "PhysicalSizeZ" in pixels:
        words["spacing"] = float(pixels["PhysicalSizeZ"])
    resolution = 1 / float(pixels["PhysicalSizeX"]), 1 / float(pixels["PhysicalSizeY"])
    return {"resolution": resolution, "resolutionunit": "NONE"}, words


def _ome_of_first_image(file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> bytes | None:
    """Return a file's OME-XML reduced to the first image, its planes in order; ``None`` if that is not clear."""
    root = ElementTree.fromstring(file.ome_metadata or "")
    namespace = root.tag.partition("}")[0].lstrip("{")
    images = root.findall("{*}Image")
    pixels = images[0].find("{*}Pixels")
    if pixels is None or len(images) != len(file.series):
        return None
    for image in images[1:]:
        root.remove(image)
    root.attrib.pop("UUID", None)  # it names the file that was read
    blocks = pixels.findall("{*}TiffData")
    position = list(pixels).index(blocks[0])
    for block in blocks:
        pixels.remove(block)
    n_planes = int(np.prod(series.shape)) // int(np.prod(series.keyframe.shape))
    pixels.insert(position, ElementTree.Element(f"{{{namespace}}}TiffData", IFD="0", PlaneCount=str(n_planes)))
    ElementTree.register_namespace("", namespace)
    xml: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml
