"""The one frame of a stack that is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    if not place:
        return source
    data = source.data[frame_index(place, len(source.data.shape))]
    # A copy, lest the frame keep the whole stack alive; what is lazy stays so.
    first = [place.get(i, 0) for i in range(len(source.units))]
    return source.on_grid(data.copy() if isinstance(data, np.ndarray) else data, first, (1,) * len(first))


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
