"""Buttons and check boxes, and rows of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from magicgui.widgets import CheckBox
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

NO_NETWORK = "No network is fitted with these settings: there is only the first estimate, which is the result."
"""Reason why images of a network cannot be shown."""

SPACING = 4
"""Space between widgets of a grid, in pixels."""


def button(text: str, tooltip: str) -> QPushButton:
    """Return a button with a text and a tooltip."""
    widget = QPushButton(text)
    widget.setToolTip(tooltip)
    return widget


def allow(box: CheckBox, tooltip: str, reason: str = "") -> None:
    """Enable a check box with its tooltip, or disable it if there is a reason, which its tooltip then says."""
    box.enabled, box.tooltip = not reason, reason or tooltip


def rows_of(*rows: Sequence[QWidget]) -> QGridLayout:
    """Lay out rows of widgets; all rows are equally wide, and so are the widgets of a row."""
    grid = QGridLayout()
    grid.setSpacing(SPACING)
    n_columns = math.lcm(*map(len, rows))
    for i, row in enumerate(rows):
        width = n_columns // len(row)
        for j, widget in enumerate(row):
            grid.addWidget(widget, i, j * width, 1, width)
    return grid


def in_two_columns(widgets: Iterable[QWidget]) -> QGridLayout:
    """Lay out widgets row by row in two columns."""
    grid = QGridLayout()
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setSpacing(SPACING)
    for i, widget in enumerate(widgets):
        grid.addWidget(widget, i // 2, i % 2)
    return grid
