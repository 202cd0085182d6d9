"""One denoising at a time, and what the user does with it.

The session knows no widget: the widget sends it commands and shows what its signals say. It outlives the widget, so that a run
whose widget was closed still delivers what it has.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from psygnal import Signal

from napari_convgen.config import Config
from napari_convgen.errors import InputError
from napari_convgen.viewer.denoise import work
from napari_convgen.viewer.denoise.layers import RunLayers
from napari_convgen.viewer.denoise.work import Answer, Outputs, Update
from napari_convgen.viewer.layers.door import LayerInput, subtract
from napari_convgen.viewer.worker.job import Job, notify

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.core.noise import NoiseModel
    from napari_convgen.run.denoise.result import DenoiseResult
    from napari_convgen.run.denoise.run import DenoiseTask

PREVIEW_SECONDS = 0.3
"""The image is shown about three times a second, or less often where showing it takes long."""

MAX_DISPLAY_SHARE = 0.2
"""Share of the time that showing images may take."""


class State(enum.Enum):
    """What a session is doing."""

    IDLE = "idle"
    LOADING = "loading"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"


class Session:
    """Runs denoisings for one viewer.

    Parameters
    ----------
    viewer
        Its layers are read and added to.

    Attributes
    ----------
    state
        What it is doing.
    result, report
        Of the last run, with the step that is kept now.
    layers
        Of the last run; ``None`` before the first.
    """

    state_changed = Signal(State)
    progressed = Signal(object)  # DenoiseProgress
    finished = Signal(object)  # DenoiseResult, or None after a cancel or an error
    kept = Signal(object)  # DenoiseResult, with another step kept
    forecasted = Signal(object)  # Forecast, or None after a cancel or an error

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.state = State.IDLE
        self.result: DenoiseResult | None = None
        self.report: Mapping[str, Any] = {}
        self.layers: RunLayers | None = None
        self._run: DenoiseTask | None = None
        self._ended: DenoiseResult | None = None  # as the run ended, with its own step
        self._is_moved = False
        self._job: Job | None = None
        self._is_forecasting = False

    @property
    def is_busy(self) -> bool:
        """Whether a run is under way, paused ones included."""
        return self.state is not State.IDLE

    @property
    def can_continue(self) -> bool:
        """Whether the last run can be given more steps."""
        return not self.is_busy and self._run is not None and self._run.can_extend

    @property
    def noise(self) -> NoiseModel | None:
        """Model of the noise of the frame that is being fitted."""
        return None if self._run is None else self._run.noise

    @property
    def step_to_continue(self) -> int:
        """The step that `continue_from_here` goes on from: the last, or near the one that the user went back to."""
        assert self._run is not None
        return self._run.step_before_extension(self._from_step)

    @property
    def _from_step(self) -> int | None:
        return self.result.step if self._is_moved and self.result is not None else None

    def run(self, source: LayerInput, config: Config, outputs: Outputs | None = None, reference: Any = None) -> None:
        """Start a run.

        Parameters
        ----------
        source
            From `read_layer`.
        config
            What to do.
        outputs
            Layers wanted beside the result.
        reference
            Ground truth array, to score against.

        Raises
        ------
        InputError
            A run is under way.
        """
        self._refuse_if_busy()
        self._run = self.result = self._ended = None
        self.layers = RunLayers(self.viewer, source, outputs or Outputs())
        self._set_state(State.LOADING)
        self._begin(f"Denoising {source.name}", work.start, self.layers.outputs, source, config, reference)

    def forecast(self, source: LayerInput, config: Config) -> None:
        """Find out what a run would take; the last one stays as it is.

        Raises
        ------
        InputError
            A run is under way.
        """
        self._refuse_if_busy()
        self._is_forecasting = True
        self._set_state(State.LOADING)
        self._begin(f"Trying {source.name}", work.forecast, source, config)

    def continue_from_here(self, n_steps: int) -> None:
        """Give the last run more steps: from where it ended, or from the step that the user went back to.

        Raises
        ------
        InputError, ConfigError
            There is no finished run, or it is over a stack.
        """
        self._refuse_if_busy()
        if self._run is None or self.layers is None:
            raise InputError("There is no finished run to continue. Press Run first.")
        self._run.extend(n_steps, self._from_step)
        self.layers.begin()
        self._set_state(State.RUNNING)
        self._begin(f"Denoising {self.layers.source.name}", work.advance, self.layers.outputs, self._run)

    def pause(self) -> None:
        """Hold the run; `resume` takes it up again."""
        if self.state is State.RUNNING and self._job is not None:
            self._job.link.may_go.clear()
            self._set_state(State.PAUSED)

    def resume(self) -> None:
        """Go on after a pause."""
        if self.state is State.PAUSED and self._job is not None:
            self._job.link.may_go.set()
            self._set_state(State.RUNNING)

    def stop_and_keep(self) -> None:
        """End the run after its next step and keep the best image so far; before its first step, cancel it."""
        if self._run is None or self._is_forecasting:
            self.cancel()
        elif self._job is not None:
            self._run.stop()
            self._job.link.may_go.set()
            self._set_state(State.STOPPING)

    def cancel(self) -> None:
        """End the run at once and leave the viewer as it was before it, or before it was continued."""
        if self._job is None:
            return
        self._job.leave()
        if self._is_forecasting:
            self._on_forecast(Answer())
        else:
            self._end()
            self._give_up()

    def show_step(self, step: int) -> None:
        """Show the snapshot of a step, and leave the result as it is: in the snapshots if they are there, else in its place."""
        if self.layers is not None and self._ended is not None and not self.layers.point_to(step):
            self.layers.show_image(self._ended.keep(step).image)

    def keep(self, step: int) -> None:
        """Make the snapshot of a step, or the latest before it, the result; what goes with it follows.

        Raises
        ------
        InputError
            There is no finished run.
        """
        if self.is_busy or self._ended is None or self.layers is None:
            raise InputError("There is no finished run to choose a step of. Press Run first.")
        self.result = self._ended.keep(step)
        self.report = self.result.report()
        self._is_moved = True
        outputs = self.layers.outputs
        residual = subtract(self.result.input, self.result.image) if outputs.has_residual else None
        self.layers.show(self.result, self.report, self._ended.snapshots if outputs.has_snapshots else (), residual)
        self.kept.emit(self.result)

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
            As `step_on_screen`.
        """
        self.keep(self.step_on_screen())

    def _begin(self, title: str, *work_and_arguments: Any) -> None:
        self._job = Job(title, *work_and_arguments, on_message=self._on_message, on_answer=self._on_answer)

    def _end(self) -> None:
        self._job = None
        self._set_state(State.IDLE)

    def _set_state(self, state: State) -> None:
        self.state = state
        self.state_changed.emit(state)

    def _refuse_if_busy(self) -> None:
        if self.is_busy:
            raise InputError("A run is under way. Wait for it, stop it or cancel it first.")

    def _on_message(self, message: DenoiseTask | Update) -> None:
        if not isinstance(message, Update):
            self._run = message
            self._set_state(State.RUNNING)
            return
        where = message.progress
        assert self._job is not None
        if message.preview is not None:
            assert self._run is not None
            assert self.layers is not None
            started = time.perf_counter()
            self.layers.show_preview(self._run.indices[where.frame], message.preview)
            now = time.perf_counter()
            self._job.link.next_preview = now + max(PREVIEW_SECONDS, (now - started) / MAX_DISPLAY_SHARE)
        self.progressed.emit(where)
        self._job.show_progress((where.frame + where.step / where.n_steps) / where.n_frames)

    def _on_forecast(self, answer: Answer) -> None:
        self._is_forecasting = False
        self._end()
        self.forecasted.emit(answer.forecast)
        if answer.error is not None:
            notify(answer.error)

    def _on_answer(self, answer: Answer) -> None:
        if self._is_forecasting:
            self._on_forecast(answer)
            return
        if answer.result is not None:
            self.result = self._ended = answer.result
            self.report = answer.report
            self._is_moved = False
        self._end()
        if answer.result is None:
            self._give_up()
        else:
            assert self.layers is not None
            self.layers.show(answer.result, answer.report, answer.snapshots, answer.residual)
            for note in answer.result.notes:
                show_info(note)
            self.finished.emit(answer.result)
        if answer.error is not None:
            notify(answer.error)

    def _give_up(self) -> None:
        """Take back what the run has shown."""
        assert self.layers is not None
        self.layers.undo(self.result, self.report)
        self._run = None
        self.finished.emit(None)
