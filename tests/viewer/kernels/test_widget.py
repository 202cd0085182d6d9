import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

from napari_convgen.run.kernels.run import STEPS
from napari_convgen.viewer.kernels.widget import KernelWidget

SCROLL_BAR = 16
"""Width in pixels that it takes of a dock."""


@pytest.fixture
def viewer(noisy):
    viewer = ViewerModel()
    viewer.add_image(noisy, name="cells")
    return viewer


@pytest.fixture
def widget(viewer, qtbot):
    widget = KernelWidget(viewer)
    qtbot.addWidget(widget)
    yield from at_work(widget, qtbot)


@pytest.fixture
def docked(make_napari_viewer, noisy, qtbot):
    """The widget as the Plugins menu opens it, in a window."""
    viewer = make_napari_viewer()
    viewer.add_image(noisy, name="cells")
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Kernel explorer")
    yield from at_work(widget, qtbot)


def at_work(widget, qtbot):
    from napari._qt.qthreading import wait_for_workers_to_quit

    settle(widget, qtbot)
    yield widget
    widget.session.close()
    wait_for_workers_to_quit(20_000)


def settle(widget, qtbot):
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=30_000)


def choose(widget, kind):
    widget._kind.setCurrentText(kind)


def test_widget_shows_all_there_is_at_the_best_step(viewer, widget):
    answer = widget.session.answer
    assert widget._step.text() == f"{answer.best:,.0f}"
    assert STEPS[widget._slider.value()] == answer.best
    assert "Best step" in widget._words.text()
    assert "noise of standard deviation" in widget._words.text()
    assert "τ*" in widget._bound.text()
    assert "cells" in widget._description.text()
    for name, views in widget.tabs.views.items():
        assert [view.panel for view in views] == answer.panels[name]


def test_slider_moves_the_preview_and_the_button_moves_it_back(viewer, widget, qtbot):
    best = viewer.layers["cells filtered"].data.copy()
    widget._slider.setValue(0)
    assert widget._step.text() == "1"
    settle(widget, qtbot)
    assert widget.tabs.views["Filter"][0].panel.title == "Filter after 1 steps"
    assert not np.array_equal(viewer.layers["cells filtered"].data, best)
    widget._best.click()
    settle(widget, qtbot)
    np.testing.assert_array_equal(viewer.layers["cells filtered"].data, best)
    assert STEPS[widget._slider.value()] == widget.session.answer.best


def test_form_says_what_is_explored(widget, qtbot):
    choose(widget, "Gaussian")
    widget._width.setValue(2.5)
    widget._length.setValue(100)
    widget._sigma.setText("12")
    widget._sigma.editingFinished.emit()
    widget._functions.setText("1, 4")
    widget._functions.editingFinished.emit()
    widget._share.setValue(10)
    settle(widget, qtbot)
    words = widget.session.answer.request.words
    assert (words.kind, words.width, words.length, words.sigma) == ("Gaussian", 2.5, 100, 12.0)
    assert (words.functions, words.signal_share) == ((1, 4), 0.1)
    assert len(widget.tabs.views["Basis"][0].panel.curves) == 2


def test_a_triangle_has_a_whole_width_and_other_kernels_what_they_need(widget):
    choose(widget, "Gaussian")
    widget._width.setValue(2.5)
    choose(widget, "Triangle")
    assert widget._width.value() == int(widget._width.value())
    assert widget.read_words().width == widget._width.value()
    choose(widget, "Bilinear")
    assert not widget._width.isEnabled()
    choose(widget, "Custom")
    assert widget._shape.currentWidget() is widget._taps
    assert widget._shape_name.text() == "From layer"


def test_custom_kernel_goes_with_its_layer(viewer, widget, qtbot, notes):
    cells = viewer.layers["cells"]
    taps = viewer.add_image(np.array([[1.0, 2.0, 1.0]]), name="taps")
    viewer.layers.selection.active = cells
    settle(widget, qtbot)
    notes.clear()
    widget._taps.setCurrentText("taps")
    widget._taps.activated.emit(widget._taps.currentIndex())
    choose(widget, "Custom")
    settle(widget, qtbot)
    assert widget.session.answer.error is None
    taps.name = "other taps"
    settle(widget, qtbot)
    assert widget.read_words().taps == "other taps"
    assert widget.session.answer.error is None
    viewer.layers.remove(taps)
    settle(widget, qtbot)
    assert ["no taps" in note.message for note in notes] == [True]
    assert "no taps" in widget._words.text()
    assert not widget._save.isEnabled()


def test_the_preview_is_not_offered_as_a_kernel(widget):
    assert [widget._taps.itemText(i) for i in range(widget._taps.count())] == ["none", "cells"]


@pytest.mark.parametrize(("editor", "text"), [("_sigma", "much"), ("_functions", "1, two"), ("_sigma", "-3")])
def test_what_is_no_number_is_one_notification(widget, qtbot, notes, editor, text):
    getattr(widget, editor).setText(text)
    getattr(widget, editor).editingFinished.emit()
    settle(widget, qtbot)
    assert len(notes) == 1
    assert "Traceback" not in notes[0].message


def test_too_wide_a_kernel_is_one_notification_and_leaves_no_plots(viewer, widget, qtbot, notes):
    widget._width.setValue(200)
    settle(widget, qtbot)
    assert ["must fit" in note.message for note in notes] == [True]
    assert "must fit" in widget._words.text()
    assert all(view.panel is None for views in widget.tabs.views.values() for view in views)
    assert [layer.name for layer in viewer.layers] == ["cells"]


def test_preview_box_follows_the_layer(viewer, widget, qtbot):
    viewer.layers.remove("cells filtered")
    assert not widget._preview.isChecked()
    assert not widget._keep.isEnabled()
    widget._preview.click()
    settle(widget, qtbot)
    assert "cells filtered" in viewer.layers
    widget._keep.click()
    assert not widget._keep.isEnabled()
    assert any("step" in layer.name for layer in viewer.layers)


def test_the_layer_can_be_removed(viewer, widget, qtbot, notes):
    widget._slider.setValue(3)
    viewer.layers.remove("cells")
    settle(widget, qtbot)
    assert not viewer.layers
    assert "Select an image layer" in widget._description.text()
    assert widget.tabs.views["Kernel"][0].panel is not None
    assert not notes


def test_stack_is_announced(viewer, widget, qtbot):
    viewer.add_image(np.random.default_rng(0).random((3, 16, 16)), name="stack")
    settle(widget, qtbot)
    assert "the shown frame only" in widget._description.text()
    assert "of 3" in widget._description.text()


def test_without_an_image_there_is_a_kernel_and_no_prediction(qtbot):
    widget = KernelWidget(ViewerModel())
    qtbot.addWidget(widget)
    settle(widget, qtbot)
    assert "Select an image layer" in widget._description.text()
    assert widget.tabs.views["Kernel"][0].panel is not None
    assert widget.tabs.views["Bound"][0].panel is None
    assert not widget._best.isEnabled()


@pytest.mark.parametrize(("name", "chosen", "made"), [("a", "CSV table (*.csv)", "a.csv"), ("b.svg", "", "b.svg")])
def test_the_plots_of_the_open_tab_are_saved(widget, tmp_path, monkeypatch, notes, name, chosen, made):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *arguments: (str(tmp_path / name), chosen))
    widget.tabs.show_page("Filter")
    widget._save.click()
    assert "Filter after" in (tmp_path / made).read_text()
    assert "Kernel" not in (tmp_path / made).read_text()
    assert [made in note.message for note in notes] == [True]


def test_plots_follow_the_theme(viewer, widget):
    colors = {}
    for theme in ("light", "dark"):
        viewer.theme = theme
        colors[theme] = widget.tabs.views["Kernel"][0]._text_color
    assert colors["light"] != colors["dark"]


def test_in_a_window_layers_are_bound_and_let_go(docked, qtbot, notes):
    """The widget sees the viewer's layers through a proxy there."""
    viewer = docked.session.viewer
    taps = viewer.add_image(np.array([[1.0, 2.0, 1.0]]), name="taps")
    viewer.layers.selection.active = viewer.layers["cells"]
    docked._taps.setCurrentText("taps")
    docked._taps.activated.emit(docked._taps.currentIndex())
    taps.name = "other taps"
    assert docked.read_words().taps == "other taps"
    settle(docked, qtbot)
    notes.clear()
    for name in ("other taps", "cells"):
        viewer.layers.remove(name)
    settle(docked, qtbot)
    assert not viewer.layers
    assert docked.session.layer is None
    assert not notes


def test_a_widget_taken_out_of_the_window_lets_go_of_the_viewer(docked, noisy):
    viewer = docked.session.viewer
    viewer.window.remove_dock_widget(docked)
    viewer.add_image(noisy, name="new")
    viewer.theme = "light"
    assert docked.session.layer is None
    assert not docked.session.is_busy


def test_the_window_can_be_closed_while_something_is_explored(docked, qtbot):
    answers = []
    docked.session.answered.connect(answers.append)
    docked._slider.setValue(3)
    docked.session.viewer.close()
    qtbot.waitUntil(lambda: not docked.session.is_busy, timeout=30_000)
    assert answers == []


def test_widget_fits_a_narrow_dock(docked):
    assert docked.widget().minimumSizeHint().width() <= 300 - SCROLL_BAR
