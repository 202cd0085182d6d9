"""Names that are too long for their place: shown with an ellipsis, and in full in the tooltip."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QHelpEvent
from qtpy.QtWidgets import QComboBox, QLabel, QStyle, QStyleOptionComboBox, QStylePainter, QToolTip, QWidget


class Elider(QObject):
    """Paints the texts of choices and titles, an event filter of `QComboBox` and `QLabel`, and leaves all else to Qt."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Paint a text that is cut, and put it above its tooltip."""
        kind = None if event is None else event.type()
        if not isinstance(watched, QComboBox | QLabel) or kind not in (QEvent.Type.Paint, QEvent.Type.ToolTip):
            return False
        text = _full_text(watched)
        part = Qt.TextElideMode.ElideRight if isinstance(watched, QLabel) else Qt.TextElideMode.ElideMiddle
        shown = watched.fontMetrics().elidedText(text, part, _width(watched))
        if shown == text:
            return False
        if isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), "\n".join(filter(None, [text, watched.toolTip()])), watched)
        else:
            _paint(watched, shown)
        return True


def _full_text(widget: QComboBox | QLabel) -> str:
    return str(widget.currentText() if isinstance(widget, QComboBox) else widget.text())


def _option(box: QComboBox) -> QStyleOptionComboBox:
    option = QStyleOptionComboBox()
    box.initStyleOption(option)
    return option


def _style(widget: QWidget) -> QStyle:
    style = widget.style()
    assert style is not None
    return style


def _width(widget: QComboBox | QLabel) -> int:
    """Return the width of the place of a text, in pixels."""
    if isinstance(widget, QLabel):
        return int(widget.contentsRect().width())
    field = QStyle.SubControl.SC_ComboBoxEditField
    return int(_style(widget).subControlRect(QStyle.ComplexControl.CC_ComboBox, _option(widget), field, widget).width())


def _paint(widget: QComboBox | QLabel, text: str) -> None:
    painter = QStylePainter(widget)
    if isinstance(widget, QLabel):
        painter.drawItemText(
            widget.contentsRect(),
            widget.alignment(),
            widget.palette(),
            widget.isEnabled(),
            text,
            widget.foregroundRole(),
        )
    else:
        option = _option(widget)
        option.currentText = text
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
    painter.end()
