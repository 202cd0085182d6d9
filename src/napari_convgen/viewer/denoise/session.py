"""One denoising at a time, and the step of it that the user keeps."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_convgen.errors import InputError
from napari_convgen.viewer.denoise.layers import RunLayers
from napari_convgen.viewer.denoise.repeat import repeat
from napari_convgen.viewer.denoise.request import DenoiseRequest, Details, Outputs, details_of
from napari_convgen.viewer.layers.door import add_layer, find_layer
from napari_convgen.viewer.layers.kept_place import layer_at, source_at
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
        self._latest: tuple[RunLayers, DenoiseTask] | None = None  # the last run, whose task can be given more steps

    @property
    def noise(self) -> NoiseModel | None:
        """Model of the noise of the frame that is being fitted; ``None`` if nothing is."""
        return None if self.task is None else self.task.noise

    @property
    def step_to_continue(self) -> int | None:
        """Step that `continue_from_here` starts from: the last, or one near that which the user went back to; ``None`` if it cannot.

        Of a run whose task is gone it is the step itself, see `has_task`.
        """
        finished, task = self._finished, self._task_at_hand
        if self.is_busy or finished is None or not finished.ended.is_single:
            return None
        if finished.ended.config.generator.is_guide_alone:  # no step changes it
            return None
        step = _chosen_step(finished)
        if task is None:
            return step or len(finished.ended.frames[0].loss)
        return task.step_before_extension(step) if task.can_extend else None

    @property
    def usual_steps(self) -> int | None:
        """Number of steps that the current run had at most; ``None`` if there is none."""
        return None if self._finished is None else self._finished.ended.config.n_steps

    @property
    def has_task(self) -> bool:
        """True if the networks of the current run are at hand; else its steps are taken again before it is continued."""
        return self._task_at_hand is not None

    @property
    def is_as_ended(self) -> bool:
        """True if the user has chosen no other step of the current run."""
        return self._finished is None or not self._finished.chosen_steps

    @property
    def can_undo(self) -> bool:
        """True if another step was kept before the one that is kept now, or the run was continued."""
        finished = self._finished
        return not self.is_busy and finished is not None and bool(finished.chosen_steps or finished.before)

    @property
    def _task_at_hand(self) -> DenoiseTask | None:
        """The task of the current run, if that is the last: those of earlier ones are let go."""
        return self._latest[1] if self._latest is not None and self._latest[0] is self._current else None

    def continue_from_here(self, n_steps: int) -> None:
        """Give the current run more steps: from where it ended, or from the step that the user went back to.

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
        finished, task = self._finished, self._task_at_hand
        if finished is None or self.step_to_continue is None:
            raise InputError("There is no finished run of a single image to continue. Press Run first.")
        request, step = finished.request, _chosen_step(finished)
        if task is None:
            finished.layers.begin()
            again = replace(request, config=finished.ended.config)
            self._start(request.title, repeat, again, finished.ended, n_steps, step, layers=finished.layers)
            return
        task.extend(n_steps, step)
        finished.layers.begin()
        self._start(request.title, work.advance, request, task, layers=finished.layers, task=task)

    def show_step(self, step: int) -> None:
        """Show the snapshot of a step, and leave the result as it is: in the snapshots if they are there, else in its place."""
        if self.layers is not None and self._finished is not None and not self.layers.point_to(step):
            self.layers.show_image(self._finished.ended.keep(step).image)

    def keep(self, step: int) -> None:
        """Make the snapshot of a step, or the latest before it, the result, with all that is shown beside it.

        Parameters
        ----------
        step
            Step of the current run, from 1.

        Raises
        ------
        InputError
            There is no finished run.
        """
        finished = self._finished
        if self.is_busy or finished is None:
            raise InputError("There is no finished run to choose a step of. Press Run first.")
        step = finished.ended.keep(step).step
        if step != _chosen_step(finished):
            self._choose(finished, (*finished.chosen_steps, step))

    def undo(self) -> None:
        """Go back to the step that was kept before the last choice, or else to the run as it was before it was continued."""
        finished = self._finished
        if self.is_busy or finished is None:
            return
        if finished.chosen_steps:
            self._choose(finished, finished.chosen_steps[:-1])
        elif finished.before is not None:
            self._release()  # the task has taken the steps that are undone
            self._choose(finished.before, finished.before.chosen_steps)
            self.turned.emit()

    def _choose(self, finished: Finished[DenoiseRequest, DenoiseResult, RunLayers], steps: tuple[int, ...]) -> None:
        result = finished.ended.keep(steps[-1]) if steps else finished.ended
        report = finished.request.report(result)
        finished = replace(finished, result=result, report=report, chosen_steps=steps)
        self._remember(finished)
        finished.layers.show(result, finished.report, details_of(result, finished.request.outputs))
        self.kept.emit(result)

    def current_run(self) -> Finished[DenoiseRequest, DenoiseResult, RunLayers]:
        """Return the current run.

        Raises
        ------
        InputError
            There is none.
        """
        if self._finished is None:
            raise InputError("There is no finished run. Press Run first.")
        return self._finished

    def reopen(
        self,
        result: DenoiseResult,
        place: Mapping[str, Any],
        chosen_steps: tuple[int, ...] = (),
        has_residual: bool = False,
    ) -> None:
        """Show a run that was saved, so that another step of it can be chosen; its input is added where it is not there.

        Parameters
        ----------
        result
            Result as the run ended.
        place
            Place and looks of its input, from `napari_convgen.viewer.layers.kept_place.keep_place`.
        chosen_steps
            Steps that the user has chosen since; none by default.
        has_residual
            True if the run showed what was taken away, too; by default False.
        """
        self._refuse_if_busy()
        self._release()
        source = source_at(place, result.input)
        layer = find_layer(self.viewer, source)
        if layer is None:
            layer = layer_at(place, result.input)
            add_layer(self.viewer, layer)
        source = replace(source, origin=weakref.ref(layer))
        reference = None if result.reference is None else result.reference.image
        outputs = Outputs(has_residual=has_residual, has_expected_error=True)
        request = DenoiseRequest(source, result.config, outputs, reference)
        self._choose(Finished(request, self._new_layers(request), result, {}, result), chosen_steps)
        self.state_changed.emit(self.state)
        self.finished.emit(self.result)

    def step_on_screen(self) -> int:
        """Return the step of the snapshot that the slider points to.

        Raises
        ------
        InputError
            No single snapshot of the current run is on screen.
        """
        if self.layers is None:
            raise InputError("There are no snapshots to promote. Press Run first.")
        return self.layers.snapshot_on_screen().step

    def promote(self) -> None:
        """Make the snapshot on screen the result.

        Raises
        ------
        InputError
            No single snapshot of the current run is on screen.
        """
        self.keep(self.step_on_screen())

    def _new_layers(self, request: DenoiseRequest) -> RunLayers:
        return RunLayers(self.viewer, request.source, request.outputs)

    def _show_preview(self, layers: RunLayers, task: DenoiseTask, progress: Any, preview: Any) -> None:
        layers.show_preview(task.indices[progress.piece], preview)

    def _show_result(
        self, finished: Finished[DenoiseRequest, DenoiseResult, RunLayers], task: DenoiseTask, details: Details
    ) -> None:
        self._latest = finished.layers, task
        finished.layers.show(finished.result, finished.report, details)

    def _undo(self, layers: RunLayers) -> None:
        self._release()  # a task that was continued is not where its result says
        layers.undo(self.result, self.report)

    def _release(self) -> None:
        self._latest = None


def _chosen_step(finished: Finished[DenoiseRequest, DenoiseResult, RunLayers]) -> int | None:
    """Return the step that the user has chosen last; ``None`` if the run is as it ended."""
    return finished.chosen_steps[-1] if finished.chosen_steps else None
