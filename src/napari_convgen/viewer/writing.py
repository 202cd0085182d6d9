"""Layers as files that keep pixel size, units and the recipe: napari's *File → Save Selected Layers*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_warning

from napari_convgen.core import image as core
from napari_convgen.core.snapshot import Snapshot
from napari_convgen.files.images import write_image
from napari_convgen.files.stack import write_stack
from napari_convgen.files.tiff.recipe import as_file
from napari_convgen.files.tiff.tags import is_ome
from napari_convgen.files.tiff.writing import tags_for
from napari_convgen.viewer.layers.counted import CountedImages, StepStack
from napari_convgen.viewer.layers.door import METADATA_KEY, LayerInput, read_layer

TIFF = (".tif", ".tiff")
"""Endings of files that hold the size of pixels only with its unit, unless they are OME-TIFF."""


def write_tiff(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer as TIFF, with its pixel size and units, and the settings of the run that made it.

    Parameters
    ----------
    path
        File to write.
    data, attributes
        Data of the layer and its attributes, as napari hands them over.

    Returns
    -------
    list of str
        The file that was written.
    """
    return _write(path, data, attributes, TIFF)


def write_ome_tiff(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer as OME-TIFF, see `write_tiff`."""
    return _write(path, data, attributes, (".ome.tif", ".ome.tiff"))


def write_ome_zarr(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer as OME-Zarr, see `write_tiff`."""
    return _write(path, data, attributes, (".ome.zarr", ".zarr"))


def write_nifti(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write an image layer as NIfTI, see `write_tiff`."""
    return _write(path, data, attributes, (".nii.gz", ".nii"))


def _write(path: str, data: Any, attributes: dict[str, Any], endings: tuple[str, ...]) -> list[str]:
    """Write a layer to a file, whose name gets the first of some endings if it has none of them."""
    known = ("name", "scale", "units", "axis_labels", "metadata", "rgb")
    if isinstance(data, CountedImages):  # the axes between are those of other layers
        own = [0, *range(1 + data.n_between, len(attributes["scale"]))]
        data, by_axis = data.together(), attributes.keys() & {"scale", "units", "axis_labels"}
        attributes = attributes | {key: [attributes[key][axis] for axis in own] for key in by_axis}
    is_multiscale = attributes.get("multiscale", isinstance(data, list))
    layer = Image(data, multiscale=is_multiscale, **{key: attributes[key] for key in known if key in attributes})
    if not path.lower().endswith(endings):
        path += endings[0]
    write_layer(Path(path), read_layer(layer), layer.metadata.get(METADATA_KEY, {}))
    return [path]


def write_layer(path: Path, source: LayerInput, recipe: Mapping[str, Any]) -> None:
    """Write what a layer shows: an image, or the snapshots of a run as a stack whose planes are named by their steps.

    Raises
    ------
    FileError
        The format of the file cannot hold it, or the operating system refuses.
    """
    image = source.image
    needs_unit = path.name.lower().endswith(TIFF)
    if isinstance(source.data, StepStack):
        _write_steps(path, image, source.data.snapshots, recipe)
    else:
        file = as_file(image, recipe)
        write_image(path, np.asarray(file.data), file)
        needs_unit = needs_unit and not is_ome(tags_for(path, file, np.dtype(file.data.dtype)))
    if needs_unit and _has_scale_without_unit(image):
        show_warning(
            f"The scale of '{source.name}' has no unit of length, and {path.name} cannot hold it: there, pixels have no size. Save it as "
            "OME-TIFF or OME-Zarr, or give the layer its units first."
        )


def _has_scale_without_unit(image: core.Image) -> bool:
    along = zip(image.axes or "", image.scale or (), image.units or (), strict=False)
    return any(letter in "XYZ" and abs(scale) != 1 and unit == "pixel" for letter, scale, unit in along)


def _write_steps(path: Path, image: core.Image, snapshots: Sequence[Snapshot], recipe: Mapping[str, Any]) -> None:
    single = replace(
        image,
        data=snapshots[0].image,
        axes=(image.axes or "")[1:],
        scale=(image.scale or ())[1:],
        units=(image.units or ())[1:],
    )
    images, steps = [each.image for each in snapshots], [each.step for each in snapshots]
    write_stack(path, images, "step", steps, as_file(single, recipe, is_in_stack=True))
