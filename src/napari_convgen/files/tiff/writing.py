"""Writing of TIFF files, with the tags of an image that was read."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_convgen.errors import FileError
from napari_convgen.files.atomic import replacing
from napari_convgen.files.image_file import ImageFile, Tags
from napari_convgen.files.orientation import stored_shape
from napari_convgen.files.tiff.calibration import imagej_distances
from napari_convgen.files.tiff.gray_values import as_stored
from napari_convgen.files.tiff.new import new_tags
from napari_convgen.files.tiff.tags import free_letters, is_hyperstack, is_ome, tags_of_type

STACK_TAGS = (
    "photometric",
    "planarconfig",
    "extrasamples",
    "resolution",
    "resolutionunit",
    "compression",
    "iccprofile",
    "extratags",
)
"""Tags that a stack of images shares with the image that was read."""

KEPT_TAGS = ("compression", "iccprofile", "extratags")
"""Tags that a new OME-TIFF shares with the image that was read."""

DISTANCES = ("unit", "yunit", "zunit", "spacing")
"""Entries of ImageJ's description with distances in space."""


def write_tiff(file: BinaryIO, data: NDArray[Any], tags: Tags) -> None:
    """Write an array with the tags of a file whose image has its shape and dtype."""
    tifffile.imwrite(file, data, software="napari-convgen", ome=False, **tags)


def stack_tags(like: ImageFile, image: NDArray[Any], what: str, names: Sequence[int | str]) -> Tags:
    """Return the tags of a stack of images that belong together, such as those of a fit's steps.

    If ImageJ's format can hold the stack, its time axis counts the images, and each plane is labeled with the name of its image. Otherwise
    the description lists the names as JSON.

    Parameters
    ----------
    like
        Image whose metadata the stack gets.
    image
        One of the images as it is stored, for shape and dtype.
    what
        Word for what the stack counts, such as ``"step"``.
    names
        Name of each image.
    """
    tags, axes = like.tiff, like.axes
    kept = {name: tags[name] for name in STACK_TAGS if name in tags}
    if kept["photometric"] == "palette":
        kept["photometric"] = "minisblack"
    counted = [letter for letter in axes if letter not in "CYXS"]
    hyperstack = "T" + (axes.replace(counted[0], "Z") if len(counted) == 1 else axes)
    if not is_hyperstack(hyperstack) or image.dtype.char not in ("B" if "S" in axes else "BHf"):
        own = _entries(tags, (*DISTANCES, "finterval", "tunit", "Info"))
        return kept | {"metadata": {"axes": free_letters(axes)[0] + axes, **own, f"{what}s": list(names)}}
    calibration, entries = _imagej_calibration(like, hyperstack[1:])
    n_planes = int(np.prod([n for n, letter in zip(image.shape, axes, strict=True) if letter not in "YXS"]))
    labels = [f"{what} {name}" for name in names for _ in range(n_planes)]
    metadata = entries | {"axes": hyperstack, "Labels": labels, f"{what}s": json.dumps(names)}
    return kept | calibration | {"imagej": True, "metadata": metadata}


def is_ome_name(path: Path) -> bool:
    """Return True if a name promises OME-TIFF."""
    return path.name.lower().endswith((".ome.tif", ".ome.tiff"))


def tags_for(path: Path, like: ImageFile, dtype: np.dtype[Any]) -> Tags:
    """Return the tags with which an image is written to a path: those of the image that was read, or of OME-TIFF if the name promises it.

    Raises
    ------
    FileError
        The name promises OME-TIFF, which has no such axes or type of values.
    """
    tags = tags_of_type(like.tiff, dtype)
    if is_ome(tags) or not is_ome_name(path):
        return tags
    shape = stored_shape(like.data.shape, like.axes, like.orientation)
    new = new_tags(shape, dtype, like.axes, like.turned_calibration, like.recipe)
    if not is_ome(new):
        raise FileError(
            f"{path} cannot be OME-TIFF, which has no place for the axes {like.axes} with {dtype} values. Leave the .ome away."
        )
    kept = KEPT_TAGS + ("photometric",) * (tags.get("photometric") == "miniswhite")
    return {**new, **{name: tags[name] for name in kept if name in tags}}


def write(path: Path, data: NDArray[Any], like: ImageFile) -> None:
    """Write an image with the metadata of another one."""
    tags = tags_for(path, like, data.dtype)
    with replacing(path) as file:
        write_tiff(file, as_stored(data, tags), tags)


def check(path: Path, like: ImageFile) -> None:
    """Refuse an image that cannot be written, by writing an empty one to nowhere.

    Raises
    ------
    FileError
        The name promises OME-TIFF, which cannot hold the image, or `tifffile` refuses the image with these tags.
    """
    tags = {**tags_for(path, like, like.data.dtype)}
    tags.pop("compression", None)  # nothing is there to compress
    shape = stored_shape(like.data.shape, like.axes, like.orientation)
    dtype = as_stored(np.zeros((), like.data.dtype), tags).dtype
    dtype = np.dtype(np.uint8) if dtype == np.bool_ and "imagej" not in tags else dtype  # bits are packed, too
    nowhere: Any = _Nowhere()
    try:
        tifffile.imwrite(nowhere, shape=shape, dtype=dtype, ome=False, **tags)
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise FileError(
            f"{path} cannot hold {like.data.dtype} values of shape {shape} with the tags of the file that was read: {reason}. "
            "Save the image anew as plain TIFF, above 4 GiB as BigTIFF, and read that."
        ) from error


class _Nowhere(io.RawIOBase):
    """A file that keeps nothing but its length."""

    def __init__(self) -> None:
        self._position = self._length = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._length)[whence]
        return self._position

    def write(self, content: Any) -> int:
        n_bytes = memoryview(content).nbytes
        self._position += n_bytes
        self._length = max(self._length, self._position)
        return n_bytes


def _imagej_calibration(like: ImageFile, axes: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the pixel size as ImageJ stores it, for axes that ImageJ has: tags, and entries of the description."""
    if like.tiff.get("imagej"):
        return {}, _entries(like.tiff, (*DISTANCES, "Info", "mode", "Ranges", "LUTs"))
    calibration = like.turned_calibration
    return ({}, {}) if calibration is None else imagej_distances(axes, *calibration)


def _entries(tags: Tags, names: Sequence[str]) -> dict[str, Any]:
    """Return those entries of the description with one of some names."""
    described = tags.get("metadata") or {}
    return {name: described[name] for name in names if name in described}
