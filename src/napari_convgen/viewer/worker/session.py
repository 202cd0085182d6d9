"""One task at a time, and what the user does with it: the same for all widgets that run something.

A session knows no widget: a widget sends it commands and shows what its signals say. It outlives the widget, so that a task whose widget
was closed still delivers what it has.
"""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from psygnal import Signal

from napari_convgen.errors import InputError
from napari_convgen.viewer.worker import work
from napari_convgen.viewer.worker.job import Job, notify
from napari_convgen.viewer.worker.work import Answer, Request, ResultT, TaskT, Update

if TYPE_CHECKING:
    from napari.components import ViewerModel


class ShownLayers(Protocol):
    """The layers that show a run."""

    def owns(self, layer: Any) -> bool:
        """Return True for a layer of the run with the data that the run gave it."""
        ...


RequestT = TypeVar("RequestT", bound="Request[Any, Any]")
LayersT = TypeVar("LayersT", bound=ShownLayers)

PREVIEW_SECONDS = 0.3
"""Previews are shown about three times a second, or less often where showing one takes long."""

MAX_DISPLAY_SHARE = 0.2
"""Share of the time that showing previews may take."""


class State(enum.Enum):
    """What a session is doing."""

    IDLE = "idle"
    LOADING = "loading"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"


@dataclass(frozen=True, eq=False)
class Running(Generic[RequestT, TaskT, LayersT]):
    """What exists only while a session is busy.

    Attributes
    ----------
    job
        The worker's thread.
    request
        What was asked for.
    layers
        The layers that show the task; ``None`` while only a forecast is made.
    task
        The task; ``None`` while it is loaded.
    state
        What the session is doing.
    """

    job: Job
    request: RequestT
    layers: LayersT | None
    task: TaskT | None
    state: State


@dataclass(frozen=True, eq=False)
class Finished(Generic[RequestT, ResultT, LayersT]):
    """A run that has ended with a result.

    Attributes
    ----------
    request
        What was asked for.
    layers
        The layers that show the run.
    result
        Result of the run, with the step that the user has chosen last.
    report
        Report of the result, as plain values.
    ended
        Result as the run ended.
    chosen_steps
        Steps that the user has chosen since, in that order; none by default.
    before
        The run as it was before it was given more steps; ``None``, the default, if it was not.
    """

    request: RequestT
    layers: LayersT
    result: ResultT
    report: Mapping[str, Any]
    ended: ResultT
    chosen_steps: tuple[int, ...] = ()
    before: Finished[RequestT, ResultT, LayersT] | None = None


class Session(Generic[RequestT, TaskT, ResultT, LayersT]):
    """Runs one task at a time for one viewer.

    Of the runs that have ended, the current one is that whose layer was selected last, or else the last; what a session says of layers,
    request, result and report is of that one.

    A verb's session says which layers show a task (`_new_layers`), what they show of its progress (`_show_preview`) and of its answer
    (`_show_result`), and how they are taken back (`_undo`). How the task is built is said by its request.

    Parameters
    ----------
    viewer
        The viewer whose layers are read and added to.

    """

    state_changed = Signal(State)
    progressed = Signal(object)  # the task's progress
    finished = Signal(object)  # the result, or None after a cancel or an error
    forecasted = Signal(object)  # the forecast, or None after a cancel or an error
    failed = Signal(Exception)
    turned = Signal()  # to another run that has ended: one of its layers was selected; or to none: no layer is left

    MAX_PREVIEW_SECONDS = math.inf
    """Two previews are at most this far apart, also where showing one takes long."""

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self._running: Running[RequestT, TaskT, LayersT] | None = None
        self._runs: dict[LayersT, Finished[RequestT, ResultT, LayersT]] = {}  # that have ended with a result
        self._current: LayersT | None = None
        viewer.layers.selection.events.active.connect(self._follow_layers)
        viewer.layers.events.removed.connect(self._forget_all_if_empty)

    @property
    def state(self) -> State:
        """What the session is doing."""
        return State.IDLE if self._running is None else self._running.state

    @property
    def is_busy(self) -> bool:
        """True while a run or a forecast is under way, also while it is paused."""
        return self._running is not None

    @property
    def task(self) -> TaskT | None:
        """The task under way; ``None`` if there is none, or while it is loaded."""
        return None if self._running is None else self._running.task

    @property
    def layers(self) -> LayersT | None:
        """The layers of the run under way, or else of the current one; ``None`` before the first."""
        if self._running is not None and self._running.layers is not None:
            return self._running.layers
        return None if self._finished is None else self._finished.layers

    @property
    def request(self) -> RequestT | None:
        """Request of the current run; ``None`` before the first."""
        return None if self._finished is None else self._finished.request

    @property
    def result(self) -> ResultT | None:
        """Result of the current run; ``None`` before the first."""
        return None if self._finished is None else self._finished.result

    @property
    def report(self) -> Mapping[str, Any]:
        """Report of the result, as plain values; empty before the first."""
        return {} if self._finished is None else self._finished.report

    @property
    def all_layers(self) -> list[LayersT]:
        """The layers of all runs, also of the one under way."""
        running = None if self._running is None else self._running.layers
        return [*self._runs, *([running] if running is not None and running not in self._runs else [])]

    @property
    def _finished(self) -> Finished[RequestT, ResultT, LayersT] | None:
        """The current run."""
        return None if self._current is None else self._runs[self._current]

    def run(self, request: RequestT) -> None:
        """Start a run.

        Parameters
        ----------
        request
            What is to be done.

        Raises
        ------
        InputError
            A run or a forecast is under way.
        """
        self._refuse_if_busy()
        self._release()
        self._forget_removed()
        self._start(request.title, work.start, request, layers=self._new_layers(request))

    def forecast(self, request: RequestT) -> None:
        """Find out what memory and time a run would take; the last one stays as it is.

        Parameters
        ----------
        request
            What would be done.

        Raises
        ------
        InputError
            A run or a forecast is under way.
        """
        self._refuse_if_busy()
        self._start(f"Trying {request.source.name}", work.forecast, request, layers=None)

    def pause(self) -> None:
        """Pause the run; `resume` takes it up again."""
        if self._running is not None and self._running.state is State.RUNNING:
            self._running.job.link.is_allowed.clear()
            self._change(state=State.PAUSED)

    def resume(self) -> None:
        """Take up the run after a pause."""
        if self._running is not None and self._running.state is State.PAUSED:
            self._running.job.link.is_allowed.set()
            self._change(state=State.RUNNING)

    def stop(self) -> None:
        """End the run soon and keep what there is; while it is loaded, and of a forecast, nothing is: cancel it."""
        running = self._running
        if running is None:
            return
        if running.task is None:
            self.cancel()
            return
        running.job.link.is_stopping = True
        running.task.stop()
        running.job.link.is_allowed.set()
        self._change(state=State.STOPPING)

    def cancel(self) -> None:
        """End the run at once and leave the viewer as it was before it."""
        if self._running is not None:
            self._running.job.leave()
            self._on_answer(Answer())

    def _new_layers(self, request: RequestT) -> LayersT:
        """Return what will show a run."""
        raise NotImplementedError

    def _show_preview(self, layers: LayersT, task: TaskT, progress: Any, preview: Any) -> None:
        """Show what `Request.preview` returned. By default nothing is shown before the end."""

    def _show_result(self, finished: Finished[RequestT, ResultT, LayersT], task: TaskT, details: Any) -> None:
        """Show a result with what `Request.details` returned."""
        raise NotImplementedError

    def _undo(self, layers: LayersT) -> None:
        """Take back what a run has shown. By default nothing was."""

    def _release(self) -> None:
        """Release memory of the last run before the next one. By default there is none to release."""

    def _remember(self, finished: Finished[RequestT, ResultT, LayersT]) -> None:
        """Make a run that has ended the current one."""
        self._runs[finished.layers] = finished
        self._current = finished.layers

    def _forget_removed(self) -> None:
        """Let go of the runs whose layers were all removed, but the current one."""
        shown = {layers for layers in self._runs if any(layers.owns(layer) for layer in self.viewer.layers)}
        self._runs = {layers: run for layers, run in self._runs.items() if layers in shown or layers is self._current}

    def _forget_all_if_empty(self) -> None:
        """Let go of all runs, also the current one, when no layer is left in the viewer; while a run is under way, keep them."""
        if not self.viewer.layers and not self.is_busy:
            self._release()
            self._runs, self._current = {}, None
            self.turned.emit()

    def _follow_layers(self) -> None:
        """Turn to the run whose layer is selected; while a run is under way, stay with that."""
        active = self.viewer.layers.selection.active
        owner = next((layers for layers in self._runs if layers.owns(active)), None)
        if owner is not None and owner is not self._current and not self.is_busy:
            self._current = owner
            self.turned.emit()

    def _start(
        self,
        title: str,
        function: Any,
        request: RequestT,
        *arguments: Any,
        layers: LayersT | None,
        task: TaskT | None = None,
    ) -> None:
        job = Job(title, function, request, *arguments, on_message=self._on_update, on_answer=self._on_answer)
        self._running = Running(job, request, layers, task, State.LOADING if task is None else State.RUNNING)
        self.state_changed.emit(self.state)

    def _change(self, **changes: Any) -> None:
        """Change what is running."""
        if self._running is not None:
            self._running = replace(self._running, **changes)
            self.state_changed.emit(self.state)

    def _refuse_if_busy(self) -> None:
        if self.is_busy:
            raise InputError("A run is under way. Wait for it, stop it or cancel it first.")

    def _on_update(self, update: Update[TaskT]) -> None:
        if update.forecast is not None:
            self.forecasted.emit(update.forecast)
        if update.task is not None:
            self._change(task=update.task, state=State.RUNNING)
        running = self._running
        if update.progress is None or running is None or running.task is None or running.layers is None:
            return
        if update.preview is not None:
            started = time.perf_counter()
            self._show_preview(running.layers, running.task, update.progress, update.preview)
            now = time.perf_counter()
            wait = max(PREVIEW_SECONDS, (now - started) / MAX_DISPLAY_SHARE)
            running.job.link.next_preview = now + min(self.MAX_PREVIEW_SECONDS, wait)
        self.progressed.emit(update.progress)
        running.job.show_progress(update.progress.share)

    def _on_answer(self, answer: Answer[ResultT]) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        layers, result = running.layers, answer.result
        try:
            if layers is None:
                pass
            elif result is not None and running.task is not None:
                before = self._runs.get(layers)
                finished = Finished(running.request, layers, result, answer.report, result, before=before)
                self._remember(finished)
                self._show_result(finished, running.task, answer.details)
            else:
                self._undo(layers)
                self._forget_all_if_empty()
        finally:
            self.state_changed.emit(self.state)
        if layers is None:
            self.forecasted.emit(answer.forecast)
        else:
            self.finished.emit(result)
        if answer.error is not None:
            self.failed.emit(answer.error)
            notify(answer.error)
