"""One denoising at a time, in napari's own worker, and the layers that come of it.

The session knows the viewer's layers but no widget: the widget sends it commands and shows what its signals say. It
outlives the widget, so that a run whose widget was closed still delivers what it has.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from napari.qt.threading import create_worker
from napari.utils.notifications import notification_manager, show_info
from napari.utils.progress import progress
from numpy.typing import NDArray
from psygnal import Signal

from napari_convgen.config import Config
from napari_convgen.core.snapshot import Snapshot
from napari_convgen.errors import InputError
from napari_convgen.viewer.layers import (
    LayerInput,
    StepStack,
    image_layer,
    residual_layer,
    snapshots_layer,
    subtract,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.denoise import Denoising, Progress
    from napari_convgen.run.forecast import Forecast
    from napari_convgen.run.result import Result

METADATA_KEY = "napari-convgen"
"""Under this key a layer's metadata holds the report of the run that made it."""

PREVIEW_SECONDS = 0.3
"""The image is shown about three times a second, or less often where showing it takes long."""

N_SPARED_THREADS = 1
"""Threads that a fit leaves to the window, unless it is told how many to use."""

MAX_DISPLAY_SHARE = 0.2
"""Share of the time that showing images may take."""


class State(enum.Enum):
    """What a session is doing."""

    IDLE = "idle"
    LOADING = "loading"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Outputs:
    """Which layers a run leaves beside its result."""

    has_snapshots: bool = True
    has_residual: bool = False


class _Link:
    """What the viewer's thread tells the worker's: whether to hold, and when to send the next image."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.may_go.set()
        self.next_preview = 0.0


@dataclass(frozen=True, eq=False)
class _Update:
    """What the worker tells: where the run is, and now and then the frame as it looks."""

    progress: Progress
    preview: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class _Answer:
    """What the worker returns: a forecast, or a result with its report, the error that ended it, or both if something was finished."""

    result: Result | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    residual: NDArray[Any] | None = None
    error: Exception | None = None
    forecast: Forecast | None = None


def _start(
    link: _Link, outputs: Outputs, source: LayerInput, config: Config, reference: NDArray[Any] | None
) -> Generator[Denoising | _Update | None, None, _Answer]:
    """Run a denoising in the worker's thread, where torch is loaded too."""
    try:
        from napari_convgen.run.denoise import Denoising

        run = Denoising(source.data, config, axes=source.axes, reference=reference, n_spared_threads=N_SPARED_THREADS)
    except Exception as error:
        return _Answer(error=error)
    yield run
    return (yield from _advance(link, outputs, run))


def _forecast(
    link: _Link, outputs: Outputs, source: LayerInput, config: Config
) -> Generator[Denoising | _Update | None, None, _Answer]:
    """Take a few steps and tell what all will take."""
    yield None
    try:
        from napari_convgen.run.denoise import Denoising

        run = Denoising(source.data, config, axes=source.axes, n_spared_threads=N_SPARED_THREADS)
        return _Answer(forecast=run.forecast())
    except Exception as error:
        return _Answer(error=error)


def _advance(link: _Link, outputs: Outputs, run: Denoising) -> Generator[Denoising | _Update | None, None, _Answer]:
    """Advance a run to its end. Errors are returned: superqt's worker would take a RuntimeError for a result."""
    try:
        for progress in run:
            preview = None
            if time.perf_counter() >= link.next_preview:
                link.next_preview = math.inf  # until this one has been shown
                preview = run.preview()
            yield _Update(progress, preview)
            while not link.may_go.wait(0.05):
                yield None
        return _answer(run, outputs)
    except Exception as error:
        try:
            return dataclasses.replace(_answer(run, outputs), error=error)
        except Exception:  # nothing finished that could be kept
            return _Answer(error=error)


def _answer(run: Denoising, outputs: Outputs) -> _Answer:
    """Prepare in the worker's thread all that takes time."""
    result = run.result()
    if outputs.has_snapshots:
        _ = result.snapshots
    residual = subtract(run.image, result.image) if outputs.has_residual else None
    return _Answer(result, result.report(), residual)


class Session:
    """Runs denoisings for one viewer.

    Parameters
    ----------
    viewer
        Its layers are read and added to.
    """

    state_changed = Signal(State)
    progressed = Signal(object)  # Progress
    finished = Signal(object)  # Result, or None after a cancel or an error
    forecasted = Signal(object)  # Forecast, or None after a cancel or an error

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.state = State.IDLE
        self.result: Result | None = None
        self.result_layer: Image | None = None
        self.snapshots_layer: Image | None = None
        self.residual_layer: Image | None = None
        self._source: LayerInput | None = None
        self._outputs = Outputs()
        self._run: Denoising | None = None
        self._worker: Any = None
        self._link = _Link()
        self._bar: progress | None = None
        self._is_forecasting = False
        self.report: Mapping[str, Any] = {}
        self._shown: tuple[NDArray[Any], Mapping[str, Any]] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a run is under way, paused ones included."""
        return self.state is not State.IDLE

    @property
    def can_continue(self) -> bool:
        """Whether the last run can be given more steps."""
        return not self.is_busy and self._run is not None and self._run.can_extend

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
        self._source, self._outputs = source, outputs or Outputs()
        self._run = self.result = self.result_layer = self.snapshots_layer = self.residual_layer = self._shown = None
        self._set_state(State.LOADING)
        self._begin(f"Denoising {source.name}", _start, source, config, reference)

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
        self._begin(f"Trying {source.name}", _forecast, source, config)

    def continue_from_here(self, n_steps: int) -> None:
        """Give the last run more steps, from where it ended.

        Raises
        ------
        InputError, ConfigError
            There is no finished run, or it is over a stack.
        """
        self._refuse_if_busy()
        if self._run is None:
            raise InputError("There is no finished run to continue. Press Run first.")
        self._run.extend(n_steps)
        if self.result_layer not in self.viewer.layers:
            self.result_layer = self._shown = None
        self._set_state(State.RUNNING)
        assert self._source is not None
        self._begin(f"Denoising {self._source.name}", _advance, self._run)

    def pause(self) -> None:
        """Hold the run; `resume` takes it up again."""
        if self.state is State.RUNNING:
            self._link.may_go.clear()
            self._set_state(State.PAUSED)

    def resume(self) -> None:
        """Go on after a pause."""
        if self.state is State.PAUSED:
            self._link.may_go.set()
            self._set_state(State.RUNNING)

    def stop_and_keep(self) -> None:
        """End the run after its next step and keep the best image so far; before its first step, cancel it."""
        if self._run is None or self._is_forecasting:
            self.cancel()
        elif self.is_busy:
            self._run.stop()
            self._link.may_go.set()
            self._set_state(State.STOPPING)

    def cancel(self) -> None:
        """End the run at once and leave the viewer as it was before it, or before it was continued."""
        if not self.is_busy:
            return
        self._worker.quit()
        self._link.may_go.set()
        if self._is_forecasting:
            self._on_forecast(_Answer())
            return
        self._end()
        self._undo_preview()
        self._run = None
        self.finished.emit(None)

    def snapshot_on_screen(self) -> Snapshot:
        """Return the snapshot that the slider of the iteration axis points to.

        Raises
        ------
        InputError
            There is no snapshots layer of the last run, or it does not show a single snapshot.
        """
        layer = self.snapshots_layer
        if layer is None or layer not in self.viewer.layers:
            raise InputError("There are no snapshots to promote. Run with 'Snapshots' checked first.")
        if not isinstance(layer.data, StepStack):
            raise InputError("The snapshots layer was changed, so that its steps are unknown. Run again.")
        axis = self._iteration_axis()
        if axis in self.viewer.dims.displayed:
            raise InputError(
                "The iteration axis is displayed, so no single snapshot is on screen. Make it a slider first."
            )
        return layer.data.at(round(self.viewer.dims.point[axis]))

    def promote(self) -> Snapshot:
        """Make the snapshot on screen the result, and its residual the residual.

        Raises
        ------
        InputError
            As `snapshot_on_screen`.
        """
        snapshot = self.snapshot_on_screen()
        assert self.result is not None
        reason = f"Step {snapshot.step} was chosen by the user."
        report = {**self.report, "step": snapshot.step, "reason": reason, "outcome": "user"}
        if self.result.reference is not None:
            scores = self.result.scores(snapshot.image)
            report |= {"psnr": scores.psnr, "ssim": scores.ssim}
        self._show_result(snapshot.image, report)
        if self.residual_layer is not None and self.residual_layer in self.viewer.layers:
            self._show_residual(subtract(self.result.input, snapshot.image))
        return snapshot

    def _begin(self, title: str, work: Callable[..., Generator[Any, None, _Answer]], *arguments: Any) -> None:
        self._link = _Link()
        self._bar = progress(total=1, desc=title)
        worker: Any = create_worker(work, self._link, self._outputs, *arguments)
        worker.yielded.connect(lambda message: self._on_message(message) if self._hears(worker) else None)
        worker.returned.connect(lambda answer: self._on_answer(answer) if self._hears(worker) else None)
        self._worker = worker
        worker.start()

    def _hears(self, worker: Any) -> bool:
        """Late signals are dropped: of a worker that the session left, and of one that napari told to quit as it closed."""
        return worker is self._worker and not worker.abort_requested

    def _end(self) -> None:
        self._worker = None
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._set_state(State.IDLE)

    def _set_state(self, state: State) -> None:
        self.state = state
        self.state_changed.emit(state)

    def _refuse_if_busy(self) -> None:
        if self.is_busy:
            raise InputError("A run is under way. Wait for it, stop it or cancel it first.")

    def _on_message(self, message: Denoising | _Update | None) -> None:
        if message is None:
            return
        if not isinstance(message, _Update):
            self._run = message
            self._set_state(State.RUNNING)
            return
        where = message.progress
        if self._bar is not None:
            self._bar.total = where.n_frames * where.n_steps
            self._bar.update(where.frame * where.n_steps + where.step - self._bar.n)
        if message.preview is not None:
            started = time.perf_counter()
            self._show_preview(where.frame, message.preview)
            now = time.perf_counter()
            self._link.next_preview = now + max(PREVIEW_SECONDS, (now - started) / MAX_DISPLAY_SHARE)
        self.progressed.emit(where)

    def _on_forecast(self, answer: _Answer) -> None:
        self._end()
        self._is_forecasting = False
        self.forecasted.emit(answer.forecast)
        if answer.error is not None:
            notification_manager.receive_error(type(answer.error), answer.error, answer.error.__traceback__)

    def _on_answer(self, answer: _Answer) -> None:
        if self._is_forecasting:
            self._on_forecast(answer)
            return
        self._end()
        if answer.result is None:
            self._on_error(answer.error or RuntimeError("The worker ended without an answer."))
            return
        self.result, self.report = answer.result, answer.report
        assert self._source is not None
        self._show_result(answer.result.image, answer.report)
        if self._outputs.has_snapshots:
            self._show_snapshots(answer.result)
        if answer.residual is not None:
            self._show_residual(answer.residual)
        for note in answer.result.notes:
            show_info(note)
        self.finished.emit(answer.result)
        if answer.error is not None:
            notification_manager.receive_error(type(answer.error), answer.error, answer.error.__traceback__)

    def _on_error(self, error: Exception) -> None:
        self._undo_preview()
        self._run = None
        self.finished.emit(None)
        notification_manager.receive_error(type(error), error, error.__traceback__)

    def _show_preview(self, frame: int, preview: NDArray[Any]) -> None:
        """Show a frame in the making, in the layer that will hold the result."""
        assert self._run is not None
        assert self._source is not None
        if self.result_layer is None:
            data = np.zeros(self._source.data.shape, self._source.data.dtype)
            data[self._run.indices[frame]] = preview
            self.result_layer = image_layer(self._source, data, f"{self._source.name} denoised")
            self._add(self.result_layer)
        elif self.result_layer in self.viewer.layers:
            self.result_layer.data[self._run.indices[frame]] = preview
            self.result_layer.refresh(extent=False, highlight=False, thumbnail=False)

    def _undo_preview(self) -> None:
        """Show the result that was there before the run, or remove the preview if there was none."""
        if self.result_layer is None or self.result_layer not in self.viewer.layers:
            return
        if self._shown is not None:
            self._show_result(*self._shown)
        else:
            self.viewer.layers.remove(self.result_layer)
            self.result_layer = None

    def _show_result(self, image: NDArray[Any], report: Mapping[str, Any]) -> None:
        """Put an image and the run's report into the result layer, anew if it was removed."""
        assert self._source is not None
        if self.result_layer is None or self.result_layer not in self.viewer.layers:
            self.result_layer = image_layer(self._source, image.copy(), f"{self._source.name} denoised")
            self._add(self.result_layer)
        else:
            self.result_layer.data = image.copy()
        self.result_layer.metadata = {METADATA_KEY: dict(report)}
        self._shown = image, report

    def _show_snapshots(self, result: Result) -> None:
        """Put the snapshots on top, with the slider at the step that is kept."""
        assert self._source is not None
        if self.snapshots_layer is None or self.snapshots_layer not in self.viewer.layers:
            self.snapshots_layer = snapshots_layer(
                self._source, result.snapshots, f"{self._source.name} snapshots", self._iteration_unit()
            )
            self._add(self.snapshots_layer)
        else:
            self.snapshots_layer.data = StepStack(result.snapshots)
        self.snapshots_layer.metadata = {
            METADATA_KEY: dict(self.report),
            "steps": [snapshot.step for snapshot in result.snapshots],
        }
        self.viewer.dims.set_point(self._iteration_axis(), result.step)

    def _show_residual(self, residual: NDArray[Any]) -> None:
        assert self._source is not None
        if self.residual_layer is not None and self.residual_layer in self.viewer.layers:
            self.viewer.layers.remove(self.residual_layer)
        self.residual_layer = residual_layer(self._source, residual, f"{self._source.name} residual")
        self._add(self.residual_layer)

    def _iteration_unit(self) -> Any:
        """Return the unit that other layers give the axis: where units differ, napari uses none at all."""
        assert self._source is not None
        n = len(self._source.units) + 1
        return next((layer.units[-n] for layer in self.viewer.layers if layer.ndim >= n), "pixel")

    def _iteration_axis(self) -> int:
        assert self.snapshots_layer is not None
        return int(self.viewer.dims.ndim - self.snapshots_layer.ndim)

    def _add(self, layer: Image) -> None:
        """Add a layer; what was selected stays selected, so that the next run takes the same input."""
        selected = set(self.viewer.layers.selection)
        active = self.viewer.layers.selection.active
        self.viewer.add_layer(layer)
        if selected:
            self.viewer.layers.selection = selected
            self.viewer.layers.selection.active = active
