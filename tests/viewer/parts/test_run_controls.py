import math
from types import SimpleNamespace

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_convgen.viewer.denoise.widget import DenoiseWidget
from napari_convgen.viewer.reconstruct.widget import ReconstructWidget
from napari_convgen.viewer.worker.session import State


def test_the_time_that_is_left_is_said_once_it_can_be_told(make_widget, hands):
    widget = make_widget(DenoiseWidget)
    for share, seconds, shown in ((0.0, math.inf, "%p %"), (0.25, 90.0, "%p % · at most 1 min 30 s left")):
        widget._controls.show_progress(SimpleNamespace(share=share, seconds_left=seconds))
        assert hands(widget).progress == shown


def test_a_pause_is_said_in_the_bar_and_before_there_is_progress_in_the_text(make_widget, hands):
    widget = make_widget(ReconstructWidget)
    user = hands(widget)
    tell = widget.session.state_changed.emit
    for state, said in (
        (State.LOADING, "Loading"),
        (State.PAUSED, "Paused before the first step"),
        (State.RUNNING, "Loading"),
    ):
        tell(state)
        assert said in user.text
    tell(State.IDLE)
    assert "Loading" not in user.text
    widget._text.setText("Step 3 of 30.")
    widget._controls.show_progress(SimpleNamespace(share=0.25, seconds_left=90.0))
    tell(State.PAUSED)
    assert user.progress == "%p % · paused"
    assert "Step 3 of 30." in user.text
    tell(State.RUNNING)
    assert user.progress == "%p % · at most 1 min 30 s left"


def test_notes_of_a_widget_behind_another_are_notifications(make_widget, qtbot, notes):
    window, widgets = QMainWindow(), [make_widget(DenoiseWidget), make_widget(ReconstructWidget)]
    qtbot.addWidget(window)
    window.show()
    for widget in widgets:
        dock = QDockWidget(window)
        dock.setWidget(widget)
        window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    qtbot.waitUntil(lambda: widgets[0].visibleRegion().isEmpty() and not widgets[1].visibleRegion().isEmpty())
    for widget in widgets:
        widget.session.finished.emit(SimpleNamespace(notes=(f"A note of {type(widget).__name__}.",)))
    assert [note.message for note in notes] == ["A note of DenoiseWidget."]
    for widget in widgets:
        widget.setParent(None)
        qtbot.waitUntil(lambda widget=widget: widget.parent() is window)  # where it waits for a dock
        widget.setParent(None)
