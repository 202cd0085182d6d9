"""All widgets can be used in a dock of 300 pixels, and on a large screen."""

import pytest
from pyqtgraph import PlotWidget
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QComboBox, QFormLayout

from napari_convgen.config import PRESETS
from napari_convgen.viewer.parts.elided import place_of
from napari_convgen.viewer.parts.folded import Folded
from napari_convgen.viewer.parts.labels import RowLabel, TextLabel
from napari_convgen.viewer.plots.curves import MAX_HEIGHT
from napari_convgen.viewer.plots.panels import PanelView
from napari_convgen.viewer.plots.tabs import PlotTabs

LEAST_SIZE = 300, 700
"""Width and height of a narrow dock, in pixels."""

LARGE_SIZE = 600, 2000
"""Width and height of a dock on a 4K screen, in pixels."""

NAMES = (
    "Denoise",
    "Reconstruct",
    "Compare methods",
    "Image against noise",
    "Why it works",
    "Kernel explorer",
)


@pytest.fixture
def viewer(make_napari_viewer, workers_end, noisy, small, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", small)
    viewer = make_napari_viewer()
    viewer.add_image(noisy, name="20261129_experiment_with_a_long_name_of_60_characters_001.tif")
    return viewer


def sides(widget):
    """Return the left and right sides of the editors with a label, in pixels of the widget; a tab has a column of its own."""
    tabs = widget.findChildren(PlotTabs)
    layouts = [
        each
        for each in widget.findChildren(QFormLayout)
        if not any(tab.isAncestorOf(each.parentWidget()) for tab in tabs)
    ]
    rows = [(layout, i) for layout in layouts for i in range(layout.rowCount())]
    items = [layout.itemAt(i, QFormLayout.ItemRole.FieldRole) for layout, i in rows]
    editors = [item.widget() for item in items if item is not None and item.widget().visibleRegion().rectCount()]
    lefts = [editor.mapTo(widget, QPoint(0, 0)).x() for editor in editors]
    return [(left, left + editor.width()) for left, editor in zip(lefts, editors, strict=True)]


def cut_choices(user):
    """Return what choices offer and cannot show whole; names of layers are not the program's."""
    layers = {layer.name for layer in user.widget.viewer.layers}
    cut = []
    for box in user.children(QComboBox):
        texts = [box.itemText(i) for i in range(box.count())]
        width = place_of(box).width()
        cut += [text for text in texts if text not in layers and box.fontMetrics().horizontalAdvance(text) > width]
    return cut


@pytest.mark.parametrize("name", NAMES)
def test_choices_are_shown_whole_and_names_of_rows_have_two_lines_where_it_is_narrow(viewer, hands, qtbot, name):
    dock, widget = viewer.window.add_plugin_dock_widget("napari-convgen", name)
    dock.setFloating(True)
    dock.resize(*LEAST_SIZE)
    for folded in widget.findChildren(Folded):
        folded.expand(animate=False)
    user = hands(widget)
    has_problems = name in ("Reconstruct", "Image against noise", "Why it works")
    for problem in user.choices("Problem") if has_problems else [None]:
        if problem is not None:
            user.fill("Problem", problem)
        qtbot.wait(50)
        assert (problem, cut_choices(user)) == (problem, [])
        assert (problem, widget.widget().width() - widget.viewport().width()) == (problem, 0)
    dock.resize(*LARGE_SIZE)
    qtbot.wait(50)
    assert [label.text() for label in user.children(RowLabel) if label.wordWrap()] == []


def has_one_line(label):
    """Return True if the text of a label is drawn on one line."""
    picture = label.grab().toImage()
    pixels = [[picture.pixel(x, y) for x in range(picture.width())] for y in range(picture.height())]
    inked = [y for y, row in enumerate(pixels) if len(set(row)) > 1]
    return inked[-1] - inked[0] < label.fontMetrics().height()


def test_a_name_of_a_row_that_just_fits_is_beside_its_field(viewer, hands, qtbot):
    dock, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Denoise")
    dock.setFloating(True)
    for folded in widget.findChildren(Folded):
        folded.expand(animate=False)
    user = hands(widget)
    for width in range(LEAST_SIZE[0], 400, 3):
        dock.resize(width, LEAST_SIZE[1])
        qtbot.wait(50)
        high = [label for label in user.children(RowLabel) if label.height() >= 2 * label.fontMetrics().height()]
        assert high or width > LEAST_SIZE[0]
        assert (width, [label.text() for label in high if has_one_line(label)]) == (width, [])


def test_no_empty_line_follows_a_text_that_just_fits(viewer, hands, qtbot):
    dock, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Image against noise")
    dock.setFloating(True)
    viewer.layers[0].name = "cells of the last week, noisy"
    label = hands(widget).label("cells of the last week")
    seen = set()
    for width in range(LEAST_SIZE[0], 420, 3):
        dock.resize(width, LEAST_SIZE[1])
        qtbot.wait(50)
        is_high = label.height() >= 2 * label.fontMetrics().height()
        assert (width, is_high) == (width, not has_one_line(label))
        seen.add(is_high)
    assert seen == {True, False}


@pytest.mark.parametrize("name", NAMES[3:])
def test_a_widget_that_explains_says_first_what_it_shows(viewer, hands, name):
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", name)
    first, *_ = hands(widget).children(TextLabel)
    assert first.text().startswith(("Shows", "Fits"))
    assert "your image" in first.text()


def test_a_choice_that_reaches_up_to_its_arrow_is_painted_as_by_qt(viewer, hands, qtbot):
    dock, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Reconstruct")
    dock.setFloating(True)
    user, pictures = hands(widget), []
    user.fill("Problem", "Phase microscopy")
    box = user.editor("Images are")
    assert box.currentText() == "planes through focus"
    for size in (LARGE_SIZE, LEAST_SIZE):
        dock.resize(*size)
        qtbot.wait(50)
        place = place_of(box)
        place.setWidth(box.fontMetrics().horizontalAdvance(box.currentText()) + 1)
        pictures.append(box.grab(place))
    wide, narrow = (picture.toImage() for picture in pictures)
    assert wide == narrow


def test_a_profile_that_is_asked_for_comes_into_sight(viewer, hands, qtbot):
    dock, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Denoise")
    dock.setFloating(True)
    dock.resize(*LEAST_SIZE)
    user = hands(widget)
    user.fill("Preset", "tiny")
    user.run()
    user.press("Profile")
    [plot] = user.children(PanelView)
    user.wait_for(lambda: plot.visibleRegion().boundingRect().height() == plot.height() >= 150)
    user.press("Profile")
    assert user.children(PanelView) == []


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_no_text_of_a_button_or_a_number_is_cut_and_all_is_as_wide_as_the_dock(viewer, hands, qtbot, theme):
    viewer.theme = theme
    for name in NAMES:
        dock, widget = viewer.window.add_plugin_dock_widget("napari-convgen", name)
        dock.setFloating(True)
        dock.resize(*LEAST_SIZE)
        user = hands(widget)
        if name == NAMES[0]:
            user.fill("Preset", "tiny")
            user.run()
            user.fill("Steps to add", 99_999)
            assert user.button("Continue from step 30").isEnabled()
            outcome = user.label("is kept")
            end = outcome.mapTo(widget.viewport(), outcome.rect().bottomLeft()).y()
            assert end < widget.viewport().height()
        for tabs in widget.findChildren(PlotTabs):
            for page in tabs.views:
                tabs.show_page(page)
                qtbot.wait(20)
                assert (name, page, user.cut) == (name, page, [])
        qtbot.wait(50)
        assert (name, user.cut) == (name, [])
        assert (name, widget.widget().width() - widget.viewport().width()) == (name, 0)
        assert (name, len({left for left, _ in sides(widget)})) == (name, 1)
        for folded in widget.findChildren(Folded):
            folded.expand(animate=False)
        qtbot.wait(50)
        rights = [right for _, right in sides(widget)]
        assert (name, max(rights) - min(rights) < 3) == (name, True)  # a frame may take a pixel
        dock.resize(*LARGE_SIZE)
        qtbot.wait(50)
        plots = [each for each in widget.findChildren(PlotWidget) if each.isVisible()]
        assert widget.height() > 1800
        assert (name, [each for each in plots if each.height() > MAX_HEIGHT]) == (name, [])
        assert plots or name != "Denoise"
        viewer.window.remove_dock_widget(dock)
