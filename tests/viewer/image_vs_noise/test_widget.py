import subprocess
import sys

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_convgen.config import PRESETS
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.viewer.denoise.session import State

SCROLL_BAR = 16
"""Width in pixels that it takes of a dock."""


@pytest.fixture
def viewer(make_napari_viewer, noisy):
    viewer = make_napari_viewer()
    viewer.add_image(noisy // 2, name="truth")
    viewer.add_image(noisy, name="cells")
    return viewer


@pytest.fixture
def widget(viewer, small, monkeypatch):
    """The widget as the Plugins menu opens it, with a preset that is quick."""
    monkeypatch.setitem(PRESETS, "tiny", small)
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Image against noise")
    widget._preset.value = "tiny"
    yield widget
    from napari._qt.qthreading import wait_for_workers_to_quit

    widget.session.cancel()
    wait_for_workers_to_quit(20_000)


def run_to_end(widget, qtbot):
    widget._run.click()
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=60_000)


def test_run_button_fills_plots_words_and_viewer(viewer, widget, qtbot):
    widget._input.reference.value = "truth"
    widget._run.click()
    assert [widget._run.isEnabled(), widget._cancel.isEnabled()] == [False, True]
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=60_000)
    result = widget.session.result
    assert [target.name for target in result.targets] == ["image", "noise", "reference"]
    first, *others = result.sentences()
    assert widget._words.text().replace("\N{NO-BREAK SPACE}", " ") == first
    assert widget._details.text().replace("\N{NO-BREAK SPACE}", " ").splitlines() == [*others, *result.notes]
    curves = {curve.label: curve for curve in widget._errors.panel.curves}
    assert list(curves) == ["image", "noise", "reference", "image to clean"]
    np.testing.assert_array_equal(curves["noise"].y, result["noise"].losses)
    np.testing.assert_array_equal(curves["noise"].x, result.steps)
    assert [widget._run.isEnabled(), widget._pause.isEnabled(), widget._stop.isEnabled()] == [True, False, False]
    assert len(viewer.layers) == 5


def test_plots_follow_the_slider(viewer, widget, qtbot):
    run_to_end(widget, qtbot)
    result = widget.session.result
    viewer.dims.set_point(0, 12)
    assert widget._errors.panel.marks == [("", 12)]
    assert "step 12" in widget._errors.panel.title
    at = result.steps.index(12)
    for curve, target in zip(widget._distances.panel.curves, result.targets, strict=True):
        np.testing.assert_array_equal(curve.y, target.distances[at])


def test_plots_can_be_saved(widget, qtbot, tmp_path, monkeypatch):
    assert not widget._save.isEnabled()
    run_to_end(widget, qtbot)
    for ending, words in ((".csv", "CSV table of the curves (*.csv)"), (".svg", "SVG drawing (*.svg)")):
        answer = str(tmp_path / "mine"), words
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, answer=answer: answer)
        widget._save.click()
        assert (tmp_path / f"mine{ending}").stat().st_size > 1000


def test_bad_numbers_and_folders_are_one_notification(widget, qtbot, notes, tmp_path, monkeypatch):
    widget._added.value = "much"
    widget.run()
    assert ["must be a number, or 'none', got 'much'" in note.message for note in notes] == [True]
    assert not widget.session.is_busy
    widget._added.value = "12.5"
    assert widget.config().added_noise == 12.5
    run_to_end(widget, qtbot)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "no" / "fits.png"), ""))
    widget.save()
    assert "cannot be written" in notes[-1].message


def test_the_form_says_what_is_run(widget, small):
    widget._noise.value, widget._mean.value = "gaussian", "kept"
    widget._settings.editors["seed"].value = 4
    assert widget.config() == (small.replace({"seed": 4, "device": "auto"}), TargetsConfig("gaussian", "kept"))
    widget._preset.value = "paper"
    assert widget.config()[0] == PRESETS["paper"].replace({"seed": 4})


def test_presets_whose_input_differs_between_targets_are_not_offered(widget):
    offered = {PRESETS[name].generator.kind for name in widget._preset.choices}
    assert offered == {"deep-decoder", "skip-network"}


def test_cancel_empties_the_widget(viewer, widget, qtbot):
    widget._settings.editors["n_steps"].value = 1_000_000
    widget._run.click()
    qtbot.waitUntil(lambda: widget._errors.panel is not None, timeout=60_000)
    widget._pause.click()
    assert widget._pause.text() == "Continue"
    widget._pause.click()
    assert widget.session.state is State.RUNNING
    widget._cancel.click()
    assert widget._errors.panel is None
    assert widget._words.text() == ""
    assert [layer.name for layer in viewer.layers] == ["truth", "cells"]


def test_closing_the_widget_stops_and_delivers(viewer, widget, qtbot):
    widget._settings.editors["n_steps"].value = 1_000_000
    widget._run.click()
    qtbot.waitUntil(lambda: widget._errors.panel is not None, timeout=60_000)
    session = widget.session
    viewer.window.remove_dock_widget("all")
    qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)
    assert session.result is not None


def test_widget_fits_a_narrow_dock(widget, qtbot):
    run_to_end(widget, qtbot)
    assert widget.widget().minimumSizeHint().width() <= 300 - SCROLL_BAR


def test_no_torch_is_loaded_with_the_widget():
    statement = "import napari_convgen.viewer.image_vs_noise.widget, sys; print('torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True).stdout
    assert printed.split()[-1] == "False"
