"""The input over the left part of the result, up to a vertical line that is dragged over the image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_convgen.errors import InputError
from napari_convgen.viewer.layers.door import LayerInput, add_layer, image_layer

if TYPE_CHECKING:
    from napari.components import ViewerModel

REACH = 12
"""Distance from the line within which the mouse takes hold of it, in pixels of the screen. Our choice: about the width of a finger tip."""

FRAME = {"visible": True, "points": False, "line_color": "yellow", "line_thickness": 2}
"""Looks of the frame around the input; its right side is the line."""


class Swipe:
    """A layer with the input up to a line, above all others while it is shown; a drag of the line moves it.

    Parameters
    ----------
    viewer
        Viewer with the result.

    Attributes
    ----------
    layer
        The layer; ``None`` while nothing is shown.
    """

    removed = Signal()  # by the user, or because the view has no columns of the image any more

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._camera: Any = getattr(viewer, "scene", viewer).camera  # napari 0.9 moved it
        self._source: LayerInput | None = None
        self._cut = 0  # pixels of the input on the left of the line
        self.layer: Any = None
        viewer.layers.events.removed.connect(self._on_removal)
        viewer.dims.events.ndisplay.connect(self._turn)
        viewer.dims.events.order.connect(self._turn)

    def show(self, source: LayerInput) -> None:
        """Show the left half of an image.

        Raises
        ------
        InputError
            The view is in 3-D, or has no columns of the image.
        """
        self.hide()
        axis = self._axis(source)
        self._source, self._cut = source, max(1, source.data.shape[axis] // 2)
        self.layer = image_layer(source, self._left(source), f"{source.name} before the line")
        for name, value in FRAME.items():
            setattr(self.layer.bounding_box, name, value)
        add_layer(self._viewer, self.layer)
        self._viewer.mouse_drag_callbacks.append(self._drag)

    def hide(self) -> None:
        """Take the layer away."""
        layer, self.layer, self._source = self.layer, None, None
        if self._drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._drag)
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def move_to(self, position: Any) -> None:
        """Move the line to a position in world coordinates, as far as the image goes."""
        if self._source is None:
            return
        axis = self._axis(self._source)
        cut = round(self._column(position, axis) + 0.5)
        self._cut = min(max(cut, 1), self._source.data.shape[axis])
        self.layer.data = self._left(self._source)

    def _left(self, source: LayerInput) -> Any:
        return source.data[(slice(None),) * self._axis(source) + (slice(self._cut),)]

    def _axis(self, source: LayerInput) -> int:
        """Return the axis of an image along which the columns of the view lie."""
        dims, n = self._viewer.dims, len(source.units)
        axis = dims.displayed[-1] - (dims.ndim - n)
        if dims.ndisplay != 2 or axis < 0:
            raise InputError("The line to swipe lies in a plane of the image. Show rows and columns in 2-D first.")
        return int(axis)

    def _column(self, position: Any, axis: int) -> float:
        return float(self.layer.world_to_data(np.asarray(position)[-self.layer.ndim :])[axis])

    def _drag(self, viewer: Any, event: Any) -> Iterator[None]:
        """Move the line with the mouse that has taken hold of it; the image stays where it is meanwhile."""
        if self._source is None:
            return
        axis = self._axis(self._source)
        width = float(self._source.transform.scale[axis]) * self._camera.zoom  # of a pixel of the image, on the screen
        if abs((self._column(event.position, axis) + 0.5 - self._cut) * width) > REACH:
            return
        could_pan, self._camera.mouse_pan = self._camera.mouse_pan, False
        try:
            yield
            while event.type == "mouse_move":
                self.move_to(event.position)
                yield
        finally:
            self._camera.mouse_pan = could_pan

    def _turn(self) -> None:
        """Follow the view to other axes; vanish where it has no columns of the image."""
        if self._source is None:
            return
        source = self._source
        try:
            self.show(source)
        except InputError:
            self.removed.emit()

    def _on_removal(self, event: Any) -> None:
        if self.layer is not None and event.value == self.layer:
            self.hide()
            self.removed.emit()
