import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_convgen.config import PRESETS
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.viewer.image_vs_noise.widget import ImageAgainstNoiseWidget

SCROLL_BAR = 16
"""Width in pixels that it takes of a dock."""


@pytest.fixture
def widget(make_widget):
    return make_widget(ImageAgainstNoiseWidget)


@pytest.fixture
def viewer(widget):
    return widget.viewer


def test_run_button_fills_plots_text_and_viewer_in_a_narrow_dock(open_widget):
    widget, user = open_widget("Image against noise")
    user.fill("Reference", "truth")
    user.run()
    result = widget.session.result
    assert [target.name for target in result.targets] == ["image", "noise", "reference"]
    for sentence in (*result.sentences(), *result.notes):
        assert sentence in user.text
    errors, _ = user.panels
    curves = {curve.label: curve for curve in errors.curves}
    assert list(curves) == ["image", "noise", "reference", "image to clean"]
    np.testing.assert_array_equal(curves["noise"].y, result["noise"].losses)
    np.testing.assert_array_equal(curves["noise"].x, result.steps)
    names = [layer.name for layer in widget.viewer.layers]
    assert len(names) == 6
    np.testing.assert_array_equal(widget.viewer.layers["noise that is fitted"].data, result["noise"].values)
    assert all(layer.name_overlay.visible for layer in widget.viewer.layers)
    assert user.width <= 300 - SCROLL_BAR


def test_a_stack_takes_the_shown_frame_and_its_reference(viewer, widget, user, noisy):
    stack = viewer.add_image(np.stack([noisy, noisy[::-1], noisy[:, ::-1]]), name="stack")
    viewer.add_image(np.stack([noisy, noisy[::-1], noisy[:, ::-1]]) // 2, name="truths")
    viewer.layers.selection.active = stack
    viewer.dims.set_point(0, 1)
    assert "the shown frame only (2 of 3)" in user.text
    assert user.editor("Z axis is").isVisibleTo(widget)  # not folded away
    user.fill("Reference", "truths")
    user.run()
    result = widget.session.result
    assert result["image"].values.shape == (1, 32, 32)
    np.testing.assert_allclose(result["reference"].values[0].astype(int), noisy[::-1] // 2, atol=1)
    assert "left to fit" in user.text


def test_plots_are_those_of_the_step_on_the_slider(viewer, widget, user):
    user.run()
    result = widget.session.result
    viewer.dims.set_point(0, 12)
    errors, distances = user.panels
    assert errors.marks == [("", 12)]
    assert "step 12" in errors.title
    at = result.steps.index(12)
    for curve, target in zip(distances.curves, result.targets, strict=True):
        np.testing.assert_array_equal(curve.y, target.distances[at])


def test_plots_can_be_saved(user, tmp_path, monkeypatch):
    assert not user.button("Save …").isEnabled()
    user.run()
    for ending, chosen in ((".csv", "CSV table of the curves (*.csv)"), (".svg", "SVG drawing (*.svg)")):
        answer = str(tmp_path / "mine"), chosen
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, answer=answer: answer)
        user.press("Save …")
        assert (tmp_path / f"mine{ending}").stat().st_size > 1000


def test_bad_numbers_and_folders_are_one_notification(widget, user, notes, tmp_path, monkeypatch):
    user.fill("Added noise", "much")
    user.press("Run")
    assert ["must be a number, or 'none', got 'much'" in note.message for note in notes] == [True]
    assert user.button("Run").isEnabled()
    user.fill("Added noise", "12.5")
    assert widget.config()[1].added_noise == 12.5
    user.run()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "no" / "fits.png"), ""))
    user.press("Save …")
    assert "cannot be written" in notes[-1].message


def test_the_form_says_what_is_run(widget, user, small):
    user.fill("Pure noise", "gaussian")
    user.fill("Its mean", "kept")
    user.fill("Seed", 4)
    assert widget.config() == (small.replace({"seed": 4, "device": "auto"}), TargetsConfig("gaussian", "kept"))
    user.fill("Preset", "paper")
    assert widget.config()[0] == PRESETS["paper"].replace({"seed": 4})


def test_presets_whose_input_differs_between_targets_are_not_offered(user):
    offered = {PRESETS[name].generator.kind for name in user.choices("Preset")}
    assert offered == {"deep-decoder", "skip-network"}


def test_cancel_empties_the_widget_or_shows_the_last_run_again(viewer, user):
    empty = user.text
    user.fill("Steps at most", 1_000_000)
    user.press("Run")
    user.wait_for(lambda: bool(user.panels))
    user.press("Cancel")
    assert user.panels == []
    assert user.text == empty
    assert [layer.name for layer in viewer.layers] == ["truth", "cells"]
    user.fill("Steps at most", 20)
    user.run()
    before = user.text
    user.press("Run")
    assert user.panels == []
    user.press("Cancel")
    assert user.text == before
    assert user.panels[0].curves[0].x[-1] == 20


def test_a_generator_is_looked_at_through_a_measurement(viewer, widget, user, noisy):
    """Only what the problem needs is shown; enlarged images lie on the measurement."""
    labels = ("Missing pixels", "Point spread", "Enlargement", "K-space", "Images are")
    assert not any(user.editor(label).isVisibleTo(user.widget) for label in labels)
    user.fill("Problem", "Fill in missing pixels")
    assert [label for label in labels if user.editor(label).isVisibleTo(user.widget)] == ["Missing pixels"]
    user.press("Run")
    user.wait_until_idle()
    assert "NaN" in user.text  # nothing is missing
    viewer.add_labels((noisy > 100).astype(int), name="missing")
    user.run()
    assert widget.session.result.config.operator.kind == "identity"
    assert "missing" in user.text or "left to fit" in user.text
    user.fill("Problem", "Enlarge")
    user.run()
    assert widget.session.result.config.operator.kind == "downsampling"
    shown = [layer for layer in viewer.layers if layer.name.startswith(("image, ", "noise, "))][-2:]
    assert [layer.data.shape[-2:] for layer in shown] == [(64, 64)] * 2
    for layer in shown:
        np.testing.assert_allclose(layer.extent.world[:, -2:], viewer.layers["cells"].extent.world, atol=0.26)


def test_a_scan_is_fitted_beside_noise_and_shown_in_magnitudes(viewer, widget, user, scan_layer):
    size = (20, 18)
    made = scan_layer(viewer, size)
    user.fill("Problem", "MRI scan")
    user.run()
    result = widget.session.result
    assert result.config.operator.kind == "fourier"
    assert result["noise"].values.shape == made.kspace.shape
    fitted = [layer for layer in viewer.layers if layer.name.startswith(("image, step", "noise, step"))]
    assert len(fitted) == 2
    last = result["image"].snapshots[-1]
    np.testing.assert_array_equal(fitted[0].data[last.step, 0], np.abs(last.image))
    assert "noise that is fitted" not in viewer.layers  # it is k-space
    assert "left to fit" in user.text
    assert user.text.count("points of k-space were sampled") == 1


def test_a_stack_of_a_phase_is_fitted_beside_noise_and_shown_in_its_place(viewer, widget, user, phase_stack):
    phase_stack(viewer)
    user.fill("Problem", "Phase microscopy")
    user.fill("Aberrations", 0)
    user.fill("Starts", 1)
    user.run()
    result = widget.session.result
    assert result["noise"].values.shape == (3, 18, 17)
    [fitted] = [layer for layer in viewer.layers if layer.name.startswith("image, step")]
    assert fitted.data.shape[1:] == (1, 18, 17)
    np.testing.assert_allclose(fitted.scale[1:], (6, 0.2, 0.2))  # one pixel as long as the stack
    assert "left to fit" in user.text


def test_the_problem_is_only_named_not_undone(user):
    assert user.editor("Problem").toolTip() == "What happened to the image when it was measured."
