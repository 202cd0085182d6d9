import os
import subprocess
import sys

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

from napari_convgen.config import PRESETS
from napari_convgen.run.spectrum import run as module
from napari_convgen.viewer.spectrum.widget import WhyItWorksWidget

SCROLL_BAR = 16
"""Width in pixels that it takes of a dock."""


@pytest.fixture(autouse=True)
def _few_products(monkeypatch):
    for name in ("N_NOISE_DRAWS", "N_SENSITIVITY_PROBES", "N_TAIL_PRODUCTS", "N_DESCENT_PRODUCTS"):
        monkeypatch.setattr(module, name, 4)


@pytest.fixture
def viewer(noisy):
    model = ViewerModel()
    model.add_image(noisy, name="cells")
    return model


@pytest.fixture
def quick(small, monkeypatch):
    """Fill the form of a widget so that a run is quick, and end what it is doing after the test."""
    made = []

    def fill(widget):
        made.append(widget)
        monkeypatch.setitem(PRESETS, "tiny", small)
        widget._preset.choices = tuple(PRESETS)
        widget._preset.value = "tiny"
        widget._settings.editors["device"].value = "cpu"
        widget._rank.value = 4
        widget._passes.value = 1
        return widget

    yield fill
    from napari._qt.qthreading import wait_for_workers_to_quit

    for widget in made:
        widget.session.cancel()
        widget.fitting.cancel()
    wait_for_workers_to_quit(20_000)


@pytest.fixture
def widget(viewer, quick, qtbot):
    widget = quick(WhyItWorksWidget(viewer))
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def docked(make_napari_viewer, quick, noisy):
    """The widget as the Plugins menu opens it, with napari's style."""
    viewer = make_napari_viewer()
    viewer.add_image(noisy, name="cells")
    return quick(viewer.window.add_plugin_dock_widget("napari-convgen", "Why it works")[1])


def run(widget, qtbot):
    widget._run.click()
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=30_000)


def plots(widget, tab):
    return [view.panel for view in widget.tabs.views[tab] if view.panel is not None]


def fits(widget):
    return [widget._fit_of.itemText(i) for i in range(widget._fit_of.count())]


def test_run_fills_viewer_words_and_plots(viewer, widget, qtbot):
    assert widget.tabs.isHidden()
    run(widget, qtbot)
    assert len(viewer.layers) == 5
    assert "times</b> that of noise" in widget._words.text()
    assert "Parameters: convolutions, norms, output" in widget._words.toolTip()
    assert "Vector 4" in widget._at_slider.text()
    assert {tab: len(plots(widget, tab)) for tab in widget.tabs.views} == {
        "Values": 1,
        "Energy": 2,
        "Descent": 2,
        "Fit": 0,
        "Change": 0,
    }
    assert not widget.tabs.isHidden()
    assert not widget._no_change.isHidden()
    assert [button.isEnabled() for button in (widget._run, widget._stop, widget._cancel)] == [True, False, False]


def test_form_says_what_is_wanted(widget):
    widget._steps.value = " 0, 50,200"
    widget._groups["norms"].value = False
    widget._grid.value = False
    widget._settings.editors["generator.n_channels"].value = 5
    wishes = widget.wishes()
    assert (wishes.rank, wishes.n_passes, wishes.at_steps) == (4, 1, (0, 50, 200))
    assert (wishes.groups, wishes.has_grid) == (("convolutions", "output"), False)
    assert widget.config() == PRESETS["tiny"].replace({"generator.n_channels": 5})


def test_a_preset_leaves_the_seed_as_it_is(widget):
    widget._settings.editors["seed"].value = 4
    widget._preset.value = "paper"
    assert widget.config() == PRESETS["paper"].replace({"seed": 4, "device": "cpu"})


@pytest.mark.parametrize(("text", "words"), [("0, soon", "whole numbers"), ("1,2,3,4,5,6", "At most 5")])
def test_bad_steps_are_one_notification(widget, notes, text, words):
    widget._steps.value = text
    widget._run.click()
    assert [words in note.message for note in notes] == [True]
    assert not widget.session.is_busy


def test_no_parameters_are_one_notification_and_the_last_result_stays(viewer, widget, qtbot, notes):
    run(widget, qtbot)
    words = widget._words.text()
    for box in widget._groups.values():
        box.value = False
    run(widget, qtbot)
    assert ["at least one" in note.message for note in notes] == [True]
    assert widget._words.text() == words
    assert len(viewer.layers) == 5


def test_forecast_says_what_it_takes(viewer, widget, qtbot):
    widget._forecast.click()
    assert not widget._run.isEnabled()
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=30_000)
    assert "of memory" in widget._words.text()
    assert len(viewer.layers) == 1


def test_the_words_follow_the_slider(viewer, widget, qtbot):
    run(widget, qtbot)
    viewer.dims.set_point(widget.session.layers.axis, 2)
    assert "Vector 2" in widget._at_slider.text()
    for name in ("vectors", "projection", "remainder"):
        viewer.layers.remove(f"{name}, cells")
    viewer.dims.set_point(0, 1)
    assert widget._at_slider.isHidden()


def test_another_step_is_shown_in_layers_words_and_plots(viewer, widget, qtbot):
    widget._steps.value = "0, 10"
    run(widget, qtbot)
    assert not widget._shown_step.isHidden()
    assert [curve.label for curve in plots(widget, "Change")[0].curves] == ["step 10"]
    widget._shown_step.setCurrentIndex(1)
    widget._shown_step.activated.emit(1)
    assert "<b>Step 10.</b>" in widget._words.text()
    assert "from step 10" in plots(widget, "Descent")[0].curves[0].label
    np.testing.assert_array_equal(viewer.layers["projection, cells"].data[2], widget.session.result.projection(2, 1))


def test_a_fit_is_offered_and_compared(viewer, widget, qtbot):
    run(widget, qtbot)
    assert fits(widget) == ["none"]
    assert "press Fit" in widget._stop_words["Fit"].text()
    widget._fit.click()
    assert [widget._fit.text(), widget._run.isEnabled()] == ["Stop", False]
    qtbot.waitUntil(lambda: not widget.fitting.is_busy, timeout=30_000)
    assert fits(widget) == ["none", "cells denoised"]
    assert widget._fit_of.currentText() == "cells denoised"
    np.testing.assert_array_equal(plots(widget, "Fit")[0].curves[0].y, widget.fitting.result.frames[0].loss)
    assert "The fit" in widget._stop_words["Fit"].text()
    viewer.layers["cells denoised"].name = "kept"
    assert widget._fit_of.currentText() == "kept"
    viewer.layers.remove("kept")
    assert widget._fit_of.currentText() == "none"
    assert plots(widget, "Fit") == []


def test_a_layer_that_was_denoised_before_is_chosen(viewer, widget, qtbot, small):
    from napari_convgen.viewer.denoise.session import Session
    from napari_convgen.viewer.layers.door import read_layer

    session = Session(viewer)
    session.run(read_layer(viewer.layers["cells"]), small)
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)
    run(widget, qtbot)
    assert widget._fit_of.currentText() == "cells denoised"
    assert len(plots(widget, "Fit")) == 1


def test_of_a_stack_the_shown_frame_is_looked_at(viewer, widget, qtbot, noisy):
    viewer.add_image(np.stack([noisy, noisy[::-1], noisy.T]), name="stack")
    viewer.dims.set_point(0, 1)
    assert "the shown frame only (2 of 3)" in widget._description.text()
    run(widget, qtbot)
    np.testing.assert_array_equal(widget.session.result.image.frame, noisy[::-1])
    widget._input.axes.value = "CYX"
    assert "frame" not in widget._description.text()


@pytest.mark.parametrize("layer", [None, "labels"])
def test_without_an_image_a_run_is_one_notification(viewer, widget, notes, layer):
    viewer.layers.clear()
    if layer is not None:
        viewer.add_labels(np.zeros((8, 8), int))
    assert "Select an image layer" in widget._description.text()
    widget._run.click()
    assert len(notes) == 1
    assert "Traceback" not in notes[0].message


@pytest.mark.parametrize(("name", "chosen", "made"), [("a", "CSV table (*.csv)", "a.csv"), ("b.svg", "", "b.svg")])
def test_the_plots_of_the_open_tab_are_saved(widget, qtbot, tmp_path, monkeypatch, name, chosen, made):
    run(widget, qtbot)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *arguments: (str(tmp_path / name), chosen))
    widget.tabs.show_page("Energy")
    widget._save.click()
    text = (tmp_path / made).read_text()
    assert "Energy in the first vectors" in text
    assert "Singular values" not in text


def test_plots_follow_the_theme(viewer, widget):
    colors = {}
    for theme in ("light", "dark"):
        viewer.theme = theme
        colors[theme] = widget.tabs.views["Values"][0]._text_color
    assert colors["light"] != colors["dark"]


def test_closing_the_widget_ends_the_run(docked, qtbot, noisy):
    widget, viewer = docked, docked.viewer
    widget._steps.value = "0, 1000000"
    widget._run.click()
    qtbot.waitUntil(lambda: "fit …" in widget._words.text(), timeout=30_000)
    assert "of memory" in widget._words.text()
    viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=30_000)
    assert [each.step for each in widget.session.result.spectra] == [0]
    viewer.add_image(noisy, name="new")
    viewer.dims.set_point(0, 1)
    viewer.theme = "light"


def test_widget_fits_a_narrow_dock(docked, qtbot):
    assert docked.widget().minimumSizeHint().width() <= 300 - SCROLL_BAR
    docked._steps.value = "0, 10"
    run(docked, qtbot)
    assert docked.widget().minimumSizeHint().width() <= 300 - SCROLL_BAR


def test_importing_the_widget_loads_no_torch():
    output = subprocess.run(
        [sys.executable, "-c", "import napari_convgen.viewer.spectrum.widget, sys; print('torch' in sys.modules)"],
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output.strip().endswith("False")
