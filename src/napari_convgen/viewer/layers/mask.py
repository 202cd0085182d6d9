"""A mask drawn in one layer, on the pixels of another: what it covers on screen is what it marks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from napari.layers import Image, Labels, Shapes
from numpy.typing import NDArray

from napari_convgen.core.image import ArrayLike
from napari_convgen.errors import InputError
from napari_convgen.viewer.layers.door import finest_level
from napari_convgen.viewer.layers.units import unit_factors

MaskLayer: TypeAlias = Image | Labels | Shapes

FILLED = ("rectangle", "ellipse", "polygon")
"""Kinds of shapes that have an area."""

N_CORNERS = 180
"""Number of corners of the polygon that stands for an ellipse: within a radius of 1000 pixels it is off by 0.15 pixels at most."""

NEGLIGIBLE = 1e-9
"""Share of a pixel that a coordinate may change by over a pixel and still be called constant."""


def mask_of(layer: MaskLayer, image: Image, axes: list[int], point: Sequence[float]) -> NDArray[np.bool_]:
    """Return a mask over the spatial axes of the frame of an image that is on screen.

    Parameters
    ----------
    layer
        Labels or an image, which mark where they are not zero, or shapes, which mark what they cover. They may lie anywhere: a pixel is
        marked if its center is.
    image
        Layer of the image.
    axes
        Positions of the image's spatial axes.
    point
        Position of the viewer's sliders, in world coordinates.

    Raises
    ------
    InputError
        Shapes without an area.
    """
    shape = tuple(finest_level(image).shape[axis] for axis in axes)
    last = np.array(finest_level(image).shape[: image.ndim]) - 1  # color samples have no place
    first = np.round(image.world_to_data(list(point)[-image.ndim :])).clip(0, last)
    first[axes] = 0
    if isinstance(layer, Shapes):
        return _covered(layer, image, first, axes, shape)
    n, factors = min(layer.ndim, image.ndim), unit_factors(image.units, layer.units)

    def to_mask(place: NDArray[np.float64]) -> NDArray[np.float64]:
        there, world = first.copy(), np.zeros(max(layer.ndim, len(point)))
        there[axes] = place
        world[len(world) - len(point) :] = point
        world[-n:] = np.asarray(image.data_to_world(there))[-n:] * factors
        return np.asarray(layer.world_to_data(world))

    return _sampled(finest_level(layer), to_mask, shape)


def may_mark(layer: Labels | Shapes) -> bool:
    """Return False for shapes without an area, such as the line of a profile; shapes that are not drawn yet may have one."""
    return not isinstance(layer, Shapes) or not layer.shape_type or bool(set(layer.shape_type) & set(FILLED))


def _sampled(
    values: ArrayLike, to_mask: Callable[[NDArray[np.float64]], NDArray[np.float64]], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Return where the nearest value is not zero; nowhere beyond the values. ``to_mask`` is affine."""
    offset = to_mask(np.zeros(len(shape)))
    matrix = np.stack([to_mask(unit) - offset for unit in np.eye(len(shape))], axis=1)
    varies = np.abs(matrix).max(axis=1) > NEGLIGIBLE
    places = np.round(offset).astype(int)
    if any(not 0 <= i < n for i, n, changes in zip(places, values.shape, varies, strict=True) if not changes):
        return np.zeros(shape, bool)
    part = np.asarray(
        values[tuple(slice(None) if changes else int(i) for i, changes in zip(places, varies, strict=True))]
    )
    from scipy import ndimage

    marked: NDArray[np.bool_] = ndimage.affine_transform(
        (part != 0).astype(np.uint8), matrix[varies], offset[varies], shape, order=0, mode="grid-constant"
    ).astype(bool)
    return marked


def _covered(
    layer: Shapes, image: Image, first: NDArray[np.float64], axes: Sequence[int], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Return where the filled shapes of a frame cover the centers of its pixels."""
    if not set(layer.shape_type) & set(FILLED):
        raise InputError(
            f"The shapes of '{layer.name}' have no area. Draw rectangles, ellipses or polygons around what is to be filled in."
        )
    from skimage.draw import polygon2mask

    mask = np.zeros(shape, bool)
    n = min(layer.ndim, image.ndim)
    counted = [axis for axis in range(image.ndim - n, image.ndim) if axis not in axes]
    for kind, corners in zip(layer.shape_type, layer.data, strict=True):
        if kind not in FILLED:
            continue
        places = places_on(image, layer, _ellipse(corners) if kind == "ellipse" else corners, first)
        if np.abs(places[:, counted].mean(0) - first[counted]).max(initial=0) > 0.5:
            continue  # it is drawn on another frame
        planes = tuple(
            int(np.clip(round(i), 0, m - 1)) for i, m in zip(places[:, axes[:-2]].mean(0), shape[:-2], strict=True)
        )
        mask[planes if layer.ndim >= image.ndim else ...] |= polygon2mask(shape[-2:], places[:, axes[-2:]])
    return mask


def places_on(
    image: Image, layer: Shapes, corners: NDArray[np.float64], first: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where the corners of a shape lie on an image, in its pixels.

    Parameters
    ----------
    image, layer
        Layers of the image and of the shape.
    corners
        Corners of the shape, in the units of its layer's data; a row each.
    first
        First pixel of the frame on screen, whose place is taken along the axes that the shape lacks.
    """
    n, factors = min(layer.ndim, image.ndim), unit_factors(layer.units, image.units)
    places = []
    for corner in corners:
        place = np.asarray(image.data_to_world(first)).copy()
        place[-n:] = np.asarray(layer.data_to_world(corner))[-n:] * factors
        places.append(image.world_to_data(place))
    return np.array(places)


def _ellipse(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corners of a polygon along an ellipse, from the corners of the rectangle around it."""
    center, a, b = corners.mean(0), (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, N_CORNERS, endpoint=False)[:, None]
    outline: NDArray[np.float64] = center + a * np.cos(angles) + b * np.sin(angles)
    return outline
