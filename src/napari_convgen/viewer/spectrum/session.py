"""One look at a Jacobian at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_convgen.viewer.spectrum.layers import SpectrumLayers
from napari_convgen.viewer.spectrum.request import SpectrumRequest
from napari_convgen.viewer.worker.session import Finished, Session

if TYPE_CHECKING:
    from napari_convgen.run.spectrum.result import SpectrumResult
    from napari_convgen.run.spectrum.run import SpectrumTask


class SpectrumSession(Session[SpectrumRequest, "SpectrumTask", "SpectrumResult", SpectrumLayers]):
    """Looks at Jacobians for one viewer. Layers are added at the end, so that nothing is to be undone."""

    @property
    def layers(self) -> SpectrumLayers | None:
        """The layers of the last run, also while the next one is under way; ``None`` before the first."""
        return None if self._finished is None else self._finished.layers

    def _new_layers(self, request: SpectrumRequest) -> SpectrumLayers:
        return SpectrumLayers(self.viewer, request.source)

    def _show_result(
        self, finished: Finished[SpectrumRequest, SpectrumResult, SpectrumLayers], task: SpectrumTask, details: None
    ) -> None:
        finished.layers.add(finished.result, finished.report, finished.request.settings.has_grid)
