"""A run into a file: what is asked, the layer that fills, and the session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_convgen.config import Config
from napari_convgen.viewer.layers.door import LayerInput, image_layer, put_report
from napari_convgen.viewer.layers.following import LayersOnInput
from napari_convgen.viewer.layers.under_way import UnderWay
from napari_convgen.viewer.worker.job import N_SPARED_THREADS
from napari_convgen.viewer.worker.session import Finished, Session
from napari_convgen.viewer.worker.work import Request

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.batch.store import StoreProgress, StoreResult, StoreTask


@dataclass(frozen=True, eq=False)
class StoreRequest(Request["StoreTask", "StoreResult"]):
    """What is asked of a run into a file.

    Attributes
    ----------
    config
        Settings of the run.
    path
        OME-Zarr image to write.
    first
        Place on screen, which is done first: of the frame by the axes that count frames, and of the middle of the view by those of the
        plane; none by default.
    """

    config: Config
    path: Path
    first: Mapping[int, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Title of the progress bar."""
        return f"Denoising {self.source.name} into {self.path.name}"

    def build(self) -> StoreTask:
        """Return the task, its input checked."""
        from napari_convgen.batch.store import StoreTask

        self.path.parent.mkdir(parents=True, exist_ok=True)
        source = self.source
        return StoreTask(source.image, self.config, self.path, source.identity, self.first, N_SPARED_THREADS)

    def preview(self, task: StoreTask, progress: StoreProgress, is_due: bool) -> Any:
        """Return the numbers of the pieces that are done, whenever one has ended and when the run begins."""
        is_new = progress.fit is None or (progress.n_ended == progress.n_before and is_due)
        return sorted(task.plan.statuses()) if is_new else None

    def details(self, task: StoreTask, result: StoreResult) -> Any:
        """Return the levels of the image that was written, the largest first; ``None`` if it is not finished."""
        from napari_convgen.files.images import read_image

        if not result.plan.is_done:
            return None
        file = read_image(result.plan.output)
        return [file.data, *file.smaller]


class StoreLayers:
    """The layer of a run into a file: what is done, over the input, and at the end the image on the disk itself.

    Parameters
    ----------
    viewer
        Viewer that the layer is added to.
    source
        Image that is denoised.

    Attributes
    ----------
    result
        The layer; ``None`` before a piece is done.
    """

    def __init__(self, viewer: ViewerModel, source: LayerInput) -> None:
        self.viewer = viewer
        self.result: Image | None = None
        self._own = LayersOnInput(viewer, source)
        self._had_result = False
        self._filled: tuple[str, set[int]] = "", set()

    @property
    def source(self) -> LayerInput:
        """The image, as it lies now."""
        return self._own.source

    def owns(self, layer: Any) -> bool:
        """Return True for the layer of the run, with the data that the run gave it."""
        return self._own.owns(layer)

    def begin(self) -> None:
        """Note what is shown before a run goes on; `undo` returns to it."""
        self._had_result = self._own.has(self.result)

    def fill(self, task: StoreTask, numbers: list[int]) -> None:
        """Show the pieces that are done."""
        plan = task.plan
        if self.result is None or not self._own.has(self.result):
            self._show(UnderWay(self.source.data, np.dtype(plan.cut.dtype)))
            self._filled = "", set()
        if self.result is not None and isinstance(self.result.data, UnderWay):
            digest, filled = self._filled
            filled = filled if digest == plan.digest else set()
            for number in set(numbers) - filled:
                if plan.values_of(number).is_file():
                    self.result.data[plan.pieces[number].index] = plan.values_of(number)
                    filled.add(number)
            self._filled = plan.digest, filled
            self.result.refresh(extent=False, highlight=False, thumbnail=False)

    def finish(self, levels: Sequence[Any] | None, report: Mapping[str, Any]) -> None:
        """Show the image on the disk in all its resolutions, if it is finished."""
        if levels is not None:
            is_multiscale = self.result is not None and self._own.has(self.result) and self.result.multiscale
            self._show(levels if is_multiscale else levels[0])
            if self.result is not None and len(levels) > 1 and not is_multiscale:
                self.result = self._own.change(self.result, levels)
        if self.result is not None:
            put_report(self.result, report)

    def undo(self) -> None:
        """Remove the layer, unless it was there before the run."""
        if not self._had_result:
            self._own.remove(self.result)
            self.result = None

    def _show(self, data: Any) -> None:
        if self.result is None or not self._own.has(self.result):
            self.result = self._own.add(image_layer(self.source, data, f"{self.source.name} denoised"))
        else:
            self._own.put(self.result, data)


class StoreSession(Session[StoreRequest, "StoreTask", "StoreResult", StoreLayers]):
    """Runs into files for one viewer."""

    def _new_layers(self, request: StoreRequest) -> StoreLayers:
        """Return the layer of the last run if that was of the same image into the same file, or a new one."""
        last, source = self._finished, request.source
        is_again = (
            last is not None
            and last.request.path == request.path
            and last.request.source.name == source.name
            and last.request.source.is_same(source)
        )
        layers = last.layers if last is not None and is_again else StoreLayers(self.viewer, source)
        layers.begin()
        return layers

    def _show_preview(self, layers: StoreLayers, task: StoreTask, progress: Any, preview: Any) -> None:
        layers.fill(task, preview)

    def _show_result(
        self, finished: Finished[StoreRequest, StoreResult, StoreLayers], task: StoreTask, details: Any
    ) -> None:
        if details is None:
            layers = finished.layers
            layers.fill(task, sorted(task.plan.statuses()))
        finished.layers.finish(details, finished.report)

    def _undo(self, layers: StoreLayers) -> None:
        layers.undo()
