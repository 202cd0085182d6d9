"""One reconstruction at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_convgen.viewer.reconstruct.layers import ReconstructionLayers
from napari_convgen.viewer.reconstruct.request import Details, ReconstructRequest
from napari_convgen.viewer.worker.session import Finished, Session

if TYPE_CHECKING:
    from napari_convgen.run.reconstruct.result import ReconstructResult
    from napari_convgen.run.reconstruct.run import ReconstructTask


class ReconstructSession(Session[ReconstructRequest, "ReconstructTask", "ReconstructResult", ReconstructionLayers]):
    """Runs reconstructions for one viewer."""

    def _new_layers(self, request: ReconstructRequest) -> ReconstructionLayers:
        return ReconstructionLayers(self.viewer, request)

    def _show_preview(self, layers: ReconstructionLayers, task: ReconstructTask, progress: Any, preview: Any) -> None:
        layers.show_preview(preview)

    def _show_result(
        self,
        finished: Finished[ReconstructRequest, ReconstructResult, ReconstructionLayers],
        task: ReconstructTask,
        details: Details,
    ) -> None:
        finished.layers.show(details, finished.report, finished.result.step)

    def _undo(self, layers: ReconstructionLayers) -> None:
        layers.undo()
