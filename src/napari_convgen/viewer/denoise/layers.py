"""The layers of one denoising: its result and, if they are wanted, snapshots, residual and expected error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_convgen.core.snapshot import Snapshot
from napari_convgen.errors import InputError
from napari_convgen.viewer.denoise.request import Details, Outputs
from napari_convgen.viewer.layers.counted import StepStack, snapshots_layer
from napari_convgen.viewer.layers.door import (
    LayerInput,
    expected_error_layer,
    find_layer,
    image_layer,
    put_report,
    read_layer,
    residual_layer,
    visible,
)
from napari_convgen.viewer.layers.following import LayersOnInput
from napari_convgen.viewer.layers.under_way import UnderWay

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.denoise.result import DenoiseResult


class RunLayers:
    """Shows a run in layers, and takes back what a cancelled run has shown.

    The user may remove or change any of them at any time: one that was removed, or was given other data, is made anew when there is
    something to show in it. What the user has put into a layer stays as it is.

    Parameters
    ----------
    viewer
        Viewer that the layers are added to.
    source
        Image that is denoised.
    outputs
        Layers that are wanted beside the result.

    Attributes
    ----------
    result, snapshots, residual, expected_error
        The layers; ``None`` before they are made.
    """

    def __init__(self, viewer: ViewerModel, source: LayerInput, outputs: Outputs) -> None:
        self.viewer = viewer
        self.outputs = outputs
        self._own = LayersOnInput(viewer, source)
        self.result: Image | None = None
        self.snapshots: Image | None = None
        self.residual: Image | None = None
        self.expected_error: Image | None = None
        self._had_result = False
        self._before: dict[Any, bool] = {}

    @property
    def source(self) -> LayerInput:
        """The image, as it lies now."""
        return self._own.source

    def owns(self, layer: Any) -> bool:
        """Return True for a layer of the run with the data that the run gave it."""
        return self._own.owns(layer)

    @property
    def input_on_screen(self) -> Any:
        """The layer of the input while it is shown in place of the result, see `show_input`; else ``None``."""
        return next(iter(self._before), None)

    def images_in_sight(self) -> list[Image]:
        """Return the layers of the run that are in the viewer and visible."""
        layers = (self.result, self.snapshots, self.residual, self.expected_error)
        return [each for each in layers if each is not None and each in self.viewer.layers and each.visible]

    def placed(self, image: NDArray[Any]) -> LayerInput:
        """Return an image in the shape of the input where its layer lies, or, if that was removed, where the input lies."""
        if self.result is None or not self._own.has(self.result):
            return replace(self.source, data=image)
        return replace(read_layer(self.result, self.source.axes), data=image, name=self.source.name)

    def begin(self) -> None:
        """Note what is shown before the run is continued; `undo` returns to it."""
        self._had_result = self._own.has(self.result)
        if not self._had_result:
            self.result = None

    def show_preview(self, index: tuple[int | slice, ...], preview: NDArray[Any]) -> None:
        """Show a frame or tile under way, in the layer that will hold the result; what is not reached yet is shown as it is."""
        if self.result is None:
            source = self.source.data
            data: Any = (
                source.astype(preview.dtype) if isinstance(source, np.ndarray) else UnderWay(source, preview.dtype)
            )
            data[index] = preview
            known = preview if isinstance(data, UnderWay) else data  # of a lazy input the rest is not computed
            layer = image_layer(visible(self.source, known), data, f"{self.source.name} denoised")
            self.result = self._own.add(layer)
        elif self._own.has(self.result):
            self.result.data[index] = preview
            self.result.refresh(extent=False, highlight=False, thumbnail=False)

    def undo(self, result: DenoiseResult | None, report: Mapping[str, Any]) -> None:
        """Show the result that was there before the run, or remove the preview if there was none.

        Parameters
        ----------
        result, report
            Result and report of the run before it was continued.
        """
        if not self._own.has(self.result):
            return
        if self._had_result and result is not None:
            self.show_image(result.image, report)
        else:
            self._own.remove(self.result)
            self.result = None

    def show(self, result: DenoiseResult, report: Mapping[str, Any], details: Details) -> None:
        """Show a finished run, or another step of it, with the snapshots and the residual if they are wanted."""
        name = self.source.name
        self.show_image(result.image, report)
        if details.snapshots:
            self._show_snapshots(details.snapshots, report, result.step)
        if details.residual is not None:
            layer = residual_layer(self.source, details.residual, f"{name} residual")
            self.residual = self._own.show(self.residual, layer)
            put_report(self.residual, report)
        if self.outputs.has_expected_error and (error := result.expected_error) is not None:
            layer = expected_error_layer(self.source, error, f"{name} expected error")
            self.expected_error = self._own.show(self.expected_error, layer)
            put_report(self.expected_error, report)

    def show_input(self, is_input: bool) -> None:
        """Show the input and hide the images that cover it, those of other runs too, or show all again as it was.

        Raises
        ------
        InputError
            No layer in the viewer has the data of the input.
        """
        if not is_input:
            for layer, was_visible in self._before.items():
                layer.visible = was_visible
            self._before = {}
            return
        layers = self.viewer.layers
        source = find_layer(self.viewer, self.source)
        if source is None:
            raise InputError(
                f"The layer '{self.source.name}' is not in the viewer any more, or has other data. Use Swipe to see the input."
            )
        above = [layer for layer in layers[layers.index(source) + 1 :] if isinstance(layer, Image) and layer.visible]
        self._before = {layer: layer.visible for layer in (source, *above)}
        source.visible = True
        for layer in above:
            layer.visible = False

    def show_image(self, image: NDArray[Any], report: Mapping[str, Any] | None = None) -> None:
        """Put an image into the result layer, which is made anew if it was removed or changed.

        Parameters
        ----------
        image
            Image in the shape of the input.
        report
            Report for the layer's metadata; ``None`` leaves them as they are.
        """
        if self.result is None or not self._own.has(self.result):
            layer = image_layer(visible(self.source, image), image.copy(), f"{self.source.name} denoised")
            self.result = self._own.add(layer)
        else:
            self._own.put(self.result, image.copy())
        if report is not None:
            put_report(self.result, report)

    def point_to(self, step: int) -> bool:
        """Move the slider of the snapshots to a step; return True if the snapshots show it."""
        layer = self.snapshots
        if layer is None or not self._own.has(layer) or not layer.visible:
            return False
        axis = self._iteration_axis(layer)
        if axis in self.viewer.dims.displayed:
            return False
        self.viewer.dims.set_point(axis, step)
        return True

    def snapshot_on_screen(self) -> Snapshot:
        """Return the snapshot that the slider of the iteration axis points to.

        Raises
        ------
        InputError
            There is no snapshots layer, or it does not show a single snapshot.
        """
        layer = self.snapshots
        if layer is None or layer not in self.viewer.layers:
            raise InputError("There are no snapshots to promote. Run with 'Snapshots' checked first.")
        if not self._own.owns(layer) or not isinstance(layer.data, StepStack):
            raise InputError("The snapshots layer was changed, so that its steps are unknown. Run again.")
        axis = self._iteration_axis(layer)
        if axis in self.viewer.dims.displayed:
            raise InputError(
                "The iteration axis is displayed, so no single snapshot is on screen. Make it a slider first."
            )
        return layer.data.at(round(self.viewer.dims.point[axis]))

    def _show_snapshots(self, snapshots: Sequence[Snapshot], report: Mapping[str, Any], step: int) -> None:
        """Put the snapshots on top, with the slider at the step that is kept."""
        layer = self.snapshots
        if layer is None or not self._own.has(layer):
            source = visible(self.source, snapshots[-1].image)
            layer = snapshots_layer(self.viewer, source, snapshots, f"{self.source.name} snapshots")
            self.snapshots = self._own.add(layer)
        elif not (isinstance(layer.data, StepStack) and layer.data.snapshots == tuple(snapshots)):
            self._own.put(layer, StepStack(snapshots, layer.data.n_between))
        steps = [snapshot.step for snapshot in snapshots]
        put_report(layer, report, steps=steps)
        self.viewer.dims.set_point(self._iteration_axis(layer), step)

    def _iteration_axis(self, layer: Image) -> int:
        return int(self.viewer.dims.ndim - layer.ndim)
