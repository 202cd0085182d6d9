"""Reading of OME-Zarr images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_convgen.core.image import Layout
from napari_convgen.errors import FileError
from napari_convgen.files.image_file import RECIPE, Calibration, ImageFile
from napari_convgen.files.ome_zarr.metadata import KINDS, Level, Pyramid, ome_attributes
from napari_convgen.files.optional import load
from napari_convgen.files.series import choose_series
from napari_convgen.files.tiff.new import new_tags
from napari_convgen.files.tiff.tags import layout_letters
from napari_convgen.files.units import symbol_of

FILES = "OME-Zarr images"
MARKS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
"""Files of which every folder of Zarr has one."""

LABELS = "labels"
"""Group of segmentations in that of an image."""


def is_zarr(path: Path) -> bool:
    """Return True for a folder of Zarr, whatever its name."""
    return any((path / mark).is_file() for mark in MARKS)


def read(path: Path, axes: str | None, series: int) -> ImageFile:
    """Read an image; its values are read as they are needed.

    Parameters
    ----------
    path
        Folder of an image, or of several by Bio-Formats.
    axes
        Letters that replace those of the image; ``None`` to keep them.
    series
        Number of the image among those of the folder, from 0.

    Raises
    ------
    InputError
        ``axes`` do not fit the image.
    FileError
        The folder holds no such image, or one of another version.
    """
    zarr = load("zarr", "zarr", FILES)
    node = zarr.open(path, mode="r")
    if not isinstance(node, zarr.Group):
        raise FileError(f"{path} is a single array of Zarr. Name the folder of the image that it is a level of.")
    images = _find_images(path, node)
    notes = choose_series(path, [_describe(group, number) for group, number in images], series)
    group, number = images[series]
    if LABELS in group:
        notes = (
            *notes,
            f"{path} has labels, which its result does not get: copy the folder {LABELS} if you need them there.",
        )
    pyramid, multiscale = _pyramid(path, group, number)
    data = group[pyramid.levels[0].path]
    letters = _letters(multiscale, data.shape)
    calibration = _calibration(multiscale)
    letters = letters if axes is None else Layout.of(data.shape, axes).axes
    tags = new_tags(data.shape, data.dtype, letters, calibration)
    smaller = tuple(group[each.path] for each in pyramid.levels[1:])
    return ImageFile(data, letters, tags, notes=notes, calibration=calibration, header=pyramid, smaller=smaller)


def _find_images(path: Path, group: Any) -> list[tuple[Any, int]]:
    """Return the images of a folder: their groups, and their numbers among the images of the same arrays.

    Raises
    ------
    FileError
        It holds a plate, or no image at all.
    """
    ome = ome_attributes(dict(group.attrs))
    if "multiscales" in ome:
        return [(group, number) for number in range(len(ome["multiscales"]))]
    if "plate" in ome:
        first = ome["plate"]["wells"][0]["path"] if ome["plate"].get("wells") else "A/1"
        raise FileError(f"{path} is a plate of many images. Name one of them, such as {path / first / '0'}.")
    if "bioformats2raw.layout" in ome:
        names = sorted((name for name in group.group_keys() if name.isdigit()), key=int)
    else:
        names = [each["path"] for each in ome.get("well", {}).get("images", ())]
    return [each for name in names for each in _find_images(path / name, group[name])]


def _describe(group: Any, number: int) -> str:
    multiscale = ome_attributes(dict(group.attrs))["multiscales"][number]
    array = group[multiscale["datasets"][0]["path"]]
    name = f"'{multiscale['name']}' " if multiscale.get("name") else ""
    return f"{name}{' × '.join(map(str, array.shape))} {array.dtype}"


def _pyramid(path: Path, group: Any, number: int) -> tuple[Pyramid, Mapping[str, Any]]:
    """Return an image with all that it says, and the entry of its attributes that describes it.

    Raises
    ------
    FileError
        It is of another version than 0.4 and 0.5, or its attributes are not those of its version.
    """
    yaozarrs = load("yaozarrs", "zarr", FILES)
    attributes = dict(group.attrs)
    ome = ome_attributes(attributes)
    multiscale = ome["multiscales"][number]
    version = str(ome.get("version") if "ome" in attributes else multiscale.get("version", "0.4"))
    if version not in ("0.4", "0.5"):
        raise FileError(f"{path} is OME-Zarr of version {version}, and 0.4 and 0.5 are read. Convert it.")
    try:
        (yaozarrs.v04 if version == "0.4" else yaozarrs.v05).Image.model_validate(ome)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise FileError(f"{path} has attributes that OME-Zarr {version} does not allow: {reason[:300]}") from error
    kept = {**ome, "multiscales": [multiscale]}
    levels = tuple(_level(each["path"], group[each["path"]]) for each in multiscale["datasets"])
    return Pyramid(version, {**attributes, "ome": kept} if "ome" in attributes else kept, levels), multiscale


def _level(path: str, array: Any) -> Level:
    storage = {"chunks": array.chunks, "shards": array.shards, "compressors": array.compressors, "order": array.order}
    storage["attributes"] = dict(array.attrs)
    of_type = {"filters": array.filters, "fill_value": array.fill_value}
    if array.metadata.zarr_format == 2:
        storage["chunk_key_encoding"] = {"name": "v2", "separator": array.metadata.dimension_separator}
        storage.pop("shards")
    else:
        encoding = array.metadata.chunk_key_encoding
        storage["chunk_key_encoding"] = {"name": encoding.name, "separator": encoding.separator}
        storage["dimension_names"] = array.metadata.dimension_names
        storage.pop("order")
        of_type["serializer"] = array.serializer
    return Level(path, tuple(array.shape), storage, array.dtype, of_type)


def _letters(multiscale: Mapping[str, Any], shape: tuple[int, ...]) -> str:
    """Return a letter for each axis: its name if that is one, that of its type, or one that counts frames."""
    names = [
        name.upper()
        if (name := str(axis["name"])).lower() in ("t", "c", "z", "y", "x")
        else KINDS.get(axis.get("type"), "?")
        for axis in multiscale["axes"]
    ]
    return layout_letters("".join(names), shape, is_color=False)


def _calibration(multiscale: Mapping[str, Any]) -> Calibration:
    """Return distances and units: the scale of the largest level, times that of all."""
    scales = [1.0] * len(multiscale["axes"])
    for transformations in (multiscale["datasets"][0], multiscale):
        for each in transformations.get("coordinateTransformations") or ():
            if each.get("type") == "scale" and "scale" in each:
                scales = [a * float(b) for a, b in zip(scales, each["scale"], strict=True)]
    return tuple(scales), tuple(symbol_of(str(axis.get("unit") or "pixel")) for axis in multiscale["axes"])


def read_recipe(path: Path) -> Any:
    """Return the recipe in the attributes of an image that this program has written; raises any exception if it has none."""
    return load("zarr", "zarr", FILES).open_group(path, mode="r").attrs[RECIPE]
