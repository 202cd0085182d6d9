import numpy as np
import pytest

from napari_convgen.config import PRESETS
from napari_convgen.viewer.compare import widget as module
from napari_convgen.viewer.compare.widget import CompareWidget

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
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Compare methods")
    widget._preset.value = "tiny"
    yield widget
    from napari._qt.qthreading import wait_for_workers_to_quit

    widget.session.cancel()
    wait_for_workers_to_quit(20_000)


def check(widget, *methods):
    for name, box in widget._methods.items():
        box.value = name in methods


def cells(widget):
    table = widget._table
    return [
        [table.item(row, column).text() for column in range(table.columnCount()) if not table.isColumnHidden(column)]
        for row in range(table.rowCount())
    ]


def test_run_button_fills_table_and_viewer(viewer, widget, qtbot):
    check(widget, "nlm", "convgen")
    widget._input.reference.value = "truth"
    widget._run.click()
    assert [widget._run.isEnabled(), widget._cancel.isEnabled()] == [False, True]
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=60_000)
    result = widget.session.result
    rows = cells(widget)
    assert [row[0] for row in rows] == ["noisy", "NLM", "convgen tiny"]
    for row, method in zip(rows[1:], ("nlm", "convgen"), strict=True):
        done = result[method]
        assert row[1:4] == [f"{done.scores.psnr:.2f}", f"{done.scores.ssim:.3f}", f"{done.residual.spread:.2f}"]
    assert f"data range of {result.reference.data_range:g}" in widget._words.text()
    assert "noise" in widget._words.text()
    assert any("convgen tiny" in layer.name for layer in viewer.layers)
    assert [widget._run.isEnabled(), widget._stop.isEnabled(), widget._cancel.isEnabled()] == [True, False, False]


def test_the_best_scores_are_bold(widget, qtbot):
    check(widget, "nlm", "tv")
    widget._input.reference.value = "truth"
    widget.run()
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=60_000)
    scores = [widget.session.result[method].scores.psnr for method in ("nlm", "tv")]
    is_bold = [widget._table.item(row, 1).font().bold() for row in range(3)]
    assert is_bold == [False, *(score == max(scores) for score in scores)]


def test_without_a_reference_there_are_no_columns_of_scores(widget, qtbot):
    check(widget, "wavelet")
    widget.run()
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=60_000)
    [row] = cells(widget)
    assert row[0] == "Wavelets"
    assert len(row) == 3


def test_a_method_that_is_not_installed_cannot_be_checked_and_says_why(viewer, monkeypatch, qtbot):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    widget = CompareWidget(viewer)
    qtbot.addWidget(widget)
    box = widget._methods["bm3d"]
    assert not box.enabled
    assert "pip install 'napari-convgen[bm3d]'" in box.tooltip
    assert "bm3d" not in widget.titles()


def test_nothing_checked_is_one_notification(widget, notes):
    check(widget)
    widget.run()
    assert ["Check a method" in note.message for note in notes] == [True]
    assert not widget.session.is_busy


def test_settings_go_over_those_of_the_preset_but_an_automatic_noise_does_not(widget):
    widget._settings.editors["seed"].value = 4
    widget._settings.editors["z_axis"].value = "volume"
    widget._preset.value = "paper"
    assert widget.config() == PRESETS["paper"].replace({"seed": 4, "z_axis": "volume"})
    widget._settings.editors["noise.kind"].value = "rician"
    assert widget.config().noise.kind == "rician"


def test_stack_is_announced_and_the_axes_can_be_typed(viewer, widget):
    viewer.add_image(np.random.default_rng(0).random((3, 16, 16)), name="stack")
    assert "3 frames of 16 × 16" in widget._input.description.text()
    widget._input.axes.value = "CYX"
    assert "frames" not in widget._input.description.text()


def test_widget_fits_a_narrow_dock(widget, qtbot):
    check(widget, "nlm")
    widget._input.reference.value = "truth"
    widget.run()
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=60_000)
    assert widget.widget().minimumSizeHint().width() <= 300 - SCROLL_BAR
