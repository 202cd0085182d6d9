import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_convgen.config import PRESETS, Config
from napari_convgen.viewer.denoise.session import State
from napari_convgen.viewer.denoise.widget import DenoiseWidget

SCROLL_BAR = 16
"""Width in pixels that it takes of a dock."""


@pytest.fixture
def viewer(make_napari_viewer, noisy):
    viewer = make_napari_viewer()
    viewer.add_image(noisy, name="cells")
    return viewer


@pytest.fixture
def widget(viewer):
    """The widget as the Plugins menu opens it."""
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Denoise (convolutional generator)")
    yield widget
    from napari._qt.qthreading import wait_for_workers_to_quit

    widget.session.cancel()
    wait_for_workers_to_quit(20_000)


def show(widget, config):
    for form in (widget._at_hand, widget._folded):
        form.show_config(config)


def wait_for_end(widget, qtbot):
    qtbot.waitUntil(lambda: not widget.session.is_busy, timeout=30_000)


def test_run_button_denoises_the_active_layer(viewer, widget, qtbot, small):
    show(widget, small)
    widget._run.click()
    wait_for_end(widget, qtbot)
    assert [layer.name for layer in viewer.layers] == ["cells", "cells denoised", "cells snapshots"]
    assert "30 steps" in widget._words.text()
    assert widget._plot.n_steps == 30
    assert widget._promote.isEnabled()
    assert widget._continue.isEnabled()


def test_buttons_follow_the_run(widget, qtbot, endless):
    def enabled():
        assert widget._forecast.isEnabled() == widget._run.isEnabled()
        buttons = (widget._run, widget._pause, widget._stop, widget._cancel)
        return "".join("x" if button.isEnabled() else "-" for button in buttons)

    assert enabled() == "x---"
    show(widget, endless)
    widget._run.click()
    assert enabled() == "---x"
    qtbot.waitUntil(lambda: widget.session.state is State.RUNNING, timeout=30_000)
    assert enabled() == "-xxx"
    widget._pause.click()
    assert widget._pause.text() == "Continue"
    widget._pause.click()
    assert widget._pause.text() == "Pause"
    widget._stop.click()
    wait_for_end(widget, qtbot)
    assert enabled() == "x---"


def test_forecast_button_says_what_a_run_would_take_and_leaves_the_last_one_alone(viewer, widget, qtbot, small):
    show(widget, small)
    widget._run.click()
    wait_for_end(widget, qtbot)
    layers, result = list(viewer.layers), widget.session.result
    widget._forecast.click()
    assert not widget._run.isEnabled()
    wait_for_end(widget, qtbot)
    assert "of memory" in widget._words.text()
    assert "for 30 steps" in widget._words.text()
    assert (list(viewer.layers), widget.session.result) == (layers, result)
    assert widget._continue.isEnabled()


def test_a_forecast_can_be_cancelled_and_the_last_run_continued(widget, qtbot, small):
    show(widget, small)
    widget._run.click()
    wait_for_end(widget, qtbot)
    widget._forecast.click()
    widget._cancel.click()
    assert not widget.session.is_busy
    assert widget._words.text() == ""
    assert widget._continue.isEnabled()


def test_what_cannot_be_forecast_is_one_notification(widget, qtbot, small, notes):
    show(widget, small)
    widget.viewer.layers["cells"].data = np.ones((30, 30))
    widget._forecast.click()
    wait_for_end(widget, qtbot)
    [notification] = notes
    assert "The image is constant" in notification.message
    assert widget._run.isEnabled()


def test_a_fit_leaves_a_thread_to_the_window(widget, qtbot, small, monkeypatch):
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    show(widget, small.replace({"n_threads": "auto"}))
    widget._run.click()
    wait_for_end(widget, qtbot)
    assert widget.session.result.n_threads == 2


def test_progress_names_step_and_time_left(widget, qtbot, endless):
    show(widget, endless)
    widget._run.click()
    qtbot.waitUntil(lambda: widget._plot.n_steps > 3, timeout=30_000)
    assert "left" in widget._progress.format()
    assert "of at most 1000000" in widget._words.text()
    widget._cancel.click()
    assert widget._words.text() == ""


def test_every_control_has_a_tooltip(widget):
    from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QLineEdit, QPushButton

    controls = [
        child
        for kind in (QComboBox, QPushButton, QAbstractSpinBox)
        for child in widget.widget().findChildren(kind)
        if not isinstance(child.parent(), QComboBox | QAbstractSpinBox)
    ]
    assert len(controls) > 15
    untold = [c.objectName() or c.text() for c in controls if not c.toolTip() and not isinstance(c, QLineEdit)]
    assert [text for text in untold if text != "More settings"] == []


def test_choosing_a_preset_fills_the_form_and_editing_makes_it_custom(widget):
    for name, config in PRESETS.items():
        widget._preset.value = name
        assert widget.config() == config
    widget._at_hand.editors["seed"].value = 7
    assert widget._preset.value == name
    widget._at_hand.editors["n_steps"].value = 77
    assert widget._preset.value == "custom"
    widget._preset.value = "default"
    assert widget.config() == PRESETS["default"].replace({"seed": 7})


def test_a_bad_value_gives_one_notification_and_no_run(widget, notes):
    widget._folded.editors["optimizer.learning_rate"].value = "fast"
    widget._run.click()
    assert len(notes) == 1
    assert "learning_rate" in notes[0].message
    assert widget.session.state is State.IDLE


@pytest.mark.parametrize("layer", [None, Labels(np.zeros((8, 8), int), name="cells 2")])
def test_without_an_image_layer_run_says_what_to_do(viewer, widget, notes, layer):
    viewer.layers.clear()
    if layer is not None:
        viewer.add_layer(layer)
        assert "Labels" in widget._input.description.text()
    widget._run.click()
    assert len(notes) == 1
    assert "image" in notes[0].message


def test_reference_of_the_same_shape_is_offered_and_scored(viewer, widget, qtbot, small, noisy):
    viewer.add_image(np.zeros((5, 5)), name="small")
    viewer.add_image(noisy // 2, name="truth")
    viewer.layers.selection.active = viewer.layers["cells"]
    assert "truth" in widget._input.reference.choices
    assert "small" not in widget._input.reference.choices
    show(widget, small)
    widget._input.reference.value = "truth"
    widget._run.click()
    wait_for_end(widget, qtbot)
    assert "PSNR" in widget._words.text()
    assert widget._input.reference.value == "truth"


def test_frames_of_a_stack_are_announced(viewer, widget):
    viewer.add_image(np.random.default_rng(0).random((3, 16, 16)), name="stack")
    assert "3 frames of 16 × 16" in widget._input.description.text()
    widget._folded.editors["z_axis"].value = "volume"
    assert "frames" not in widget._input.description.text()
    widget._input.axes.value = "QQ"
    assert "axes" in widget._input.description.text()


def test_continue_button_adds_steps(widget, qtbot, small):
    show(widget, small)
    widget._run.click()
    wait_for_end(widget, qtbot)
    widget._more_steps.setValue(12)
    widget._continue.click()
    wait_for_end(widget, qtbot)
    assert widget.session.result.step == 42
    assert widget._plot.n_steps == 42


def test_promote_button_takes_the_step_on_the_slider(viewer, widget, qtbot, small):
    show(widget, small)
    widget._run.click()
    wait_for_end(widget, qtbot)
    viewer.dims.set_current_step(0, 4)
    widget._promote.click()
    assert "Step 4" in widget._words.text()
    np.testing.assert_array_equal(
        viewer.layers["cells denoised"].data, np.asarray(widget.session.layers.snapshots.data)[4]
    )


def test_closing_the_widget_during_a_run_keeps_the_best_so_far(viewer, widget, qtbot, endless):
    session = widget.session
    show(widget, endless)
    widget._run.click()
    qtbot.waitUntil(lambda: session.state is State.RUNNING and session.layers.result is not None, timeout=30_000)
    viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: session.result is not None, timeout=30_000)
    assert session.result.reason.outcome.value == "user"
    viewer.add_image(np.zeros((4, 4)), name="later")


def test_closing_the_viewer_during_a_run_ends_it(make_napari_viewer, noisy, qtbot, endless):
    from napari._qt.qthreading import wait_for_workers_to_quit

    viewer = make_napari_viewer()
    viewer.add_image(noisy)
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Denoise (convolutional generator)")
    session = widget.session
    show(widget, endless)
    widget._run.click()
    qtbot.waitUntil(lambda: session.state is State.RUNNING, timeout=30_000)
    viewer.close()
    wait_for_workers_to_quit(20_000)


def test_napari_knows_that_a_run_is_under_way(viewer, widget, qtbot, endless):
    show(widget, endless)
    widget._run.click()
    qtbot.waitUntil(lambda: widget.session.state is State.RUNNING, timeout=30_000)
    tasks = viewer.window._qt_window._window._task_status_manager
    assert tasks.is_busy()
    widget._cancel.click()
    qtbot.waitUntil(lambda: not tasks.is_busy(), timeout=10_000)


def test_each_widget_has_a_command_and_is_in_one_menu():
    from npe2 import PluginManifest

    contributed = PluginManifest.from_distribution("napari-convgen").contributions
    names = [
        "Denoise (convolutional generator)",
        "Compare methods",
        "Kernel explorer",
        "Image against noise",
        "Why it works",
    ]
    assert [widget.display_name for widget in contributed.widgets] == names
    commands = [
        f"napari-convgen.{name}" for name in ("denoise", "compare", "kernels", "image_against_noise", "why_it_works")
    ]
    assert [widget.command for widget in contributed.widgets] == commands
    in_menus = [item.command for menu in ("filter", "measure") for item in contributed.menus[f"napari/layers/{menu}"]]
    assert in_menus == commands


def test_multiscale_layer_is_denoised_at_its_finest_level(viewer, widget, qtbot, small, noisy):
    viewer.add_layer(Image([noisy, noisy[::2, ::2]], multiscale=True, name="pyramid"))
    show(widget, small)
    widget._run.click()
    wait_for_end(widget, qtbot)
    assert viewer.layers["pyramid denoised"].data.shape == noisy.shape


def test_default_configuration_is_the_default_preset(widget):
    assert isinstance(widget, DenoiseWidget)
    assert widget.config() == Config() == PRESETS["default"]


def test_axes_that_were_typed_outlive_the_run(viewer, widget, qtbot, small):
    viewer.add_image(np.random.default_rng(0).random((3, 16, 16)), name="stack")
    widget._input.axes.value = "CYX"
    show(widget, small)
    widget._run.click()
    wait_for_end(widget, qtbot)
    assert widget._input.axes.value == "CYX"
    assert len(widget.session.result.frames) == 1
    viewer.layers.selection.active = viewer.layers["cells"]
    assert widget._input.axes.value == "YX"


def test_a_renamed_reference_is_still_the_reference(viewer, widget, qtbot, small, noisy):
    viewer.add_image(noisy // 2, name="truth")
    viewer.layers.selection.active = viewer.layers["cells"]
    widget._input.reference.value = "truth"
    viewer.layers["truth"].name = "ground truth"
    assert widget._input.reference.value == "ground truth"
    viewer.layers["cells"].name = "in<put & co>"
    assert "in&lt;put &amp; co&gt;" in widget._input.description.text()
    show(widget, small)
    widget._run.click()
    wait_for_end(widget, qtbot)
    assert widget.session.result.reference is not None


def test_the_button_names_the_step_on_screen(viewer, widget, qtbot, small):
    show(widget, small)
    widget._run.click()
    wait_for_end(widget, qtbot)
    viewer.dims.set_point(0, 9)
    assert "step 9" in widget._promote.text()


@pytest.fixture
def two(small):
    """A quick configuration with two generators and the automatic rule."""
    return small.replace({"n_seeds": 2, "stopping.kind": "auto"})


def test_a_line_that_is_dropped_makes_its_snapshot_the_result(viewer, widget, qtbot, two):
    show(widget, two)
    widget._run.click()
    wait_for_end(widget, qtbot)
    assert widget._continue.text() == "Continue from step 30"
    line = widget._plot._kept
    line.setValue(1.0)
    line.sigDragged.emit(line)
    assert viewer.dims.point[0] == 10
    assert widget.session.result.step != 10
    line.sigPositionChangeFinished.emit(line)
    assert widget.session.result.step == 10
    assert widget._words.text().startswith("Step 10 was chosen by the user.")
    assert "Estimated PSNR" not in widget._words.text()
    assert widget._continue.text() == f"Continue from step {widget.session.step_to_continue}"


def test_the_plot_shows_what_the_rules_say(widget, qtbot, two):
    show(widget, two)
    widget._run.click()
    wait_for_end(widget, qtbot)
    frame = widget.session.result.frames[0]
    assert {round(10 ** mark.value()) for mark in widget._plot._votes} == set(frame.votes.values())
    assert [round(10**end) for end in widget._plot._interval.getRegion()] == list(frame.interval)


def test_after_a_run_the_words_tell_the_estimate_and_the_noise_stands_at_the_layer(viewer, widget, qtbot, two):
    show(widget, two)
    widget._run.click()
    assert not widget._noise.isVisibleTo(widget)
    wait_for_end(widget, qtbot)
    result = widget.session.result
    psnr, deviation = result.estimated_psnr
    assert f"Estimated PSNR {psnr:.1f} ± {deviation:.1f} dB (data range 255)" in widget._words.text()
    assert widget._noise.text() == f"{result.frames[0].noise}."
    viewer.add_image(np.zeros((5, 5)), name="other")
    assert not widget._noise.isVisibleTo(widget)
    viewer.layers.selection.active = viewer.layers["cells"]
    assert widget._noise.isVisibleTo(widget)


def test_a_forecast_tells_the_noise(widget, qtbot, small):
    show(widget, small)
    widget._forecast.click()
    wait_for_end(widget, qtbot)
    assert "noise of standard deviation" in widget._noise.text()


def test_expected_error_needs_two_seeds(viewer, widget, qtbot, two):
    show(widget, two)
    widget._expected_error.value = True
    assert widget._expected_error.enabled
    widget._folded.editors["n_seeds"].value = 1
    assert not widget._expected_error.enabled
    assert "two 'Seeds'" in widget._expected_error.tooltip
    assert not widget._outputs().has_expected_error
    widget._folded.editors["n_seeds"].value = 2
    assert "trust" in widget._expected_error.tooltip
    widget._run.click()
    wait_for_end(widget, qtbot)
    assert "cells expected error" in viewer.layers


def test_cancelling_a_continued_run_shows_the_last_one_again(widget, qtbot, small):
    show(widget, small)
    widget._run.click()
    wait_for_end(widget, qtbot)
    words = widget._words.text()
    widget._more_steps.setValue(1_000_000)
    widget._continue.click()
    qtbot.waitUntil(lambda: widget._plot.n_steps > 31, timeout=30_000)
    widget._cancel.click()
    assert widget._words.text() == words
    assert widget._plot.n_steps == 30


def test_widget_fits_a_narrow_dock(widget):
    assert widget.widget().minimumSizeHint().width() <= 300 - SCROLL_BAR


def test_the_legend_names_the_criterion_of_the_rule_that_ran(widget, qtbot, two):
    show(widget, two.replace({"stopping.kind": "sure", "n_steps": 3}))
    widget._run.click()
    wait_for_end(widget, qtbot)
    assert [label.text for _, label in widget._plot._legend.items] == ["fitted pixels", "Stein's estimate"]
