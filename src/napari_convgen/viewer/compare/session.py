"""One comparison of methods at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_convgen.viewer.compare.layers import ComparisonLayers
from napari_convgen.viewer.compare.request import CompareRequest, DoneMethod
from napari_convgen.viewer.worker.session import Finished, Session

if TYPE_CHECKING:
    from napari_convgen.run.compare.result import CompareResult
    from napari_convgen.run.compare.run import CompareTask


class CompareSession(Session[CompareRequest, "CompareTask", "CompareResult", ComparisonLayers]):
    """Runs comparisons for one viewer."""

    def _new_layers(self, request: CompareRequest) -> ComparisonLayers:
        return ComparisonLayers(self.viewer, request.source, request.titles)

    def _show_preview(self, layers: ComparisonLayers, task: CompareTask, progress: Any, preview: DoneMethod) -> None:
        layers.show(preview)

    def _show_result(
        self, finished: Finished[CompareRequest, CompareResult, ComparisonLayers], task: CompareTask, details: None
    ) -> None:
        finished.layers.add_report(finished.report)

    def _undo(self, layers: ComparisonLayers) -> None:
        layers.undo()
