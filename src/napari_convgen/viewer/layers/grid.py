"""Layers side by side in napari's grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Layer

from napari_convgen.viewer.layers.door import show_name

if TYPE_CHECKING:
    from napari.components import ViewerModel


class SideBySide:
    """Turns a viewer's grid on, and shows its layers again as they were shown before.

    Each layer has a cell of its own, the lowest first. One camera looks at all cells, so that they move and zoom together.

    Parameters
    ----------
    viewer
        Viewer that shows the layers.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        # napari 0.9 moved both; up to 0.8 they are the viewer's own.
        self._grid: Any = getattr(viewer, "canvas", viewer).grid
        self._camera: Any = getattr(viewer, "scene", viewer).camera
        self._grid_before = {name: getattr(self._grid, name) for name in ("shape", "stride", "enabled")}
        self._camera_before = {name: getattr(self._camera, name) for name in ("center", "zoom", "angles")}
        self._shape = (1, 1)
        self._named: list[Layer] = []  # whose names were not shown

    def show(self) -> None:
        """Show all layers with their names, in cells that they fit in: where the grid has another shape now, the view is reset."""
        for layer in self.viewer.layers:
            overlay = getattr(layer, "name_overlay", None)  # older versions of napari have none
            if overlay is not None and not overlay.visible:
                self._named.append(layer)
                show_name(layer)
        self._grid.stride = 1
        self._grid.shape = (-1, -1)
        self._grid.enabled = True
        shape = self._grid.actual_shape(self.viewer.layers)
        if shape != self._shape:
            self._shape = shape
            self.viewer.reset_view(reset_camera_angle=False)

    def undo(self) -> None:
        """Show the layers as they were shown before."""
        for layer in self._named:
            layer.name_overlay.visible = False
        for model, before in ((self._grid, self._grid_before), (self._camera, self._camera_before)):
            for name, value in before.items():
                setattr(model, name, value)
