"""Parts of an image: the one frame of a stack that is looked at, and regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from napari_convgen.core.image import Layout
from napari_convgen.viewer.layers.door import LayerInput


def find_frame(
    shape: Sequence[int], axes: str | None, z_axis: Literal["frames", "volume"], point: Sequence[float]
) -> dict[int, int]:
    """Return the place of the frame that is on screen, by the axes that count frames; none for a single frame.

    Parameters
    ----------
    shape, axes, z_axis
        Shape and axes of the layer's data; see `napari_convgen.core.image.Layout.of`.
    point
        Position of the sliders, in pixels of the layer.

    Raises
    ------
    InputError
        Axes that do not fit.
    """
    counted = Layout.of(shape, axes, z_axis).frame_axes()
    return {axis: int(np.clip(round(point[axis]), 0, shape[axis] - 1)) for axis in counted}


def take_frame(source: LayerInput, place: Mapping[int, int]) -> LayerInput:
    """Take one frame out of a stack, with one place along each axis that counts frames, where the frame lies.

    Parameters
    ----------
    source
        Layer, from `napari_convgen.viewer.layers.door.read_layer`.
    place
        Place of the frame, from `find_frame`.
    """
    return take_part(source, frame_index(place, len(source.data.shape))) if place else source


def take_part(source: LayerInput, index: Sequence[slice]) -> LayerInput:
    """Take a part out of an image, where the part lies.

    Parameters
    ----------
    source
        Layer, from `napari_convgen.viewer.layers.door.read_layer`.
    index
        What is taken along each axis, color samples included.
    """
    data = source.data[tuple(index)]
    # A copy, lest the part keep the whole alive; what is lazy stays so.
    first = [each.start or 0 for each in index[: len(source.units)]]
    part = source.on_grid(data.copy() if isinstance(data, np.ndarray) else data, first, (1,) * len(first))
    return part if data.shape == source.data.shape else replace(part, path=None)  # a part of a file is no file


def part_name(name: str, axes: str, shape: Sequence[int], index: Sequence[slice]) -> str:
    """Return a name for a part of an image: ``"cells (T 3, Y 10:42)"``, counted from 0 as by napari's sliders.

    Parameters
    ----------
    name, axes, shape
        Name, letters of the axes, and shape of the image.
    index
        What is taken along each axis.
    """
    spans = [(letter, *each.indices(n)[:2], n) for letter, each, n in zip(axes, index, shape, strict=True)]
    words = [
        f"{letter} {start}" if stop - start == 1 else f"{letter} {start}:{stop}"
        for letter, start, stop, n in spans
        if (start, stop) != (0, n)
    ]
    return f"{name} ({', '.join(words)})" if words else name


def frame_index(place: Mapping[int, int], n_axes: int) -> tuple[slice, ...]:
    """Return the index of a frame in a stack with that many axes, all of which it keeps."""
    return tuple(slice(place[i], place[i] + 1) if i in place else slice(None) for i in range(n_axes))


def frame_number(shape: Sequence[int], place: Mapping[int, int]) -> int:
    """Return the number of a frame in its layer, from 0.

    Parameters
    ----------
    shape
        Shape of the layer's data.
    place
        Place of the frame, from `find_frame`.
    """
    return int(np.ravel_multi_index(list(place.values()), [shape[i] for i in place])) if place else 0
