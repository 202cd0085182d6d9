"""Names that are too long for their place: shown up to the arrow, or with an ellipsis, and in full in the tooltip."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QRect, Qt
from qtpy.QtGui import QHelpEvent
from qtpy.QtWidgets import QComboBox, QLabel, QStyle, QStyleOptionComboBox, QStylePainter, QToolTip, QWidget

ARROW = 20
"""Width of the arrow of a choice with the space around it, in pixels. napari's style keeps nearly twice as much free of text."""


class Elider(QObject):
    """Paints the texts of choices and titles, an event filter of `QComboBox` and `QLabel`, and leaves all else to Qt."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Paint a text that Qt would cut, and put one that is cut all the same above its tooltip."""
        kind = None if event is None else event.type()
        if not isinstance(watched, QComboBox | QLabel) or kind not in (QEvent.Type.Paint, QEvent.Type.ToolTip):
            return False
        text, width = _full_text(watched), place_of(watched).width()
        part = Qt.TextElideMode.ElideRight if isinstance(watched, QLabel) else Qt.TextElideMode.ElideMiddle
        shown = watched.fontMetrics().elidedText(text, part, width)
        if isinstance(event, QHelpEvent):
            if shown == text:
                return False
            QToolTip.showText(event.globalPos(), "\n".join(filter(None, [text, watched.toolTip()])), watched)
        elif watched.fontMetrics().horizontalAdvance(text) <= _place_of_qt(watched).width():
            return False
        else:
            _paint(watched, shown)
        return True


def place_of(widget: QComboBox | QLabel) -> QRect:
    """Return the place of a text, in pixels of the widget: that of a choice reaches up to the arrow."""
    place = _place_of_qt(widget)
    if isinstance(widget, QComboBox):
        place.setRight(max(place.right(), widget.width() - ARROW - 1))
    return place


def _place_of_qt(widget: QComboBox | QLabel) -> QRect:
    if isinstance(widget, QLabel):
        indent = widget.fontMetrics().horizontalAdvance("x") // 2 if widget.frameWidth() > 0 else 0  # Qt's own
        return QRect(widget.contentsRect().adjusted(indent, 0, 0, 0))
    field = QStyle.SubControl.SC_ComboBoxEditField
    return QRect(_style(widget).subControlRect(QStyle.ComplexControl.CC_ComboBox, _option(widget), field, widget))


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


def _paint(widget: QComboBox | QLabel, text: str) -> None:
    painter = QStylePainter(widget)
    alignment = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
    if isinstance(widget, QLabel):
        alignment = widget.alignment()
    else:
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, _option(widget))
    place, role = place_of(widget), widget.foregroundRole()
    painter.drawItemText(place, alignment, widget.palette(), widget.isEnabled(), text, role)
    painter.end()
