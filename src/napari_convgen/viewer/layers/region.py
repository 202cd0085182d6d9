"""The region of an image that the user means: a rectangle that is selected, or else what is in view."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from napari.layers import Image, Layer, Shapes
from numpy.typing import NDArray

from napari_convgen.errors import InputError
from napari_convgen.viewer.layers.door import finest_level
from napari_convgen.viewer.layers.mask import places_on

if TYPE_CHECKING:
    from napari.components import ViewerModel


Rectangles: TypeAlias = tuple[Shapes, list[NDArray[np.float64]]]
"""A layer of shapes, and the corners of some of its rectangles."""


def find_rectangles(viewer: ViewerModel) -> Rectangles | None:
    """Return the rectangles that the user means; ``None`` if there are none.

    They are those that are selected in the active layer, or else its last one; or those that are selected in another visible layer.
    """
    active = viewer.layers.selection.active
    for layer in [active, *reversed(viewer.layers)]:
        if isinstance(layer, Shapes) and layer.visible:
            all_of_it = [i for i, kind in enumerate(layer.shape_type) if kind == "rectangle"]
            chosen = [i for i in all_of_it if i in layer.selected_data] or all_of_it[-1:] * (layer is active)
            if chosen:
                return layer, [layer.data[i] for i in chosen]
    return None


def find_region(viewer: ViewerModel, image: Image, axes: str, rectangles: Rectangles | None) -> dict[int, slice]:
    """Return the rows and columns of a region, by the positions of these axes.

    Parameters
    ----------
    viewer
        Viewer that the image is in.
    image
        Layer of the image.
    axes
        Letters of its axes.
    rectangles
        Rectangles, of which all pixels around are taken; ``None`` for what the canvas shows of the image.

    Raises
    ------
    InputError
        The region lies beside the image, or the view is in three dimensions.
    """
    in_plane = [axes.index(letter) for letter in "YX" if letter in axes]
    low, high = _in_view(viewer, image) if rectangles is None else _around(viewer, image, *rectangles)
    shape = finest_level(image).shape
    region = {axis: slice(max(0, int(low[axis])), min(shape[axis], int(high[axis]))) for axis in in_plane}
    if any(each.stop <= each.start for each in region.values()):
        where = "What is in view lies" if rectangles is None else "The rectangle lies"
        raise InputError(f"{where} beside '{image.name}'. Draw a rectangle on it, or move the view to it.")
    return region


def middle_of_view(viewer: ViewerModel, image: Image, axes: str) -> dict[int, int]:
    """Return the row and column in the middle of what the canvas shows of an image, by the positions of these axes; none in 3-D.

    Parameters are those of `find_region`.
    """
    try:
        region = find_region(viewer, image, axes, None)
    except InputError:
        return {}
    return {axis: (part.start + part.stop) // 2 for axis, part in region.items()}


def _around(
    viewer: ViewerModel, image: Image, layer: Shapes, rectangles: list[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the pixels begin and end whose centers rectangles cover."""
    first = np.asarray(image.world_to_data(list(viewer.dims.point)[-image.ndim :]))
    places = places_on(image, layer, np.concatenate(rectangles), first)
    return np.ceil(places.min(0)), np.floor(places.max(0)) + 1


def _in_view(viewer: ViewerModel, image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the pixels begin and end that the canvas shows; all of them along axes that it does not show."""
    if viewer.dims.ndisplay == 3:
        raise InputError(
            "What is in view is no region while three dimensions are shown. Show two, or draw a rectangle."
        )
    low, high = np.zeros(image.ndim), np.array(finest_level(image).shape[: image.ndim], float)
    corners = np.asarray(image.corner_pixels, float)
    if image.multiscale:  # what napari has loaded is more: whole chunks, and what was in view before
        ends = np.array([[0], [1]])  # a pixel that is last on a level stands for several
        first, last = (corners + ends) * image.downsample_factors[image.data_level] - ends
        top, bottom = _on_canvas(viewer, image)
        corners = np.stack([np.maximum(first, top), np.minimum(last, bottom)])
    for axis in (each - viewer.dims.ndim + image.ndim for each in viewer.dims.displayed):
        if axis >= 0 and corners[1, axis] > corners[0, axis]:  # the canvas has drawn it
            low[axis], high[axis] = corners[0, axis], corners[1, axis] + 1
    return low, high


def _on_canvas(viewer: ViewerModel, image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first and the last pixel within the canvas along each axis; infinite where napari does not tell it.

    Before 0.9, napari does not tell the size of the canvas; where layers have several units, it does not tell that of the camera.
    """
    canvas, nowhere = getattr(viewer, "canvas", None), np.full(image.ndim, np.inf)
    if canvas is None or any(layer.units[-2:] != image.units[-2:] for layer in viewer.layers):
        return -nowhere, nowhere
    camera, corners = viewer.scene.camera, np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)])
    places = np.tile(np.asarray(viewer.dims.point, float), (len(corners), 1))
    half = np.asarray(canvas.viewbox_size(viewer.layers)) / (2 * camera.zoom)
    places[:, list(viewer.dims.displayed)] = np.asarray(camera.center)[-2:] + corners * half
    pixels = np.array([image.world_to_data(place[-image.ndim :]) for place in places])
    return np.floor(pixels.min(0)), np.ceil(pixels.max(0))


def last_image(viewer: ViewerModel, image: Layer | None) -> Image:
    """Return an image if it is still in the viewer, or else the topmost that is visible.

    Raises
    ------
    InputError
        There is none.
    """
    if isinstance(image, Image) and image in viewer.layers:
        return image
    for layer in reversed(viewer.layers):
        if isinstance(layer, Image) and layer.visible:
            return layer
    raise InputError("There is no image layer. Open an image, or select one in the layer list.")
