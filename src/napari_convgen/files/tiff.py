"""TIFF files: plain, ImageJ and OME. All metadata are kept as the keyword arguments with which `tifffile` writes them again."""

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
from napari_convgen.errors import FileError
from napari_convgen.files.calibration import Calibration, imagej_calibration, ome_calibration
from napari_convgen.files.image_file import ImageFile, Tags, WritableFormat

IMAGEJ_AXES = "TZCYXS"
"""Axes of an ImageJ hyperstack, in the only order that ImageJ allows."""

OME_TYPES = {"float32": "float", "float64": "double", "bool": "bit"}
"""Names that OME has for types of values, where they are not numpy's."""

PLAIN_KINDS = ("uniform", "generic", "shaped")
"""Names of tifffile for TIFF files without a vendor's format, whose description is free text."""

STACK_TAGS = (
    "photometric",
    "planarconfig",
    "extrasamples",
    "resolution",
    "resolutionunit",
    "compression",
    "iccprofile",
)
"""Tags that a stack of images shares with the image that was read."""


def read(path: Path, axes: str | None) -> ImageFile:
    """Read the first image of a TIFF file.

    Parameters
    ----------
    path
        Plain, multi-page, ImageJ, OME or BigTIFF file.
    axes
        Letters that replace those of the file; ``None`` to keep them.

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
    dots = {2: 1.0, 3: 2.54}.get(tags.get("resolutionunit", 1))  # an inch, a centimeter
    dpi = tuple(dots * n / d for n, d in tags["resolution"]) if dots else None
    png = {"dpi": dpi, "icc_profile": tags["iccprofile"]}
    return ImageFile(data, letters, tags, png, notes, _calibration(tags, letters))


def write_tiff(file: BinaryIO, data: NDArray[Any], tags: Tags) -> None:
    """Write an array with the tags of a file whose image has its shape and dtype."""
    tifffile.imwrite(file, data, software="napari-convgen", ome=False, **tags)


def is_ome(tags: Tags) -> bool:
    """Return True if images are written as OME-TIFF with these tags."""
    return (tags.get("description") or b"").rstrip().endswith(b"OME>")


def stack_tags(tags: Tags, axes: str, image: NDArray[Any], what: str, names: Sequence[int | str]) -> Tags:
    """Return the tags of a stack of images that belong together, such as those of a fit's steps.

    If ImageJ's format can hold the stack, its time axis counts the images, and each plane is labeled with the name of its image. Otherwise
    the description lists the names as JSON.

    Parameters
    ----------
    tags, axes
        Tags and axes of the image whose metadata the stack gets.
    image
        One of the images, for shape and dtype.
    what
        Word for what the stack counts, such as ``"step"``.
    names
        Name of each image.
    """
    kept = {name: tags[name] for name in STACK_TAGS if name in tags}
    if kept["photometric"] == "palette":
        kept["photometric"] = "minisblack"
    counted = [letter for letter in axes if letter not in "CYXS"]
    hyperstack = "T" + (axes.replace(counted[0], "Z") if len(counted) == 1 else axes)
    if not _is_hyperstack(hyperstack) or image.dtype.char not in ("B" if "S" in axes else "BHf"):
        return kept | {"metadata": {"axes": _free_letters(axes)[0] + axes, f"{what}s": list(names)}}
    calibration, entries = _imagej_calibration(tags)
    n_planes = int(np.prod([n for n, letter in zip(image.shape, axes, strict=True) if letter not in "YXS"]))
    labels = [f"{what} {name}" for name in names for _ in range(n_planes)]
    metadata = entries | {"axes": hyperstack, "Labels": labels, f"{what}s": json.dumps(names)}
    return kept | calibration | {"imagej": True, "metadata": metadata}


def refuse_ome_name(path: str | Path) -> None:
    """Refuse a name that promises OME-TIFF for a file that will be none.

    Raises
    ------
    FileError
        The name ends in ``.ome.tif`` or ``.ome.tiff``.
    """
    if Path(path).suffixes[-2:-1] == [".ome"]:
        raise FileError(f"{path} would not be OME-TIFF: only an image read from OME-TIFF is. Leave the .ome away.")


def _write(file: BinaryIO, data: NDArray[Any], like: ImageFile) -> None:
    write_tiff(file, data, like.tiff if data.dtype == like.data.dtype else _tags_of_type(like.tiff, data.dtype))


def _tags_of_type(tags: Tags, dtype: np.dtype[Any]) -> Tags:
    """Return the tags of an image for values of another type."""
    if tags["photometric"] == "palette":
        tags = {name: value for name, value in tags.items() if name != "colormap"} | {"photometric": "minisblack"}
    if not is_ome(tags):
        return tags
    root = ElementTree.fromstring(tags["description"])
    for pixels in root.iterfind("{*}Image/{*}Pixels"):
        pixels.attrib["Type"] = OME_TYPES.get(dtype.name, dtype.name)
        pixels.attrib.pop("SignificantBits", None)
    return {**tags, "description": _ome_text(root)}


def _check(path: Path, like: ImageFile) -> None:
    if not is_ome(like.tiff):
        refuse_ome_name(path)


def _layout_letters(letters: str, shape: Sequence[int], is_color: bool) -> str:
    """Return the letters of a file without repetition; those without a meaning become letters that count frames."""
    if "S" in letters and not (is_color and shape[letters.index("S")] in (3, 4)):
        letters = letters.replace("S", "?" if "C" in letters else "C")
    if "S" in letters:
        letters = letters.replace("C", "?")
    free = iter(_free_letters(letters))
    return "".join(
        letter if letter.isalpha() and letter not in letters[:i] else next(free) for i, letter in enumerate(letters)
    )


def _free_letters(letters: str) -> list[str]:
    """Return the letters that count frames and are not among ``letters``."""
    return [letter for letter in dict.fromkeys("QIRPA" + string.ascii_uppercase) if letter not in letters + "CSTXYZ"]


def _page_tags(page: tifffile.TiffPage, letters: str, is_color: bool) -> dict[str, Any]:
    """Return the tags that every TIFF page can have."""
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
    """Return the tags of the file's format; given ``axes`` replace its own if the format can store them."""
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
    entries = {name: value if name in ("Info", "Labels") else _escaped(value) for name, value in metadata.items()}
    can_hold = axes is not None and _is_hyperstack(axes) and ("S" in axes) == ("S" in own_axes)
    return {"imagej": True, "metadata": entries | {"axes": axes if can_hold else own_axes}}


def _is_hyperstack(axes: str) -> bool:
    return "YX" in axes and axes == "".join(letter for letter in IMAGEJ_AXES if letter in axes)


def _escaped(value: Any) -> Any:
    r"""Write text as ImageJ's description does: ``µm`` as ``\u00B5m``."""
    return "".join(c if c.isascii() else f"\\u{ord(c):04X}" for c in value) if isinstance(value, str) else value


def _calibration(tags: Tags, axes: str) -> Calibration | None:
    """Return the distances between values; ``None`` if neither ImageJ nor OME stored them, or their description is damaged."""
    try:
        if tags.get("imagej"):
            return imagej_calibration(tags.get("resolution"), tags["metadata"], axes)
        return ome_calibration(tags["description"], axes) if is_ome(tags) else None
    except (ValueError, ZeroDivisionError, ElementTree.ParseError):
        return None


def _imagej_calibration(tags: Tags) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the pixel size as ImageJ stores it: tags, and entries of the description."""
    if tags.get("imagej"):
        own = tags["metadata"]
        return {}, {name: own[name] for name in ("unit", "spacing", "mode", "Ranges", "LUTs") if name in own}
    if not is_ome(tags):
        return {}, {}
    element = ElementTree.fromstring(tags["description"]).find("{*}Image/{*}Pixels")
    pixels = {} if element is None else element.attrib
    if "PhysicalSizeX" not in pixels or "PhysicalSizeY" not in pixels:
        return {}, {}
    entries = {"unit": _escaped(pixels.get("PhysicalSizeXUnit", "µm"))}
    if "PhysicalSizeZ" in pixels:
        entries["spacing"] = float(pixels["PhysicalSizeZ"])
    resolution = 1 / float(pixels["PhysicalSizeX"]), 1 / float(pixels["PhysicalSizeY"])
    return {"resolution": resolution, "resolutionunit": "NONE"}, entries


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
    return _ome_text(root)


def _ome_text(root: ElementTree.Element) -> bytes:
    """Return OME-XML as text."""
    ElementTree.register_namespace("", root.tag.partition("}")[0].lstrip("{"))
    xml: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml


FORMAT = WritableFormat((".tif", ".tiff"), read, _check, _write)
