"""Writing of OME-Zarr images, level by level."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.errors import FileError
from napari_convgen.files.atomic import making_folder
from napari_convgen.files.image_file import RECIPE, ImageFile
from napari_convgen.files.ome_zarr.metadata import Level, Pyramid, ome_attributes
from napari_convgen.files.ome_zarr.reading import FILES
from napari_convgen.files.optional import load
from napari_convgen.files.units import name_of

AXES = "TCZYX"
"""Axes of a new image, in the order that OME-Zarr prescribes."""

TYPES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}

SIDE = 512
"""Largest side of a plane that is stored in one chunk, and of the smallest level of a new pyramid: 512 KiB of 16-bit values. Our choice."""


def check(path: Path, like: ImageFile) -> None:
    """Refuse an image that cannot be written.

    Raises
    ------
    FileError
        OME-Zarr has no place for one of the axes, or a package is missing.
    """
    load("zarr", "zarr", FILES)
    if not _is_kept(like) and (unknown := set(like.axes.replace("S", "C")) - set(AXES)):
        raise FileError(
            f"{path} cannot hold the axes {like.axes}: OME-Zarr has no {' and '.join(sorted(unknown))}. Name the axes with --axes, from "
            f"{', '.join(AXES)}, or write a .tif."
        )


def write(path: Path, data: NDArray[Any], like: ImageFile) -> None:
    """Write an image as one that was read is stored, or as version 0.5, with the levels of its pyramid."""
    zarr = load("zarr", "zarr", FILES)
    if _is_kept(like):
        pyramid: Pyramid = like.header
    else:
        letters = like.axes.replace("S", "C")
        order = [letters.index(letter) for letter in AXES if letter in letters]
        data = data.transpose(order)
        pyramid = _new_pyramid(data.shape, [letters[i] for i in order], _distances(like, order))
    with making_folder(path) as folder:
        group = zarr.open_group(folder, mode="w", zarr_format=pyramid.zarr_format)
        above: Any = data
        for level in pyramid.levels:
            array = group.create_array(level.path, shape=level.shape, dtype=data.dtype, **level.storage_of(data.dtype))
            _store(array, above)
            above = array
        group.attrs.update(_told(pyramid))
        if like.recipe is not None:
            group.attrs[RECIPE] = dict(like.recipe)


def _is_kept(like: ImageFile) -> bool:
    """Return True if an image is written as it was read."""
    return isinstance(like.header, Pyramid) and like.header.levels[0].shape == tuple(like.data.shape)


def _store(array: Any, above: Any) -> None:
    """Fill a level from the one above piece by piece, each a whole chunk or shard, so that memory does not grow with the image."""
    sides = array.shards or array.chunks
    factors = _factors(above.shape, array.shape)
    for place in np.ndindex(*(math.ceil(n / side) for n, side in zip(array.shape, sides, strict=True))):
        starts = [i * side for i, side in zip(place, sides, strict=True)]
        stops = [min(n, start + side) for n, start, side in zip(array.shape, starts, sides, strict=True)]
        read = tuple(slice(a * k, b * k) for a, b, k in zip(starts, stops, factors, strict=True))
        shape = tuple(b - a for a, b in zip(starts, stops, strict=True))
        array[tuple(map(slice, starts, stops))] = _means(np.asarray(above[read]), shape, factors)


def shrunk(data: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the means of blocks of an image, as the next level of a pyramid has them.

    Parameters
    ----------
    data
        Image.
    shape
        Shape of the level. Blocks at the end are cut off, or filled up with the last value.
    """
    return _means(data, shape, _factors(data.shape, shape))


def _factors(above: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(max(1, round(n / m)) for n, m in zip(above, shape, strict=True))


def _means(data: NDArray[Any], shape: Sequence[int], factors: Sequence[int]) -> NDArray[Any]:
    dtype = data.dtype
    for axis, (n, m, factor) in enumerate(zip(data.shape, shape, factors, strict=True)):
        if n == m and factor == 1:
            continue
        moved = np.moveaxis(data, axis, 0)[: factor * m]
        moved = np.concatenate([moved, np.repeat(moved[-1:], factor * m - len(moved), axis=0)])
        means = moved.reshape(m, factor, *moved.shape[1:]).mean(
            axis=1, dtype=None if dtype.kind in "fc" else np.float64
        )
        data = np.moveaxis(means, 0, axis)
    return data if data.dtype == dtype else (np.rint(data) if dtype.kind in "ui" else data).astype(dtype)


def _told(pyramid: Pyramid) -> Mapping[str, Any]:
    """Return the attributes of an image; how its levels were made is told anew."""
    if len(pyramid.levels) == 1:
        return pyramid.attributes
    multiscale = dict(ome_attributes(pyramid.attributes)["multiscales"][0])
    multiscale.pop("metadata", None)
    ome = {**ome_attributes(pyramid.attributes), "multiscales": [multiscale | {"type": "mean"}]}
    return {**pyramid.attributes, "ome": ome} if "ome" in pyramid.attributes else ome


def _distances(like: ImageFile, order: list[int]) -> list[tuple[float, str | None]]:
    if like.calibration is None:
        return [(1.0, None)] * len(order)
    return [(float(like.calibration[0][i]), name_of(like.calibration[1][i])) for i in order]


def _new_pyramid(shape: tuple[int, ...], letters: list[str], distances: list[tuple[float, str | None]]) -> Pyramid:
    """Return the pyramid of a new image: rows and columns are halved until a plane fits into a chunk."""
    names = [letter.lower() for letter in letters]
    levels: list[Level] = []
    datasets, factor = [], 1
    while True:
        across = [factor if letter in "YX" else 1 for letter in letters]
        sides = tuple(math.ceil(n / k) for n, k in zip(shape, across, strict=True))
        chunks = tuple(min(n, SIDE) if letter in "YX" else 1 for n, letter in zip(sides, letters, strict=True))
        levels.append(Level(str(len(levels)), sides, {"chunks": chunks, "dimension_names": names}))
        scale = [d * k for (d, _), k in zip(distances, across, strict=True)]
        shift = [d * (k - 1) / 2 for (d, _), k in zip(distances, across, strict=True)]
        moves: list[Mapping[str, Any]] = [
            {"type": "scale", "scale": scale},
            {"type": "translation", "translation": shift},
        ]
        datasets.append({"path": levels[-1].path, "coordinateTransformations": moves})
        if max(sides[-2:]) <= SIDE:
            break
        factor *= 2
    axes = [
        {"name": name, "type": TYPES[letter]} | ({"unit": unit} if unit and letter != "C" else {})
        for name, letter, (_, unit) in zip(names, letters, distances, strict=True)
    ]
    ome = {"version": "0.5", "multiscales": [{"name": "image", "axes": axes, "datasets": datasets}]}
    return Pyramid("0.5", {"ome": ome}, tuple(levels))
