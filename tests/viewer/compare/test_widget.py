import json

import numpy as np
import pytest
from napari.layers._source import layer_source
from qtpy.QtWidgets import QTableWidget

from napari_convgen.config import PRESETS
from napari_convgen.viewer.compare import widget as module
from napari_convgen.viewer.compare.widget import CompareWidget

SCROLL_BAR = 16
"""Width in pixels that it takes of a dock."""

BOXES = {
    "nlm": "NLM",
    "tv": "TV",
    "wavelet": "Wavelets",
    "lichi": "LIChI",
    "bm3d": "BM3D",
    "convgen": "convgen",
}


@pytest.fixture
def widget(make_widget):
    return make_widget(CompareWidget)


@pytest.fixture
def viewer(widget):
    return widget.viewer


def check(user, *methods):
    """Check these methods, and no others."""
    for method, text in BOXES.items():
        if method != "bm3d" or "bm3d" in methods:
            user.check(text, method in methods)
    for box in user.children(type(user.box("NLM"))):
        if box.text().startswith("BM3D") and box.isChecked() and "bm3d" not in methods:
            box.click()


def test_run_button_fills_table_and_viewer_in_a_narrow_dock(open_widget):
    widget, user = open_widget("Compare methods")
    check(user, "nlm", "convgen")
    user.fill("Reference", "truth")
    user.run()
    result = widget.session.result
    assert [row[0] for row in user.rows] == ["noisy", "NLM", "convgen tiny"]
    for row, method in zip(user.rows[1:], ("nlm", "convgen"), strict=True):
        done = result[method]
        assert row[1:4] == [f"{done.scores.psnr:.2f}", f"{done.scores.ssim:.3f}", f"{done.residual.spread:.2f}"]
    assert f"data range of {result.reference.data_range:g}" in user.text
    assert "noise" in user.text
    assert any("convgen tiny" in layer.name for layer in widget.viewer.layers)
    assert user.width <= 300 - SCROLL_BAR


def test_the_best_scores_are_bold(widget, user):
    check(user, "nlm", "tv")
    user.fill("Reference", "truth")
    user.run()
    scores = [widget.session.result[method].scores.psnr for method in ("nlm", "tv")]
    table = widget.findChild(QTableWidget)
    is_bold = [table.item(row, 1).font().bold() for row in range(3)]
    assert is_bold == [False, *(score == max(scores) for score in scores)]


def test_without_a_reference_there_are_no_columns_of_scores(user):
    check(user, "wavelet")
    user.run()
    [row] = user.rows
    assert row[0] == "Wavelets"
    assert len(row) == 3


def test_cancelling_a_comparison_shows_the_last_one_again(user):
    check(user, "wavelet")
    user.run()
    before = user.rows, user.text
    check(user, "nlm", "convgen")
    user.press("Run")
    assert user.rows == []
    user.press("Cancel")
    assert (user.rows, user.text) == before


def test_a_method_that_is_not_installed_cannot_be_checked_and_says_why(viewer, monkeypatch, qtbot, hands):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    widget = CompareWidget(viewer)
    qtbot.addWidget(widget)
    box = hands(widget).box("BM3D (not installed)")
    assert not box.isEnabled()
    assert "pip install 'napari-convgen[bm3d]'" in box.toolTip()
    assert "bm3d" not in widget.titles()


def test_nothing_checked_is_one_notification(user, notes):
    check(user)
    user.press("Run")
    assert ["Check at least one" in note.message for note in notes] == [True]
    assert user.button("Run").isEnabled()


def test_a_z_axis_can_be_made_a_volume_where_there_is_one(viewer, widget, user, noisy):
    assert not user.editor("Z axis is").isVisibleTo(widget)
    viewer.add_image(np.stack([noisy] * 3), name="stack")
    assert user.editor("Z axis is").isVisibleTo(widget)


def test_what_the_values_are_decides_the_noise_of_every_method(viewer, widget, user, preferences, noisy, tmp_path):
    (tmp_path / "scan.json").write_text(json.dumps({"Modality": "MR", "ImageType": ["M"]}))
    with layer_source(path=str(tmp_path / "scan.nii.gz")):
        viewer.add_image(noisy, name="scan")
    assert (user.value("Values are"), user.value("Noise")) == ("magnitude (MRI)", "rician")
    user.fill("Preset", "deep-decoder")
    user.press("Run")
    user.press("Cancel")
    assert "noise.kind" not in preferences().compare.changes  # it is this file's
    user.fill("Values are", "complex pair (MRI)")
    assert (widget.config().noise.kind, widget.config().channels) == ("gaussian", "joint")
    user.press("Run")
    assert "an image with two channels" in user.text
    user.fill("Values are", "intensities")
    assert widget.config().channels == "auto"


def test_settings_go_over_those_of_the_preset_but_an_automatic_noise_does_not(widget, user):
    user.fill("Seed", 4)
    user.fill("Z axis is", "volume")
    user.fill("Preset", "paper")
    assert widget.config() == PRESETS["paper"].replace({"seed": 4, "z_axis": "volume"})
    user.fill("Noise", "rician")
    assert widget.config().noise.kind == "rician"


def test_stack_is_announced_and_the_axes_can_be_typed(viewer, user):
    viewer.add_image(np.random.default_rng(0).random((3, 16, 16)), name="stack")
    assert "3 frames of 16 × 16" in user.text
    user.fill("Axes", "CYX")
    assert "frames of" not in user.text


def test_on_a_large_screen_the_table_is_as_high_as_its_rows(widget, user, qtbot):
    check(user, "tv", "wavelet")
    user.run()
    widget.resize(600, 2000)
    widget.show()
    qtbot.wait(50)
    table = widget.findChild(QTableWidget)
    rows = sum(table.rowHeight(i) for i in range(table.rowCount()))
    assert rows <= table.viewport().height() < rows + 60  # Qt makes no table lower than that
