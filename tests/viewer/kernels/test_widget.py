import numpy as np
import pyqtgraph as pg
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

from napari_convgen.run.kernels.run import STEPS
from napari_convgen.viewer.kernels.session import KernelSettings
from napari_convgen.viewer.kernels.widget import KernelWidget
from napari_convgen.viewer.plots.tabs import PlotTabs

SCROLL_BAR = 16
"""Width in pixels that it takes of a dock."""


@pytest.fixture
def viewer(noisy):
    viewer = ViewerModel()
    viewer.add_image(noisy, name="cells")
    return viewer


@pytest.fixture
def widget(viewer, workers_end, qtbot):
    widget = KernelWidget(viewer)
    qtbot.addWidget(widget)
    settle(widget, qtbot)
    yield widget
    widget.session.close()


@pytest.fixture
def user(widget, hands):
    return hands(widget)


@pytest.fixture
def docked(make_napari_viewer, workers_end, noisy, qtbot):
    """The widget as the Plugins menu opens it, in a window."""
    viewer = make_napari_viewer()
    viewer.add_image(noisy, name="cells")
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Kernel explorer")
    settle(widget, qtbot)
    yield widget
    widget.session.close()


def settle(widget, qtbot):
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=30_000)


def filtered(viewer):
    """Return a copy of the preview."""
    return viewer.layers["cells filtered"].data.copy()


def open_tab(widget, name):
    widget.findChild(PlotTabs).show_page(name)


def test_widget_shows_all_there_is_at_the_best_step(widget, user):
    answer = widget.session.answer
    assert f"{answer.best:,.0f}" in user.text
    assert STEPS[user.value("Step")] == answer.best
    assert "Best step" in user.text
    assert "noise of standard deviation" in user.text
    assert "cells · 32 × 32" in user.text
    for name, panels in answer.panels.items():
        assert user.tab(name) == list(panels)
    open_tab(widget, "Bound")
    assert "τ*" in user.text


def test_slider_moves_the_preview_and_the_button_moves_it_back(viewer, widget, user, qtbot):
    best = filtered(viewer)
    user.fill("Step", 0)
    settle(widget, qtbot)
    assert user.tab("Filter")[0].title == "Filter after 1 steps"
    assert not np.array_equal(filtered(viewer), best)
    user.press("Best step")
    settle(widget, qtbot)
    np.testing.assert_array_equal(filtered(viewer), best)
    assert STEPS[user.value("Step")] == widget.session.answer.best


def test_form_says_what_is_explored(widget, user, qtbot):
    user.fill("Kernel", "Gaussian")
    user.fill("Width", 2.5)
    user.fill("Signal length", 100)
    user.fill("Noise", "12")
    user.fill("Functions", "1, 4")
    user.fill("Functions of the signal", 10)
    settle(widget, qtbot)
    assert widget.session.answer.request.settings == KernelSettings(
        kind="Gaussian", width=2.5, length=100, sigma=12.0, functions=(1, 4), signal_share=0.1
    )
    assert len(user.tab("Basis")[0].curves) == 2


def test_a_triangle_has_a_whole_width_and_other_kernels_what_they_need(user):
    user.fill("Kernel", "Gaussian")
    user.fill("Width", 2.5)
    user.fill("Kernel", "Triangle")
    assert user.value("Width") == int(user.value("Width"))
    user.fill("Kernel", "Bilinear")
    assert not user.editor("Width").isEnabled()
    user.fill("Kernel", "Custom")
    assert user.choices("From layer") == ["none", "cells"]


def test_a_fault_of_the_program_says_what_to_do(widget, user, qtbot, notes, monkeypatch):
    def fail(*arguments, **options):
        raise IndexError("no such thing")

    monkeypatch.setattr("napari_convgen.viewer.kernels.session.all_panels", fail)
    user.fill("Width", 2.0)
    settle(widget, qtbot)
    assert "Unexpected IndexError: no such thing. Please report it" in user.text


def test_custom_kernel_goes_with_its_layer(viewer, widget, user, qtbot, notes):
    cells = viewer.layers["cells"]
    taps = viewer.add_image(np.array([[1.0, 2.0, 1.0]]), name="taps")
    viewer.layers.selection.active = cells
    settle(widget, qtbot)
    user.fill("Kernel", "Custom")
    settle(widget, qtbot)
    notes.clear()
    user.fill("From layer", "taps")
    settle(widget, qtbot)
    assert widget.session.answer.error is None
    taps.name = "other taps"
    settle(widget, qtbot)
    assert user.value("From layer") == "other taps"
    assert widget.session.answer.error is None
    viewer.layers.remove(taps)
    settle(widget, qtbot)
    assert ["no taps" in note.message for note in notes] == [True]
    assert "no taps" in user.text
    assert not user.button("Save …").isEnabled()


@pytest.mark.parametrize(("label", "text"), [("Noise", "much"), ("Functions", "1, two"), ("Noise", "-3")])
def test_what_is_no_number_is_one_notification(widget, user, qtbot, notes, label, text):
    user.fill(label, text)
    settle(widget, qtbot)
    assert len(notes) == 1
    assert "Traceback" not in notes[0].message


def test_too_wide_a_kernel_is_one_notification_and_leaves_no_plots(viewer, widget, user, qtbot, notes):
    user.fill("Width", 200)
    settle(widget, qtbot)
    assert ["must fit" in note.message for note in notes] == [True]
    assert "must fit" in user.text
    assert not any(user.tab(name) for name in ("Kernel", "Weights", "Basis", "Filter", "Bound"))
    assert [layer.name for layer in viewer.layers] == ["cells"]


def test_preview_box_says_whether_there_is_a_preview(viewer, widget, user, qtbot):
    viewer.layers.remove("cells filtered")
    assert not user.box("Preview").isChecked()
    assert not user.button("Keep").isEnabled()
    user.check("Preview")
    settle(widget, qtbot)
    assert "cells filtered" in viewer.layers
    user.press("Keep")
    assert not user.button("Keep").isEnabled()
    assert any("step" in layer.name for layer in viewer.layers)


def test_the_layer_can_be_removed(viewer, widget, user, qtbot, notes):
    user.fill("Step", 3)
    viewer.layers.remove("cells")
    settle(widget, qtbot)
    assert not viewer.layers
    assert "Select an image layer" in user.text
    assert user.tab("Kernel")
    assert not notes


def test_kspace_is_neither_filtered_nor_offered_as_a_kernel(viewer, widget, user, qtbot, notes, scan_layer):
    user.fill("Kernel", "Custom")
    scan_layer(viewer, (12, 12))
    settle(widget, qtbot)
    assert "shows k-space, from which an image is yet to be made" in user.text
    assert len(notes) == 1
    assert [layer.name for layer in viewer.layers] == ["cells", "knee k-space"]
    assert user.choices("From layer") == ["none", "cells"]


def test_stack_is_announced(viewer, widget, user, qtbot):
    viewer.add_image(np.random.default_rng(0).random((3, 16, 16)), name="stack")
    settle(widget, qtbot)
    assert "the shown frame only" in user.text
    assert "of 3" in user.text


def test_without_an_image_there_is_a_kernel_and_no_prediction(qtbot, hands):
    widget = KernelWidget(ViewerModel())
    qtbot.addWidget(widget)
    settle(widget, qtbot)
    user = hands(widget)
    assert "Select an image layer" in user.text
    assert user.tab("Kernel")
    assert not user.tab("Bound")
    assert not user.button("Best step").isEnabled()


def test_the_plots_of_the_open_tab_are_saved(widget, user, tmp_path, monkeypatch, notes):
    open_tab(widget, "Filter")
    for name, chosen, made in (("a", "CSV table (*.csv)", "a.csv"), ("b.svg", "", "b.svg")):
        answer = str(tmp_path / name), chosen
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, answer=answer: answer)
        notes.clear()
        user.press("Save …")
        assert "Filter after" in (tmp_path / made).read_text()
        assert "Kernel" not in (tmp_path / made).read_text()
        assert [made in note.message for note in notes] == [True]


def test_plots_have_the_colors_of_the_theme(viewer, widget):
    colors = {}
    for theme in ("light", "dark"):
        viewer.theme = theme
        colors[theme] = widget.findChild(pg.PlotWidget).getAxis("left").textPen().color().name()
    assert colors["light"] != colors["dark"]


def test_in_a_window_the_widget_fits_a_narrow_dock_and_layers_are_bound_and_let_go(docked, hands, qtbot, notes):
    """The widget sees the viewer's layers through a proxy there."""
    viewer, user = docked.session.viewer, hands(docked)
    assert user.width <= 300 - SCROLL_BAR
    taps = viewer.add_image(np.array([[1.0, 2.0, 1.0]]), name="taps")
    viewer.layers.selection.active = viewer.layers["cells"]
    user.fill("Kernel", "Custom")
    user.fill("From layer", "taps")
    taps.name = "other taps"
    assert user.value("From layer") == "other taps"
    user.fill("Kernel", "Triangle")
    settle(docked, qtbot)
    notes.clear()
    for name in ("other taps", "cells"):
        viewer.layers.remove(name)
    settle(docked, qtbot)
    assert not viewer.layers
    assert docked.session.layer is None
    assert not notes


def test_a_widget_taken_out_of_the_window_lets_go_of_the_viewer_and_takes_it_up_again(docked, noisy, qtbot, hands):
    viewer = docked.session.viewer
    hands(docked).fill("Width", 9)
    viewer.window.remove_dock_widget(docked)
    new = viewer.add_image(noisy, name="new")
    viewer.theme = "light"
    assert docked.session.layer is None
    assert not docked.session.is_busy
    _, again = viewer.window.add_plugin_dock_widget("napari-convgen", "Kernel explorer")
    assert again is docked
    settle(again, qtbot)
    assert again.session.layer == new
    assert hands(again).value("Width") == 9


def test_the_window_can_be_closed_while_something_is_explored(docked, hands, qtbot):
    answers = []
    docked.session.answered.connect(answers.append)
    hands(docked).fill("Step", 3)
    docked.session.viewer.close()
    qtbot.waitUntil(lambda: not docked.session.is_busy, timeout=30_000)
    assert answers == []


def test_what_is_chosen_survives_a_restart(viewer, preferences, hands, qtbot, workers_end):
    def opened():
        widget = KernelWidget(viewer)
        qtbot.addWidget(widget)
        settle(widget, qtbot)
        return widget, hands(widget)

    choices = {"Kernel": "Gaussian", "Width": 7.5, "Signal length": 64, "Noise": "12.5", "Functions": "1, 3"}
    widget, user = opened()
    for label, value in choices.items():
        user.fill(label, value)
    user.check("Preview", False)
    user.fill("Kernel", "Custom")
    settle(widget, qtbot)
    widget.session.close()
    assert preferences().kernels.kernel == "Gaussian"
    widget, user = opened()
    assert {label: user.value(label) for label in choices} == choices
    assert not user.box("Preview").isChecked()
    assert widget.session.settings.width == 7.5
    assert "cells filtered" not in viewer.layers
    widget.session.close()


def test_a_long_layer_name_does_not_widen_the_dock(docked, hands, qtbot):
    long = "20261128_experiment_of_a_cell_with_a_very_long_name_position_0012_channel_488"
    layers = docked.viewer.layers
    layers["cells"].name = long
    layers.selection.active = layers[long]
    hands(docked).fill("Kernel", "Custom")
    settle(docked, qtbot)
    docked.viewer.add_image(np.ones((3, 3)), name=f"{long}_kernel")
    assert docked.widget().minimumSizeHint().width() <= 300 - SCROLL_BAR
