"""What the dock widgets have in common."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any, ClassVar

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QResizeEvent, QShowEvent
from qtpy.QtWidgets import QComboBox, QDockWidget, QLabel, QMainWindow, QScrollArea, QVBoxLayout, QWidget

from napari_convgen.viewer.parts.canvas import prepare_canvas
from napari_convgen.viewer.parts.elided import Elider
from napari_convgen.viewer.parts.labels import RowLabel, text_label

MIN_WIDTH = 300
"""Least width of a dock widget, in pixels."""


class _OnePerViewer(type(QScrollArea)):  # type: ignore[misc]  # Qt's own metaclass, which has no static type
    """Makes one widget of a class for each viewer: opened again after its dock was closed, it is the same, with run and settings."""

    _closed: ClassVar[weakref.WeakSet[DockWidget]] = weakref.WeakSet()

    def __call__(cls, napari_viewer: Any) -> DockWidget:
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)  # napari hands out proxies
        for widget in list(cls._closed):
            if type(widget) is cls and getattr(widget.viewer, "__wrapped__", widget.viewer) is viewer:
                cls._closed.discard(widget)
                return widget
        made: DockWidget = super().__call__(napari_viewer)
        return made

    def keep(cls, widget: DockWidget) -> None:
        """Keep a widget whose dock was closed until it is opened again."""
        cls._closed.add(widget)


class DockWidget(QScrollArea, metaclass=_OnePerViewer):
    """A column that scrolls where the window is low, and aside where a large font makes it wider than the dock.

    When its dock is closed it stays, hidden, as a child of napari's window, and a run goes on.

    Parameters
    ----------
    purpose
        Sentence at the top that says what the widget is for; none by default, if its name says it.

    Attributes
    ----------
    viewer
        The viewer that it is docked in.
    column
        Layout of the column, to which the widget's parts are added from the top.
    """

    viewer: Any
    _dock: QDockWidget | None = None
    _window: QWidget | None = None

    def __init__(self, purpose: str = "") -> None:
        super().__init__()
        self._staying = QTimer(self)  # a child, which ends with the widget
        self._staying.setSingleShot(True)
        self._staying.timeout.connect(self._stay)
        self._joining = QTimer(self)
        self._joining.setSingleShot(True)
        self._joining.timeout.connect(self._join)
        self._showing = QTimer(self)
        self._showing.setSingleShot(True)
        self._showing.timeout.connect(self._scroll_to_part)
        self._part: QWidget | None = None
        content = QWidget()
        self.column = QVBoxLayout(content)
        self.column.setContentsMargins(6, 6, 6, 6)
        if purpose:
            self.column.addWidget(text_label(purpose))
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setMinimumWidth(MIN_WIDTH)
        self._elider = Elider(self)

    def enter(self) -> None:
        """Take up again what `leave` has laid down. By default nothing."""

    def leave(self) -> None:
        """Lay down what is of no use while the dock is closed. By default nothing: a run goes on."""

    def bring_into_sight(self, part: QWidget) -> None:
        """Scroll to a part of the column, once it has its place."""
        self._part = part
        self._showing.start()

    def event(self, event: QEvent | None) -> bool:
        """Notice that napari puts the widget into a dock, or takes it out."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            parent, dock = self.parent(), self._dock
            if isinstance(parent, QDockWidget):
                self._dock = parent
                parent.topLevelChanged.connect(self._elide)
                self._joining.start()  # once napari has put the dock into its window
                self.enter()
            elif parent is None and dock is not None:
                self._dock, self._window = None, dock.parentWidget()
                self.leave()
                type(self).keep(self)
                self._staying.start()
        return bool(super().event(event))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fit the names of the rows of forms to the width."""
        super().resizeEvent(event)
        for label in self.findChildren(RowLabel):
            label.fit(self.width())

    def showEvent(self, event: QShowEvent | None) -> None:
        """Shorten the texts that are too long for their place."""
        super().showEvent(event)
        self._elide()

    def _elide(self) -> None:
        """Shorten the texts of choices, and the title of the dock, which napari makes anew when the dock floats."""
        title = None if self._dock is None else getattr(self._dock.titleBarWidget(), "title", None)
        for widget in (*self.findChildren(QComboBox), *([title] if isinstance(title, QLabel) else [])):
            widget.installEventFilter(self._elider)

    def _join(self) -> None:
        """Prepare napari's canvas, and become a tab beside a widget of this kind in the same area.

        Above each other, both would be too low.
        """
        dock = self._dock
        window = None if dock is None else dock.parentWidget()
        if dock is None or not isinstance(window, QMainWindow):
            return
        prepare_canvas(window, self.viewer)
        if dock.isFloating():
            return
        docks = [each._dock for each in window.findChildren(DockWidget) if each._dock is not None and each is not self]
        area = window.dockWidgetArea(dock)
        beside = [
            each for each in docks if not (each.isHidden() or each.isFloating()) and window.dockWidgetArea(each) == area
        ]
        if beside:
            window.tabifyDockWidget(beside[-1], dock)
            dock.show()
            dock.raise_()

    def _scroll_to_part(self) -> None:
        part, content = self._part, self.widget()
        if part is not None and content is not None:
            self.column.activate()  # a part that has just been shown is laid out now
            content.adjustSize()
            self.ensureWidgetVisible(part)

    def _stay(self) -> None:
        """Stay in napari's window, which takes the widget along when it closes."""
        window, self._window = self._window, None  # not to keep what napari closes
        if self.parent() is None and window is not None:
            self.hide()
            with contextlib.suppress(RuntimeError):  # napari was closed in the meantime, and its window is gone
                self.setParent(window)
