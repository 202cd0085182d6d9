import pytest
from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QPushButton

from napari_convgen.viewer.parts.dock import DockWidget


class Part(DockWidget):
    def __init__(self, napari_viewer):
        super().__init__()
        self.viewer = napari_viewer


class Viewer:
    """Stands for napari's."""


def opened(viewer, window):
    """Return a widget in a dock, as napari makes them."""
    widget, dock = Part(viewer), QDockWidget(window)
    dock.setWidget(widget)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    return widget


@pytest.mark.parametrize("is_opened_again", [False, True])
def test_the_window_closes_right_after_a_dock_was_closed(qtbot, is_opened_again):
    viewer, window = Viewer(), QMainWindow()
    widget = opened(viewer, window)
    with qtbot.capture_exceptions() as raised:
        widget.setParent(None)
        if is_opened_again:
            assert opened(viewer, window) is widget
        window.deleteLater()
        QCoreApplication.sendPostedEvents(window, QEvent.Type.DeferredDelete)
        qtbot.wait(20)
    assert raised == []
    if not is_opened_again:
        widget.deleteLater()


def test_a_widget_whose_dock_was_closed_waits_hidden_in_the_window(qtbot):
    viewer, window = Viewer(), QMainWindow()
    qtbot.addWidget(window)
    widget = opened(viewer, window)
    widget.setParent(None)
    qtbot.wait(20)
    assert (widget.parent(), widget.isHidden()) == (window, True)
    assert opened(viewer, window) is widget
    assert not widget.isHidden()


def test_widgets_in_one_area_are_tabs_and_others_stay_where_they_are(qtbot):
    viewer, window = Viewer(), QMainWindow()
    qtbot.addWidget(window)
    other = QDockWidget(window)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, other)
    window.show()
    docks = []
    for _ in range(3):
        docks.append(opened(viewer, window).parent())
        qtbot.wait(20)
    assert window.tabifiedDockWidgets(docks[0]) == docks[1:]
    assert window.tabifiedDockWidgets(other) == []
    qtbot.waitUntil(lambda: not docks[2].visibleRegion().isEmpty())
    docks[1].setFloating(True)
    docks.append(opened(viewer, window).parent())
    qtbot.wait(20)
    assert docks[1].isFloating()
    assert docks[3] in window.tabifiedDockWidgets(docks[0])


def test_what_is_wider_than_the_dock_can_be_scrolled_to(qtbot):
    viewer, window = Viewer(), QMainWindow()
    qtbot.addWidget(window)
    widget = opened(viewer, window)
    bar = widget.horizontalScrollBar()
    button = QPushButton("wide")
    widget.column.addWidget(button)
    window.show()
    widget.setFixedWidth(300)
    qtbot.waitUntil(lambda: widget.viewport().width() > 250)
    assert not bar.isVisible()
    button.setMinimumWidth(400)
    qtbot.waitUntil(bar.isVisible)
