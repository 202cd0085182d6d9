"""Labels that hold sentences."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel


def text_label(text: str = "", tooltip: str = "") -> QLabel:
    """Return a label that wraps its text at the width of the dock, and whose text can be selected and copied.

    Parameters
    ----------
    text
        Text that is shown at first, plain or rich.
    tooltip
        Tooltip; none by default.
    """
    label = QLabel(text)
    label.setToolTip(tooltip)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    return label
