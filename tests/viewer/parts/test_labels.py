import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_convgen.viewer.parts.labels import BREAK, LONGEST_NAME, breakable, name_of_layer, text_label


@pytest.mark.parametrize("text", ["short words", "a < b & c > d", "<b>bold</b> text", "in&lt;put &amp; co", ""])
def test_a_text_without_long_words_stays_as_it_is(text):
    assert breakable(text) == text


@pytest.mark.parametrize("text", ["x" * 100, f"<b>{'y' * 60}</b> end", "&lt;" * 50, f"{'z' * 30}<i>{'z' * 30}</i>"])
def test_long_words_can_be_broken_but_not_inside_markup(text):
    broken = breakable(text)
    assert broken.replace(BREAK, "") == text
    assert BREAK in broken
    for tag in ("<b>", "</b>", "&lt;", "<i>"):
        assert broken.count(tag) == text.count(tag)


def test_a_number_stays_with_its_unit():
    text = "about 2 min 5 s: 9.8 % of 563 MiB, 96 × 96, 5 samples"
    assert breakable(text) == "about 2~min 5~s: 9.8~% of 563~MiB, 96~×~96, 5 samples".replace("~", "\N{NO-BREAK SPACE}")


def test_a_very_long_name_loses_its_middle():
    assert name_of_layer("a" * LONGEST_NAME) == f"<b>{'a' * LONGEST_NAME}</b>"
    shown = name_of_layer("start" + "-" * 200 + "end")
    assert shown.startswith("<b>start")
    assert shown.endswith("end</b>")
    assert len(shown) < LONGEST_NAME + 12
    assert name_of_layer("<i>") == "<b>&lt;i&gt;</b>"


def test_what_is_copied_from_a_label_is_what_was_written(qtbot):
    text = f"Cannot read /data/{'deep/' * 20}cells.tif: 9.8 % of it is missing.\nSave it again."
    label = text_label(text)
    qtbot.addWidget(label)
    assert BREAK in label.text()
    label.setSelection(0, len(label.text()))
    qtbot.keyClick(label, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text() == text
