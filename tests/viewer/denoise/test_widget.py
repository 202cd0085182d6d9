import numpy as np
import pyqtgraph as pg
import pytest
from napari.layers import Image, Labels

from napari_convgen.config import PRESETS
from napari_convgen.viewer.denoise.widget import DenoiseWidget

SCROLL_BAR = 16
"""Width in pixels that it takes of a dock."""


@pytest.fixture(autouse=True)
def _presets(small, endless, two, monkeypatch):
    """Presets that are quick, and one that runs until it is ended."""
    for name, config in {"tiny": small, "endless": endless, "two": two}.items():
        monkeypatch.setitem(PRESETS, name, config)


@pytest.fixture
def widget(make_widget):
    widget = make_widget(DenoiseWidget)
    widget.viewer.layers.remove("truth")
    return widget


@pytest.fixture
def viewer(widget):
    return widget.viewer


def test_run_button_denoises_the_active_layer_in_a_narrow_dock(open_widget):
    widget, user = open_widget("Denoise")
    assert user.width <= 300 - SCROLL_BAR
    user.run()
    assert user.width <= 300 - SCROLL_BAR
    assert [layer.name for layer in widget.viewer.layers] == ["truth", "cells", "cells denoised", "cells snapshots"]
    assert "30 steps" in user.text
    assert user.curves.n_steps == 30
    assert user.enabled("Promote", "Undo", "Continue from step 30") == ["Promote", "Continue from step 30"]


def test_that_no_noise_was_found_is_said_in_the_widget(viewer, user):
    values = np.zeros((32, 32), np.float32)
    values[:, 16:] = 1
    viewer.layers["cells"].data = values
    user.fill("Preset", "tiny")
    user.fill("Noise", "auto")
    user.run()
    assert "Attention: no noise was found" in user.text


def test_a_forecast_leaves_the_last_run_alone(viewer, widget, user):
    user.run()
    layers, result = list(viewer.layers), widget.session.result
    user.press("Forecast")
    assert user.enabled("Run", "Forecast", "Cancel") == ["Cancel"]
    user.wait_until_idle()
    assert "of memory" in user.text
    assert "for 30 steps" in user.text
    assert (list(viewer.layers), widget.session.result) == (layers, result)
    assert user.button("Continue from step 30").isEnabled()


def test_a_forecast_can_be_cancelled_and_the_last_run_continued(user):
    user.run()
    user.press("Forecast")
    user.press("Cancel")
    assert user.button("Run").isEnabled()
    assert "Loading" not in user.text
    assert user.button("Continue from step 30").isEnabled()


@pytest.mark.parametrize("button", ["Run", "Forecast"])
def test_what_cannot_be_run_is_one_notification_and_no_traceback(viewer, user, notes, capfd, button):
    viewer.layers["cells"].data = np.ones((30, 30))
    user.press(button)
    user.wait_until_idle()
    [notification] = notes
    assert "The image is constant" in notification.message
    assert "The image is constant" in user.text
    terminal = "".join(capfd.readouterr())
    assert "Traceback" not in terminal
    assert terminal.count("The image is constant") <= 1


def test_frames_that_a_stopped_stack_did_not_reach_are_told_and_left_as_they_are(viewer, user, noisy):
    viewer.layers.clear()
    viewer.add_image(np.stack([noisy, noisy[::-1], noisy.T]), name="cells")
    user.fill("Preset", "endless")
    user.press("Run")
    user.wait_for(lambda: user.curves.n_steps > 3)
    user.press("Stop and keep")
    user.wait_until_idle()
    assert "2 of 3 frames, from index 1 on, were not reached" in user.text
    np.testing.assert_array_equal(viewer.layers["cells denoised"].data[1:], [noisy[::-1], noisy.T])


def test_a_fit_leaves_a_thread_to_the_window(user, monkeypatch):
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    user.fill("Threads", "auto")
    user.run()
    assert "2 threads" in user.text


def test_progress_names_step_and_time_left(user):
    user.fill("Preset", "endless")
    user.press("Run")
    user.wait_for(lambda: user.curves.n_steps > 3)
    assert "left" in user.progress
    assert "of at most 1000000" in user.text
    user.press("Cancel")
    assert "of at most" not in user.text
    assert user.curves.n_steps == 0


def test_every_control_has_a_tooltip(widget, user):
    from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QLineEdit, QPushButton

    controls = [
        child
        for kind in (QComboBox, QPushButton, QAbstractSpinBox)
        for child in widget.widget().findChildren(kind)
        if not isinstance(child.parent(), QComboBox | QAbstractSpinBox)
    ]
    assert len(controls) > 15
    untold = [c.objectName() or c.text() for c in controls if not c.toolTip() and not isinstance(c, QLineEdit)]
    assert [text for text in untold if not text.endswith("More settings")] == []


def test_a_bad_value_gives_one_notification_and_no_run(user, notes):
    user.fill("Learning rate", "fast")
    user.press("Run")
    assert len(notes) == 1
    assert "learning_rate" in notes[0].message
    assert user.button("Run").isEnabled()


@pytest.mark.parametrize("layer", [None, Labels(np.zeros((8, 8), int), name="cells 2")])
def test_without_an_image_layer_run_says_what_to_do(viewer, user, notes, layer):
    viewer.layers.clear()
    if layer is not None:
        viewer.add_layer(layer)
        assert "is a Labels layer" in user.text
    user.press("Run")
    assert len(notes) == 1
    assert "image" in notes[0].message


def test_reference_of_the_same_shape_is_offered_and_scored(viewer, user, noisy):
    viewer.add_image(np.zeros((5, 5)), name="small")
    viewer.add_image(noisy // 2, name="truth")
    viewer.layers.selection.active = viewer.layers["cells"]
    assert user.choices("Reference") == ["none", "truth"]
    user.fill("Reference", "truth")
    user.run()
    assert "PSNR" in user.text
    assert user.value("Reference") == "truth"


def test_frames_of_a_stack_are_announced(viewer, user):
    viewer.add_image(np.random.default_rng(0).random((3, 16, 16)), name="stack")
    assert "3 frames of 16 × 16" in user.text
    user.fill("Z axis is", "volume")
    assert "frames of" not in user.text
    user.fill("Axes", "QQ")
    assert "axes" in user.label("stack").text()


def test_a_run_without_a_network_is_not_continued(viewer, user):
    user.fill("Preset", "quick")
    user.run()
    assert not user.button("Continue").isEnabled()
    user.run()
    viewer.layers.selection.active = viewer.layers["cells denoised"]  # of a run whose task is gone
    assert not user.button("Continue").isEnabled()


def test_continue_button_adds_steps(viewer, user):
    user.run()
    assert user.value("Steps to add") == 30
    user.fill("Steps to add", 12)
    user.press("Continue from step 30")
    user.wait_until_idle()
    assert user.button("Continue from step 42").isEnabled()
    assert user.value("Steps to add") == 12
    assert user.curves.n_steps == 42
    assert viewer.layers["cells snapshots"].data.shape[0] == 43


def test_undo_brings_back_the_steps_that_were_replaced_when_the_run_was_continued(viewer, widget, user):
    user.run()
    stack, end = viewer.layers["cells snapshots"], viewer.layers["cells denoised"].data.copy()
    viewer.dims.set_point(0, 9)
    user.press("Promote step 9")
    text, image, all_steps = user.text, viewer.layers["cells denoised"].data.copy(), np.asarray(stack.data)
    user.fill("Steps to add", 3)
    user.press("Continue from step")
    user.wait_until_idle()
    assert stack.data.shape[0] < 31
    assert "brings these back" in user.button("Continue").toolTip()
    user.press("Undo")
    assert user.text == text
    assert user.curves.n_steps == 30
    assert user.enabled("Undo", "Continue near step 9") == ["Undo", "Continue near step 9"]
    np.testing.assert_array_equal(np.asarray(stack.data), all_steps)
    np.testing.assert_array_equal(viewer.layers["cells denoised"].data, image)
    user.press("Undo")
    np.testing.assert_array_equal(viewer.layers["cells denoised"].data, end)
    assert not user.button("Undo").isEnabled()


def test_without_its_layer_no_snapshot_is_promoted(viewer, user):
    user.run()
    viewer.layers.remove("cells snapshots")
    assert not user.button("Promote snapshot").isEnabled()


def test_promote_button_takes_the_step_on_the_slider(viewer, user):
    user.run()
    viewer.dims.set_current_step(0, 4)
    user.press("Promote step 4")
    assert "Step 4" in user.text
    np.testing.assert_array_equal(
        viewer.layers["cells denoised"].data, np.asarray(viewer.layers["cells snapshots"].data)[4]
    )
    user.press("Undo")
    assert "Step 4" not in user.text
    assert viewer.dims.point[0] == 30


def test_a_run_whose_layer_is_selected_is_shown_again(viewer, user):
    user.run()
    user.fill("Steps at most", 20)
    user.run()
    assert "'cells denoised [1]':" in user.text
    assert user.curves.n_steps == 20
    viewer.layers.selection.active = viewer.layers["cells snapshots"]
    assert "'cells denoised':" in user.text
    assert user.curves.n_steps == 30
    viewer.dims.set_current_step(0, 4)
    user.press("Promote step 4")
    later = viewer.layers["cells denoised [1]"]
    assert later.metadata["napari-convgen"]["step"] == 20
    assert viewer.layers["cells denoised"].metadata["napari-convgen"]["step"] == 4


def test_closing_the_viewer_during_a_run_ends_it(make_napari_viewer, hands, noisy, endless, monkeypatch):
    from napari._qt.qthreading import wait_for_workers_to_quit

    monkeypatch.setitem(PRESETS, "endless", endless)
    viewer = make_napari_viewer()
    viewer.add_image(noisy)
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Denoise")
    user = hands(widget)
    user.fill("Preset", "endless")
    user.press("Run")
    user.wait_for(lambda: user.button("Pause").isEnabled())
    viewer.close()
    wait_for_workers_to_quit(20_000)


def test_napari_knows_that_a_run_is_under_way(open_widget):
    widget, user = open_widget("Denoise")
    user.fill("Preset", "endless")
    user.press("Run")
    user.wait_for(lambda: user.button("Pause").isEnabled())
    tasks = widget.viewer.window._qt_window._window._task_status_manager
    assert tasks.is_busy()
    user.press("Cancel")
    user.wait_for(lambda: not tasks.is_busy())


def test_multiscale_layer_is_denoised_at_its_finest_level(viewer, user, noisy):
    viewer.add_layer(Image([noisy, noisy[::2, ::2]], multiscale=True, name="pyramid"))
    user.run()
    assert viewer.layers["pyramid denoised"].data.shape == noisy.shape


def test_axes_that_were_typed_outlive_the_run(viewer, widget, user):
    structure = np.add.outer(np.arange(16.0) % 9, np.arange(16.0) % 7)
    viewer.add_image(structure + np.random.default_rng(0).random((3, 16, 16)), name="stack")
    user.fill("Axes", "CYX")
    user.run()
    assert user.value("Axes") == "CYX"
    assert len(widget.session.result.frames) == 1
    viewer.layers.selection.active = viewer.layers["cells"]
    assert user.value("Axes") == "YX"


def test_a_renamed_reference_is_still_the_reference(viewer, user, noisy):
    viewer.add_image(noisy // 2, name="truth")
    viewer.layers.selection.active = viewer.layers["cells"]
    user.fill("Reference", "truth")
    viewer.layers["truth"].name = "ground truth"
    assert user.value("Reference") == "ground truth"
    viewer.layers["cells"].name = "in<put & co>"
    assert "in&lt;put &amp; co&gt;" in user.label("32 × 32").text()
    user.run()
    assert "SSIM" in user.text


def test_the_button_names_the_step_on_screen(viewer, user):
    user.run()
    viewer.dims.set_point(0, 9)
    assert user.button("Promote").text() == "Promote step 9"


def kept_line(user):
    """Return the line of the plot that marks the step that is kept."""
    [line] = [item for item in user.curves.plotItem.items if isinstance(item, pg.InfiniteLine) and item.movable]
    return line


def test_a_line_that_is_dropped_makes_its_snapshot_the_result(viewer, widget, user):
    user.fill("Preset", "two")
    user.run()
    assert user.button("Continue").text() == "Continue from step 30"
    line = kept_line(user)
    line.setValue(1.0)
    line.sigDragged.emit(line)
    assert viewer.dims.point[0] == 10
    assert "Step 10 was chosen" not in user.text
    line.sigPositionChangeFinished.emit(line)
    assert user.label("Step 10 was chosen by the user.").text().startswith("Step 10 was chosen by the user.")
    assert "Estimated PSNR" not in user.text
    assert user.button("Continue").text() == f"Continue from step {widget.session.step_to_continue}"


def test_the_plot_shows_what_the_rules_say(widget, user):
    user.fill("Preset", "two")
    user.run()
    frame = widget.session.result.frames[0]
    lines = [item for item in user.curves.plotItem.items if isinstance(item, pg.InfiniteLine) and not item.movable]
    assert {round(10 ** mark.value()) for mark in lines if mark.isVisible()} == set(frame.votes.values())
    [interval] = [item for item in user.curves.plotItem.items if isinstance(item, pg.LinearRegionItem)]
    assert [round(10**end) for end in interval.getRegion()] == list(frame.interval)


def test_after_a_run_the_text_says_the_estimate_and_the_noise_stands_at_the_layer(viewer, widget, user):
    user.fill("Preset", "two")
    user.press("Run")
    assert "noise of standard deviation" not in user.text
    user.wait_until_idle()
    result = widget.session.result
    psnr, deviation = result.estimated_psnr
    assert f"Estimated PSNR {psnr:.1f} ± {deviation:.1f} dB (data range 255)" in user.text
    noise = f"{result.frames[0].noise}."
    assert noise in user.text
    viewer.add_image(np.zeros((5, 5)), name="other")
    assert noise not in user.text
    viewer.layers.selection.active = viewer.layers["cells"]
    assert noise in user.text


def test_a_forecast_says_the_noise(user):
    user.press("Forecast")
    user.wait_until_idle()
    assert "noise of standard deviation" in user.text


def test_images_of_networks_are_offered_only_where_one_is_fitted(user):
    user.fill("Preset", "two")
    boxes = user.box("Snapshots"), user.box("Expected error")
    assert all(box.isEnabled() for box in boxes)
    user.fill("Preset", "quick")
    user.fill("Seeds", 2)
    for box in boxes:
        assert not box.isEnabled()
        assert "No network is fitted" in box.toolTip()
    user.fill("Preset", "two")
    assert user.box("Snapshots").isEnabled()
    assert "iteration axis" in user.box("Snapshots").toolTip()


def test_expected_error_needs_two_seeds(viewer, user):
    user.fill("Preset", "two")
    user.check("Expected error")
    user.fill("Seeds", 1)
    assert not user.box("Expected error").isEnabled()
    assert "set 'Seeds' to 2" in user.box("Expected error").toolTip()
    user.run()
    assert "cells expected error" not in viewer.layers
    user.fill("Seeds", 2)
    assert "Add the error to expect" in user.box("Expected error").toolTip()
    user.run()
    assert "cells expected error" in viewer.layers


def test_cancelling_a_continued_run_shows_the_last_one_again(user):
    user.run()
    before = user.text
    user.fill("Steps to add", 1_000_000)
    user.press("Continue from step 30")
    user.wait_for(lambda: user.curves.n_steps > 31)
    user.press("Cancel")
    assert user.text == before
    assert user.curves.n_steps == 30


def test_cancelling_a_new_run_shows_the_last_one_again(viewer, user):
    user.run()
    viewer.dims.set_point(0, 9)
    before, layers = user.text, list(viewer.layers)
    user.fill("Preset", "endless")
    user.press("Run")
    user.wait_for(lambda: user.curves.n_steps > 31)
    user.press("Cancel")
    assert user.curves.n_steps == 30
    assert list(viewer.layers) == layers
    assert user.text.splitlines()[-3:] == before.splitlines()[-3:]
    user.press("Promote step 9")
    assert "Step 9" in user.text


def test_the_plot_names_the_criterion_of_the_rule_that_ran(user):
    user.fill("Preset", "two")
    user.fill("Stop", "sure")
    user.fill("Steps at most", 3)
    user.run()
    assert user.curve_names == ["fitted pixels", "Stein's estimate"]


def test_an_estimate_is_shown_before_the_first_step(viewer, user, small, monkeypatch, qtbot):
    guided = {"generator.kind": "guided-network", "generator.guide": "non-local", "generator.n_fine_channels": 4}
    monkeypatch.setitem(PRESETS, "tiny", small.replace(guided | {"n_steps": 4, "stopping.kind": "auto"}))
    user.fill("Preset", "endless")
    user.fill("Preset", "tiny")
    user.press("Run")
    qtbot.waitUntil(lambda: "First estimate: " in user.text, timeout=20_000)
    user.wait_until_idle()
    assert "irst estimate: " not in user.text
    assert viewer.layers["cells denoised"].data.std() < viewer.layers["cells"].data.std()


def test_a_z_axis_can_be_made_a_volume_in_plain_sight(viewer, widget, user, noisy):
    def is_in_sight():
        return user.editor("Z axis is").isVisibleTo(widget)

    assert not is_in_sight()
    viewer.add_image(np.stack([noisy] * 4), name="stack")
    assert is_in_sight()
    assert "4 frames" in user.text
    user.fill("Z axis is", "volume")
    assert "frames" not in user.text
    user.fill("Axes", "TYX")
    assert is_in_sight()
    user.fill("Z axis is", "frames")
    assert not is_in_sight()
