import pytest
from qtpy.QtCore import QPoint
from qtpy.QtGui import QHelpEvent
from qtpy.QtWidgets import QComboBox, QLabel, QToolTip

from napari_convgen.viewer.parts.elided import Elider

LONG = "20261129_experiment_with_a_long_name_001.tif"


def combo(text):
    box = QComboBox()
    box.addItem(text)
    return box


@pytest.fixture
def picture(qtbot):
    """Return a picture of a widget, 150 pixels wide."""

    def take(widget):
        qtbot.addWidget(widget)
        widget.resize(150, 30)
        widget.setToolTip("What it is for.")
        widget.show()
        return widget.grab().toImage()

    return take


@pytest.mark.parametrize("kind", [combo, QLabel])
def test_a_long_text_ends_in_an_ellipsis_and_is_whole_in_the_tooltip(kind, picture):
    plain, elided = kind(LONG), kind(LONG)
    elider = Elider(elided)
    elided.installEventFilter(elider)
    assert picture(elided) != picture(plain)
    shorter = [LONG[:i] + "…" + (LONG[len(LONG) - i :] if kind is combo else "") for i in range(5, 25)]
    assert kind is combo or picture(elided) in [picture(kind(text)) for text in shorter]
    elider.eventFilter(elided, QHelpEvent(QHelpEvent.Type.ToolTip, QPoint(5, 5), QPoint(5, 5)))
    assert QToolTip.text() == f"{LONG}\nWhat it is for."


def test_a_text_is_not_cut_by_the_margins_of_its_label(qtbot):
    def picture(text, is_elided=False):
        label = QLabel(text)
        qtbot.addWidget(label)
        label.setStyleSheet("padding: 0px 10px")
        label.resize(label.fontMetrics().horizontalAdvance(LONG) + 2, 30)
        if is_elided:
            label.installEventFilter(Elider(label))
        label.show()
        return label.grab().toImage()

    assert picture(LONG, is_elided=True) in [picture(f"{LONG[:i]}…") for i in range(len(LONG) - 8, len(LONG))]


@pytest.mark.parametrize("kind", [combo, QLabel])
def test_a_text_that_fits_is_left_to_qt(kind, picture):
    plain, watched = kind("none"), kind("none")
    watched.installEventFilter(Elider(watched))
    assert picture(watched) == picture(plain)
