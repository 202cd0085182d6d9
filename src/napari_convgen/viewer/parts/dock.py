"""What the dock widgets have in common."""

from __future__ import annotations

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

MIN_WIDTH = 300
"""Least width of a dock widget, in pixels."""


class DockWidget(QScrollArea):
    """A column that scrolls where the window is low.

    Attributes
    ----------
    column
        Layout of the column, to which the widget's parts are added from the top.
    """

    def __init__(self) -> None:
        super().__init__()
        content = QWidget()
        self.column = QVBoxLayout(content)
        self.column.setContentsMargins(6, 6, 6, 6)
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(MIN_WIDTH)

    def leave(self) -> None:
        """End what the widget does: napari takes it out of its dock."""
        raise NotImplementedError

    def event(self, event: QEvent | None) -> bool:
        """Notice that napari takes the widget out of its dock."""
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.leave()
        return bool(super().event(event))
