"""What the dock widgets have in common."""

from __future__ import annotations

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

LEAST_WIDTH = 300
"""Pixels."""


class DockWidget(QScrollArea):
    """A column that scrolls where the window is low.

    Attributes
    ----------
    column
        Layout that the widget's parts are added to, from the top.
    """

    def __init__(self) -> None:
        super().__init__()
        content = QWidget()
        self.column = QVBoxLayout(content)
        self.column.setContentsMargins(6, 6, 6, 6)
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(LEAST_WIDTH)

    def leave(self) -> None:
        """Come to an end: napari takes the widget out of its dock."""
        raise NotImplementedError

    def event(self, event: QEvent | None) -> bool:
        """Notice that napari takes the widget out of its dock."""
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.leave()
        return bool(super().event(event))
