"""The layers of one denoising: its result and, as they are wanted, snapshots, residual and expected error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_convgen.core.snapshot import Snapshot
from napari_convgen.errors import InputError
from napari_convgen.viewer.denoise.work import Outputs
from napari_convgen.viewer.layers.door import (
    LayerInput,
    StepStack,
    add_layer,
    expected_error_layer,
    image_layer,
    residual_layer,
    snapshots_layer,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.denoise.result import DenoiseResult

METADATA_KEY = "napari-convgen"
"""Under this key a layer's metadata holds the report of the run that made it."""


class RunLayers:
    """Puts what a run yields into layers, and takes back what a cancelled run has shown.

    The user may remove or change any of them at any time: a layer that is gone is made anew when there is something to show in it.

    Parameters
    ----------
    viewer
        That the layers are added to.
    source
        What is denoised.
    outputs
        Layers wanted beside the result.

    Attributes
    ----------
    result, snapshots, residual, expected_error
        The layers; ``None`` before they are made.
    """

    def __init__(self, viewer: ViewerModel, source: LayerInput, outputs: Outputs) -> None:
        self.viewer = viewer
        self.source = source
        self.outputs = outputs
        self.result: Image | None = None
        self.snapshots: Image | None = None
        self.residual: Image | None = None
        self.expected_error: Image | None = None
        self._had_result = False

    def begin(self) -> None:
        """Note what is there before the run starts or goes on; `undo` comes back to it."""
        self._had_result = self._is_shown(self.result)
        if not self._had_result:
            self.result = None

    def show_preview(self, index: tuple[int | slice, ...], preview: NDArray[Any]) -> None:
        """Show a frame in the making, in the layer that will hold the result."""
        if self.result is None:
            data = np.zeros(self.source.data.shape, self.source.data.dtype)
            data[index] = preview
            self.result = image_layer(self.source, data, f"{self.source.name} denoised")
            add_layer(self.viewer, self.result)
        elif self._is_shown(self.result):
            self.result.data[index] = preview
            self.result.refresh(extent=False, highlight=False, thumbnail=False)

    def undo(self, result: DenoiseResult | None, report: Mapping[str, Any]) -> None:
        """Show the result that was there before the run, or remove the preview if there was none."""
        if self.result is None or not self._is_shown(self.result):
            return
        if self._had_result and result is not None:
            self.show_image(result.image)
            self._tell(report)
        else:
            self.viewer.layers.remove(self.result)
            self.result = None

    def show(
        self,
        result: DenoiseResult,
        report: Mapping[str, Any],
        snapshots: Sequence[Snapshot],
        residual: NDArray[Any] | None,
    ) -> None:
        """Show a finished run, or another step of it, with the snapshots and the residual if they are wanted."""
        name = self.source.name
        self.show_image(result.image)
        self._tell(report)
        if snapshots:
            self._show_snapshots(snapshots, report, result.step)
        if residual is not None:
            self.residual = self._renew(self.residual, residual_layer(self.source, residual, f"{name} residual"))
        if self.outputs.has_expected_error and (error := result.expected_error) is not None:
            layer = expected_error_layer(self.source, error, f"{name} expected error")
            self.expected_error = self._renew(self.expected_error, layer)

    def show_image(self, image: NDArray[Any]) -> None:
        """Put an image into the result layer, anew if it was removed."""
        if self.result is None or not self._is_shown(self.result):
            self.result = image_layer(self.source, image.copy(), f"{self.source.name} denoised")
            add_layer(self.viewer, self.result)
        else:
            self.result.data = image.copy()

    def point_to(self, step: int) -> bool:
        """Move the slider of the snapshots to a step; return whether it shows there."""
        layer = self.snapshots
        if layer is None or not self._is_shown(layer) or not layer.visible:
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
        if layer is None or not self._is_shown(layer):
            raise InputError("There are no snapshots to promote. Run with 'Snapshots' checked first.")
        if not isinstance(layer.data, StepStack):
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
        if layer is None or not self._is_shown(layer):
            layer = snapshots_layer(self.source, snapshots, f"{self.source.name} snapshots", self._iteration_unit())
            self.snapshots = layer
            add_layer(self.viewer, layer)
        elif not (isinstance(layer.data, StepStack) and layer.data.snapshots == tuple(snapshots)):
            layer.data = StepStack(snapshots)
        layer.metadata = {METADATA_KEY: dict(report), "steps": [snapshot.step for snapshot in snapshots]}
        self.viewer.dims.set_point(self._iteration_axis(layer), step)

    def _tell(self, report: Mapping[str, Any]) -> None:
        assert self.result is not None
        self.result.metadata = {METADATA_KEY: dict(report)}

    def _renew(self, old: Image | None, new: Image) -> Image:
        """Show in a layer that is there what a new one would show, or else add the new one."""
        if old is not None and self._is_shown(old):
            old.data, old.contrast_limits = new.data, new.contrast_limits
            return old
        add_layer(self.viewer, new)
        return new

    def _is_shown(self, layer: Image | None) -> bool:
        return layer in self.viewer.layers

    def _iteration_unit(self) -> Any:
        """Return the unit that other layers give the axis: where units differ, napari uses none at all."""
        n = len(self.source.units) + 1
        return next((layer.units[-n] for layer in self.viewer.layers if layer.ndim >= n), "pixel")

    def _iteration_axis(self, layer: Image) -> int:
        return int(self.viewer.dims.ndim - layer.ndim)
