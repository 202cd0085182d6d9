"""Layers side by side in napari's grid."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from napari.layers import Layer

from napari_convgen.viewer.layers.door import show_name

if TYPE_CHECKING:
    from napari.components import ViewerModel

_GRID = ("shape", "stride", "enabled")
_CAMERA = ("center", "zoom", "angles")

_numbers = count()
_shown: WeakValueDictionary[int, SideBySide] = WeakValueDictionary()
"""Those whose layers are shown in the grid of a viewer, in the order in which they turned it on."""


class SideBySide:
    """Turns a viewer's grid on, and shows its layers again as they were shown before.

    Each layer has a cell of its own, the lowest first. One camera looks at all cells, so that they move and zoom together. Where several
    runs show their layers so, the grid stays on until the last of them is undone.

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
        self._number: int | None = None  # in the order of those that were shown
        self._grid_before: dict[str, Any] = {}
        self._camera_before: dict[str, Any] = {}
        self._shape = (1, 1)
        self._named: list[Layer] = []  # whose names were not shown

    def show(self) -> None:
        """Show all layers with their names, in cells that they fit in: where the grid has another shape now, the view is reset."""
        if self._number is None:
            self._number = next(_numbers)
            _shown[self._number] = self
            self._grid_before = {name: getattr(self._grid, name) for name in _GRID}
            self._camera_before = {name: getattr(self._camera, name) for name in _CAMERA}
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
        """Show the layers as they were shown before the first `show`; if another run has shown its layers since, that will do it.

        Call it before the run's layers are removed: napari 0.9 may crash where they are removed from the grid (seen with Mesa's driver).
        """
        if self._number is None:
            return
        del _shown[self._number]
        later = [number for number, other in _shown.items() if number > self._number and other.viewer is self.viewer]
        self._number = None
        if later:
            _shown[min(later)]._inherit(self)
            return
        for layer in self._named:
            layer.name_overlay.visible = False
        self._named = []
        for model, before in ((self._grid, self._grid_before), (self._camera, self._camera_before)):
            for name, value in before.items():
                setattr(model, name, value)

    def _inherit(self, earlier: SideBySide) -> None:
        """Return to what an earlier one would have returned to."""
        self._grid_before, self._camera_before = earlier._grid_before, earlier._camera_before
        self._named += earlier._named
