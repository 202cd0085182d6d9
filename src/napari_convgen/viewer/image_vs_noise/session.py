"""Fits to one image and to noise at a time, and the step of them on screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_convgen.viewer.image_vs_noise.layers import FitsLayers
from napari_convgen.viewer.image_vs_noise.request import FitsRequest, Preview, in_magnitudes
from napari_convgen.viewer.worker.session import Finished, Session

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.image_vs_noise.result import CompareFitsResult
    from napari_convgen.run.image_vs_noise.run import CompareFitsTask


class FitsSession(Session[FitsRequest, "CompareFitsTask", "CompareFitsResult", FitsLayers]):
    """Runs fits to an image and to noise for one viewer.

    Parameters
    ----------
    viewer
        The viewer whose layers are read and added to, and shown side by side.
    """

    step_changed = Signal()  # the step on screen

    MAX_PREVIEW_SECONDS = 3.0  # the first preview takes long, since layers are added for it

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        viewer.dims.events.point.connect(self._on_slider)

    def _on_slider(self) -> None:
        for layers in self.all_layers:
            layers.name_steps()
        self.step_changed.emit()

    def _new_layers(self, request: FitsRequest) -> FitsLayers:
        return FitsLayers(self.viewer, request.source)

    def _show_preview(self, layers: FitsLayers, task: CompareFitsTask, progress: Any, preview: Preview) -> None:
        layers.show(preview.snapshots, preview.noise)

    def _show_result(
        self, finished: Finished[FitsRequest, CompareFitsResult, FitsLayers], task: CompareFitsTask, details: None
    ) -> None:
        layers, result = finished.layers, finished.result
        snapshots = {target.name: in_magnitudes(target.snapshots) for target in result.targets}
        noise = result["noise"].values if task.look.measures_image else None
        layers.finish(snapshots, noise, finished.report)
        layers.point_to(result.first_step("image") or result.steps[-1])

    def _undo(self, layers: FitsLayers) -> None:
        layers.undo()
