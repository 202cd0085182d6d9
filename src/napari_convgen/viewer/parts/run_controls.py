"""The controls of a session, the same in all widgets: run, forecast, pause, stop, cancel, how far it is, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from napari.utils.notifications import show_info
from psygnal import Signal
from qtpy.QtWidgets import QDockWidget, QProgressBar, QVBoxLayout, QWidget

from napari_convgen.run.labels import format_time_left
from napari_convgen.viewer.parts.buttons import button, rows_of
from napari_convgen.viewer.parts.errors import ErrorText
from napari_convgen.viewer.parts.labels import TextLabel
from napari_convgen.viewer.worker.job import PROGRESS_PARTS
from napari_convgen.viewer.worker.session import Session, State
from napari_convgen.viewer.worker.work import Request

LOADING = "Loading … The first fit on a machine takes some seconds more: it compiles what is then kept."
"""Text that a widget shows while a task is loaded."""

PAUSED = "Paused before the first step. What is under way is finished first; 'Resume' goes on."
"""Text that a widget shows during a pause while there is no progress to show."""


class RunText(TextLabel):
    """What a widget says of its run: that it is loaded, or paused before there was any progress, what a forecast was; then what it is told.

    Parameters
    ----------
    session
        The session of the run.
    """

    def __init__(self, session: Session[Any, Any, Any, Any]) -> None:
        super().__init__()
        self._is_waiting = False
        session.state_changed.connect(self._on_state)
        session.forecasted.connect(self._on_forecast)

    def setText(self, text: str | None) -> None:
        """Show a text, plain or rich."""
        self._is_waiting = False
        super().setText(text)

    def _on_state(self, state: State) -> None:
        if state is State.LOADING or self._is_waiting:
            self.setText({State.PAUSED: PAUSED, State.IDLE: ""}.get(state, LOADING))
            self._is_waiting = state is not State.IDLE

    def _on_forecast(self, forecast: Any) -> None:
        self.setText("" if forecast is None else str(forecast))


@dataclass(frozen=True)
class Tooltips:
    """What the tooltips of the controls say.

    Attributes
    ----------
    run, forecast, pause, stop, cancel
        Tooltips of the buttons.
    progress
        Tooltip of the progress bar.
    """

    run: str
    forecast: str = "Try a few steps and say what memory and time a run would take."
    pause: str = "Pause the run; press again to resume."
    stop: str = "End the run now and keep what there is."
    cancel: str = "End the run and leave the viewer as it was."
    progress: str = "Part of the work that is done."


def show_notes(result: Any) -> None:
    """Show the notes of a result, if there is one, as notifications: where no widget that is in sight has them."""
    for note in getattr(result, "notes", ()):
        show_info(note)


class RunControls(QWidget):
    """Buttons, progress bar and error of a session. They are enabled and disabled by its state alone.

    Parameters
    ----------
    session
        The session that *Pause*, *Stop and keep* and *Cancel* act on.
    tooltips
        What the tooltips say.
    request
        Function that returns what a run would be asked for now, which *Forecast* needs.
    bound
        Word before the time that is left: ``"about"``, or ``"at most"`` where a run may end early.
    others
        Further buttons beside *Run* and *Forecast*; none by default.

    Attributes
    ----------
    error
        The error that ended the last run, or kept it from being started.
    """

    run_clicked = Signal()
    forecasting = Signal()  # a forecast was begun

    def __init__(
        self,
        session: Session[Any, Any, Any, Any],
        tooltips: Tooltips,
        request: Callable[[], Request[Any, Any]],
        bound: str = "about",
        others: Sequence[QWidget] = (),
    ) -> None:
        super().__init__()
        self._session = session
        self._request = request
        self._bound = bound
        self._is_blocked = False
        self._format = ""  # of the progress bar: what is done, and the time that is left
        self._run = button("Run", tooltips.run)
        self._forecast = button("Forecast", tooltips.forecast)
        self._pause = button("Pause", tooltips.pause)
        self._stop = button("Stop and keep", tooltips.stop)
        self._cancel = button("Cancel", tooltips.cancel)
        self._progress = QProgressBar()
        self._progress.setToolTip(tooltips.progress)
        self.error = ErrorText()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(rows_of((self._run, self._forecast, *others), (self._pause, self._stop, self._cancel)))
        column.addWidget(self._progress)
        column.addWidget(self.error)
        self._run.clicked.connect(lambda: self.run_clicked.emit())
        self._forecast.clicked.connect(self._begin_forecast)
        self._pause.clicked.connect(self._toggle_pause)
        self._stop.clicked.connect(session.stop)
        self._cancel.clicked.connect(session.cancel)
        session.state_changed.connect(self._on_state)
        session.progressed.connect(self.show_progress)
        session.failed.connect(self.error.show_error)
        session.finished.connect(self._on_finish)
        self._on_state(session.state)

    def block(self, is_blocked: bool) -> None:
        """Disable *Run* and *Forecast* while something else is under way, or enable them again."""
        self._is_blocked = is_blocked
        self._on_state(self._session.state)

    def show_progress(self, progress: Any) -> None:
        """Show how much is done, and how long the rest will take, once that can be told."""
        self._progress.setRange(0, PROGRESS_PARTS)
        self._progress.setValue(round(PROGRESS_PARTS * progress.share))
        left = format_time_left(progress.seconds_left, self._bound)
        self._format = f"%p % · {left}" if left else "%p %"
        self._progress.setFormat("%p % · paused" if self._session.state is State.PAUSED else self._format)

    def _begin_forecast(self) -> None:
        with self.error.shown_errors():
            self._session.forecast(self._request())
            self.forecasting.emit()

    def _toggle_pause(self) -> None:
        if self._session.state is State.PAUSED:
            self._session.resume()
        else:
            self._session.pause()

    def _on_finish(self, result: Any) -> None:
        """Show the notes of a result that the widget does not show, because its dock was closed or lies behind another."""
        if not self._is_in_sight():
            show_notes(result)

    def _is_in_sight(self) -> bool:
        dock: QWidget | None = self
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parentWidget()
        is_behind = dock is not None and dock.isVisible() and dock.visibleRegion().isEmpty()
        return self.isVisibleTo(self.window()) and not is_behind

    def _on_state(self, state: State) -> None:
        is_running = state in (State.RUNNING, State.PAUSED)
        for starter in (self._run, self._forecast):
            starter.setEnabled(state is State.IDLE and not self._is_blocked)
        for control in (self._pause, self._stop):
            control.setEnabled(is_running)
        self._pause.setText("Resume" if state is State.PAUSED else "Pause")
        self._cancel.setEnabled(state is not State.IDLE)
        if state is State.LOADING:
            self.error.forget()
            self._progress.setRange(0, 0)
        elif state is State.IDLE:
            self._progress.setRange(0, PROGRESS_PARTS)
            self._progress.setValue(0)
            self._progress.setFormat("")
            self._format = ""
        elif self._format:
            self._progress.setFormat("%p % · paused" if state is State.PAUSED else self._format)
