from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QLabel

from napari_convgen.viewer.parts.folded import Folded


def test_the_arrow_points_at_the_title_or_down_to_what_is_open(qtbot):
    folded = Folded()
    qtbot.addWidget(folded)
    folded.addWidget(QLabel("inside"))
    assert folded.text() == "▸ More settings"
    assert folded.toggleButton().iconSize().isEmpty()  # drawn once, it would be black in a dark theme
    folded.expand(animate=False)
    assert folded.text() == "▾ More settings"
    folded.toggleButton().click()
    assert folded.text() == "▸ More settings"


def test_it_is_made_where_an_empty_icon_is_false(qtbot, monkeypatch):
    monkeypatch.setattr(QIcon, "__bool__", lambda icon: not icon.isNull(), raising=False)  # as with PySide
    qtbot.addWidget(Folded())
