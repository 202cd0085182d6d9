"""The size of the pixels that the file of a layer has, and the layer has not: napari's own reader of TIFF leaves it out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from napari.layers import Image, Layer

from napari_convgen.files.image_file import Calibration
from napari_convgen.files.images import pixel_size_of_file
from napari_convgen.files.units import TIMES, name_of, symbol_of
from napari_convgen.viewer.layers.units import join_lengths


def unread_pixel_size(layer: Image, axes: str) -> Calibration | None:
    """Return what the file of a layer says of its pixels along each axis, if neither the reader nor the user has set a scale or a unit.

    Parameters
    ----------
    layer
        Image layer.
    axes
        One letter for each axis of its data.
    """
    if layer.source.path is None or not has_no_pixel_size(layer):
        return None
    size = _ask_once(layer.source.path, axes.upper()[: layer.ndim])
    return size if size is not None and len(size[0]) == layer.ndim and _lengths(size) else None


def has_no_pixel_size(layer: Layer) -> bool:
    """Return True for a layer for which neither a reader nor the user has set a scale or a unit."""
    return all(scale == 1 for scale in layer.scale) and all(str(unit) == "pixel" for unit in layer.units)


def describe_pixel_size(size: Calibration) -> str:
    """Return a size of pixels as text, without the axes that have none: ``"0.5 × 0.11 × 0.11 µm"``."""
    numbers, units = zip(*_lengths(size), strict=True)
    return join_lengths(numbers, [symbol_of(unit) for unit in units])


def take_pixel_size(layer: Image, size: Calibration) -> None:
    """Give a layer the size of the pixels in its file."""
    scale, units = size
    layer.units = [name_of(unit) or "pixel" for unit in units]
    layer.scale = scale


def _lengths(size: Calibration) -> Sequence[tuple[float, str]]:
    return [
        (number, unit) for number, unit in zip(*size, strict=True) if name_of(unit) and symbol_of(unit) not in TIMES
    ]


@lru_cache(maxsize=32)
def _ask_once(path: str, axes: str) -> Calibration | None:
    return pixel_size_of_file(path, axes)
