"""One denoising at a time, and the step of it that the user keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_convgen.errors import InputError
from napari_convgen.viewer.denoise.layers import RunLayers
from napari_convgen.viewer.denoise.request import DenoiseRequest, Details, details_of
from napari_convgen.viewer.worker import work
from napari_convgen.viewer.worker.session import Finished, Session

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.core.noise import NoiseModel
    from napari_convgen.run.denoise.result import DenoiseResult
    from napari_convgen.run.denoise.run import DenoiseTask


class DenoiseSession(Session[DenoiseRequest, "DenoiseTask", "DenoiseResult", RunLayers]):
    """Runs denoisings for one viewer, and makes the step that the user chooses the result.

    Parameters
    ----------
    viewer
        The viewer whose layers are read and added to.

    """

    kept = Signal(object)  # the result, with another step kept

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        self._ended: DenoiseResult | None = None  # as the last run ended, with its own step
        self._task: DenoiseTask | None = None  # of the last run, which can be given more steps
        self._from_step: int | None = None  # that the user went back to

    @property
    def noise(self) -> NoiseModel | None:
        """Model of the noise of the frame that is being fitted; ``None`` if nothing is."""
        return None if self.task is None else self.task.noise

    @property
    def step_to_continue(self) -> int | None:
        """Step that `continue_from_here` starts from: the last, or one near that which the user went back to; ``None`` if it cannot."""
        if self.is_busy or self._task is None or not self._task.can_extend:
            return None
        return self._task.step_before_extension(self._from_step)

    @property
    def can_continue(self) -> bool:
        """True if the last run can be given more steps."""
        return self.step_to_continue is not None

    def continue_from_here(self, n_steps: int) -> None:
        """Give the last run more steps: from where it ended, or from the step that the user went back to.

        Parameters
        ----------
        n_steps
            Number of steps, at least 1.

        Raises
        ------
        InputError, ConfigError
            There is no finished run, or it is over a stack.
        """
        self._refuse_if_busy()
        finished, task = self._finished, self._task
        if finished is None or task is None:
            raise InputError("There is no finished run to continue. Press Run first.")
        task.extend(n_steps, self._from_step)
        finished.layers.begin()
        request = finished.request
        self._start(request.title, work.advance, request, task, layers=finished.layers, task=task)

    def show_step(self, step: int) -> None:
        """Show the snapshot of a step, and leave the result as it is: in the snapshots if they are there, else in its place."""
        if self.layers is not None and self._ended is not None and not self.layers.point_to(step):
            self.layers.show_image(self._ended.keep(step).image)

    def keep(self, step: int) -> None:
        """Make the snapshot of a step, or the latest before it, the result, with all that is shown beside it.

        Parameters
        ----------
        step
            Step of the last run, from 1.

        Raises
        ------
        InputError
            There is no finished run.
        """
        finished, ended = self._finished, self._ended
        if self.is_busy or finished is None or ended is None:
            raise InputError("There is no finished run to choose a step of. Press Run first.")
        result = ended.keep(step)
        self._from_step = result.step
        self._finished = finished = replace(finished, result=result, report=result.report())
        finished.layers.show(result, finished.report, details_of(result, finished.request.outputs))
        self.kept.emit(result)

    def step_on_screen(self) -> int:
        """Return the step of the snapshot that the slider points to.

        Raises
        ------
        InputError
            No single snapshot of the last run is on screen.
        """
        if self.layers is None:
            raise InputError("There are no snapshots to promote. Press Run first.")
        return self.layers.snapshot_on_screen().step

    def promote(self) -> None:
        """Make the snapshot on screen the result.

        Raises
        ------
        InputError
            No single snapshot of the last run is on screen.
        """
        self.keep(self.step_on_screen())

    def _new_layers(self, request: DenoiseRequest) -> RunLayers:
        return RunLayers(self.viewer, request.source, request.outputs)

    def _show_preview(self, layers: RunLayers, task: DenoiseTask, progress: Any, preview: Any) -> None:
        layers.show_preview(task.indices[progress.piece], preview)

    def _show_result(
        self, finished: Finished[DenoiseRequest, DenoiseResult, RunLayers], task: DenoiseTask, details: Details
    ) -> None:
        self._ended, self._task, self._from_step = finished.result, task, None
        finished.layers.show(finished.result, finished.report, details)

    def _undo(self, layers: RunLayers) -> None:
        self._release()  # a task that was continued is not where its result says
        layers.undo(self.result, self.report)

    def _release(self) -> None:
        self._task = None
