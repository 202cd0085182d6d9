"""The layers that a run has added and may still write to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_convgen.viewer.layers.door import add_layer, kept_view

if TYPE_CHECKING:
    from napari.components import ViewerModel


class OwnLayers:
    """Layers that a run has added. One whose data the user replaces is the user's from then on: nothing is written to it or removed.

    Parameters
    ----------
    viewer
        Viewer that the layers are added to.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self._layers: list[Image] = []
        self._is_writing = False

    def add(self, layer: Image) -> Image:
        """Add a layer to the viewer, and return it."""
        self._layers.append(layer)
        layer.events.data.connect(self._on_data)
        add_layer(self.viewer, layer)
        return layer

    def owns(self, layer: Any) -> bool:
        """Return True for a layer of the run with the data that the run gave it, also if it was removed from the viewer."""
        return layer in self._layers

    def has(self, layer: Image | None) -> bool:
        """True for such a layer that is in the viewer: it may be written to."""
        return self.owns(layer) and layer in self.viewer.layers

    def put(self, layer: Image, data: Any) -> None:
        """Give one of the layers other data."""
        self._is_writing = True
        try:
            layer.data = data
        finally:
            self._is_writing = False

    def change(self, old: Image, data: Sequence[Any]) -> Image:
        """Return a layer that shows data of several resolutions in the place of one of the layers, and looks as that one looks."""
        _, look, _ = old.as_layer_data_tuple()
        place, is_active = self.viewer.layers.index(old), self.viewer.layers.selection.active is old
        self.remove(old)
        new = self.add(Image(data, **{**look, "multiscale": True}))
        self.viewer.layers.move(self.viewer.layers.index(new), place)
        if is_active:
            self.viewer.layers.selection.active = new
        return new

    def show(self, old: Image | None, new: Image) -> Image:
        """Show in an old layer, if it may be written to, what a new one would show, or else add the new one; return the one in use."""
        if old is None or not self.has(old):
            return self.add(new)
        self.put(old, new.data)
        old.contrast_limits = new.contrast_limits
        return old

    def remove(self, layer: Image | None) -> None:
        """Remove a layer from the viewer, unless it is not there or the user's."""
        if self.has(layer):
            with kept_view(self.viewer):
                self.viewer.layers.remove(layer)

    def _on_data(self, event: Any) -> None:
        if not self._is_writing:
            self._layers.remove(event.source)
            event.source.events.data.disconnect(self._on_data)
