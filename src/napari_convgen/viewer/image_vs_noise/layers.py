"""The layers of fits to an image and to noise: snapshots of each, side by side under one slider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from numpy.typing import NDArray

from napari_convgen.core.snapshot import Snapshot
from napari_convgen.run.labels import format_share
from napari_convgen.viewer.layers.counted import StepStack, snapshots_layer
from napari_convgen.viewer.layers.door import (
    LayerInput,
    image_layer,
    put_report,
    show_name,
)
from napari_convgen.viewer.layers.following import LayersOnInput
from napari_convgen.viewer.layers.grid import SideBySide
from napari_convgen.viewer.reconstruct.layers import on_image_grid

if TYPE_CHECKING:
    from napari.components import ViewerModel

CAPTIONS = {"image": "image", "noise": "noise", "reference": "clean", "added noise": "noisier"}
"""Captions of the fits: short, since a cell of the grid is narrow."""

NOISE = "noise that is fitted"
"""Name of the layer of the noise itself."""


class FitsLayers:
    """Shows the snapshots of each target in a layer, and takes back what a cancelled run has shown.

    A layer that the user removes stays away. One whose data the user replaces is left alone, and made anew at the end.

    Parameters
    ----------
    viewer
        Viewer that the layers are added to, and shown side by side.
    source
        Image that is fitted, or the place of the generator's images if the measurement is none.

    Attributes
    ----------
    layers
        Layers of the fits by the name of the target; empty before the first snapshots.
    noise
        Layer of the noise that is fitted; ``None`` before the first snapshots, and if it is no image.
    """

    def __init__(self, viewer: ViewerModel, source: LayerInput) -> None:
        self.viewer = viewer
        self.layers: dict[str, Image] = {}
        self.noise: Image | None = None
        self._own = LayersOnInput(viewer, source)
        self._side_by_side = SideBySide(viewer)
        self._point_before = viewer.dims.point
        self._captions: dict[str, str] = {}
        self._last_step = 0

    @property
    def source(self) -> LayerInput:
        """The image, as it lies now."""
        return self._own.source

    def owns(self, layer: Any) -> bool:
        """Return True for a layer of the run with the data that the run gave it."""
        return self._own.owns(layer)

    def show(self, snapshots: Mapping[str, Sequence[Snapshot]], noise: NDArray[Any] | None) -> None:
        """Show the noise, if it is an image, and each target's snapshots so far; a slider at the last of them stays at the last."""
        is_first = not self.layers
        if is_first and noise is not None:
            self._show_noise(noise)
        is_at_last = is_first or self.step_on_screen() == self._last_step
        for name, of_target in snapshots.items():
            if is_first:
                self._add(name, of_target)
            elif self._own.has(self.layers[name]):
                layer = self.layers[name]
                self._own.put(layer, StepStack(of_target, layer.data.n_between))
        self._last_step = next(iter(snapshots.values()))[-1].step
        if is_first:
            self._side_by_side.show()
        if is_at_last:
            self.point_to(self._last_step)
        self.name_steps()

    def finish(
        self, snapshots: Mapping[str, Sequence[Snapshot]], noise: NDArray[Any] | None, report: Mapping[str, Any]
    ) -> None:
        """Show all snapshots, in new layers where the user has replaced the data, and put the report into each layer's metadata."""
        for name, layer in self.layers.items():
            if layer in self.viewer.layers and not self._own.has(layer):
                self._captions.pop(name, None)
                self._add(name, snapshots[name])
        self.show(snapshots, noise)
        for layer in self.layers.values():
            put_report(layer, report)

    def undo(self) -> None:
        """Remove the layers, but those whose data the user has replaced, and show the others as they were shown before."""
        self._side_by_side.undo()
        for layer in (self.noise, *self.layers.values()):
            self._own.remove(layer)
        self.layers, self.noise = {}, None
        if len(self._point_before) == self.viewer.dims.ndim:
            self.viewer.dims.point = self._point_before

    def point_to(self, step: int) -> None:
        """Move the slider to a step."""
        if (axis := self._axis()) is not None:
            self.viewer.dims.set_point(axis, step)

    def step_on_screen(self) -> int | None:
        """Return the step of the snapshots that the slider points to; ``None`` if no layer is left or the axis is displayed."""
        axis = self._axis()
        if axis is None:
            return None
        data = self._shown()[0][1].data
        return data.at(round(self.viewer.dims.point[axis])).step if isinstance(data, StepStack) else None

    def name_steps(self) -> None:
        """Name each layer after its target, the step on screen and the share that is left to fit, unless the user has named it.

        A cell of the grid can be too narrow for the whole name: what is cut off then is the end.
        """
        step = self.step_on_screen()
        if step is None:
            return
        for name, layer in self._shown():
            if isinstance(layer.data, StepStack) and layer.name == self._captions.get(name, layer.name):
                left = layer.data.at(step).loss
                layer.name = f"{CAPTIONS[name]}, step {step}: {format_share(left)} left"
                self._captions[name] = layer.name

    def _add(self, name: str, snapshots: Sequence[Snapshot]) -> None:
        source = on_image_grid(self.source, snapshots[-1].image)
        layer = snapshots_layer(self.viewer, source, snapshots, name)
        layer.visible = True
        show_name(layer)
        self.layers[name] = self._own.add(layer)

    def _show_noise(self, noise: NDArray[Any]) -> None:
        layer = image_layer(self.source, noise, NOISE, visible=True)
        show_name(layer)
        self.noise = self._own.add(layer)

    def _shown(self) -> list[tuple[str, Image]]:
        return [(name, layer) for name, layer in self.layers.items() if self._own.has(layer)]

    def _axis(self) -> int | None:
        """Return the axis of the slider; ``None`` if there is no such slider."""
        shown = self._shown()
        if not shown:
            return None
        axis = int(self.viewer.dims.ndim - shown[0][1].ndim)
        return None if axis in self.viewer.dims.displayed else axis
