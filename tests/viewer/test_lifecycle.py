"""What the user can do to a run is the same in all widgets that run something."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import ErrorNotification, Notification
from pyqtgraph import PlotWidget
from qtpy.QtWidgets import QMainWindow

from napari_convgen.config import PRESETS
from napari_convgen.errors import InputError
from napari_convgen.run.spectrum import run as spectrum_run
from napari_convgen.viewer.compare.widget import CompareWidget
from napari_convgen.viewer.denoise.widget import DenoiseWidget
from napari_convgen.viewer.image_vs_noise.widget import ImageAgainstNoiseWidget
from napari_convgen.viewer.reconstruct.widget import ReconstructWidget
from napari_convgen.viewer.spectrum.widget import WhyItWorksWidget

NARROW = 300 - 16
"""Width that a dock of 300 pixels leaves beside its scroll bar."""

BUTTONS = ("Run", "Forecast", "Pause", "Resume", "Stop and keep", "Cancel")


def choose_steps(user):
    """Look at the start, and then fit without an end."""
    user.fill("Vectors", 4)
    user.fill("At steps", "0, 1000000")


def choose_methods(user):
    for text in ("TV", "Wavelets"):
        user.check(text, False)
    for box in user.children(type(user.box("NLM"))):
        if box.text().startswith("BM3D") and box.isChecked():
            box.click()


WIDGETS = {
    "Denoise": (DenoiseWidget, lambda user: None),
    "Reconstruct": (ReconstructWidget, lambda user: user.fill("Problem", "Enlarge")),
    "Compare methods": (CompareWidget, choose_methods),
    "Image against noise": (ImageAgainstNoiseWidget, lambda user: None),
    "Why it works": (WhyItWorksWidget, choose_steps),
}
"""The widgets, and what a user chooses so that a run does not end by itself and soon has something to keep."""


@pytest.fixture
def preset(workers_end, endless, monkeypatch):
    """A preset that does not end."""
    for constant in ("N_NOISE_DRAWS", "N_SENSITIVITY_PROBES", "N_TAIL_PRODUCTS", "N_DESCENT_PRODUCTS"):
        monkeypatch.setattr(spectrum_run, constant, 4)
    monkeypatch.setitem(PRESETS, "endless", endless)


@pytest.fixture(params=WIDGETS, ids=["denoise", "reconstruct", "compare", "image-against-noise", "why-it-works"])
def name(request, preset):
    """The name of a widget, with a preset that does not end."""
    return request.param


@pytest.fixture
def viewer(noisy):
    viewer = ViewerModel()
    viewer.add_image(noisy, name="cells")
    return viewer


@pytest.fixture
def widget(name, viewer, hands, qtbot):
    """A widget that is filled in for a run that does not end."""
    kind, choose = WIDGETS[name]
    widget = kind(viewer)
    qtbot.addWidget(widget)
    hands(widget).fill("Preset", "endless")
    choose(hands(widget))
    yield widget
    widget.session.cancel()


@pytest.fixture
def user(widget, hands):
    return hands(widget)


def can_be_pressed(user):
    """Return the buttons of a run that can be clicked."""
    present = {button.text(): button.isEnabled() for button in user.children(type(user.button("Run")))}
    return [text for text in BUTTONS if present.get(text)]


def state(viewer):
    """Return all that a run may change in a viewer."""
    grid, camera, dims = viewer.canvas.grid, viewer.scene.camera, viewer.dims
    return list(viewer.layers), viewer.layers.selection.active, grid.model_dump(), camera.zoom, dims.point, dims.ndim


def in_sight(user):
    """Return the texts of a widget, the plots in sight, and the buttons that can be clicked, without what depends on the choices made."""
    buttons = [button.text() for button in user.children(type(user.button("Run"))) if button.isEnabled()]
    return user.text, len(user.children(PlotWidget)), buttons


def has_something(widget):
    """Return True if a stop would leave a result."""
    task = widget.session.task
    return task is not None and (task.has_result or len(widget.viewer.layers) > 1)


def test_buttons_are_those_of_the_state(user):
    assert can_be_pressed(user) == ["Run", "Forecast"]
    user.press("Run")
    assert can_be_pressed(user) == ["Cancel"]
    user.wait_for(lambda: "Pause" in can_be_pressed(user))
    assert can_be_pressed(user) == ["Pause", "Stop and keep", "Cancel"]
    user.press("Pause")
    assert can_be_pressed(user) == ["Resume", "Stop and keep", "Cancel"]
    user.press("Resume")
    assert can_be_pressed(user) == ["Pause", "Stop and keep", "Cancel"]
    user.press("Cancel")
    assert can_be_pressed(user) == ["Run", "Forecast"]


def test_a_forecast_says_memory_and_time_and_leaves_the_viewer(viewer, user):
    before = state(viewer)
    user.press("Forecast")
    assert can_be_pressed(user) == ["Cancel"]
    user.wait_until_idle()
    assert "of memory" in user.text
    assert state(viewer) == before


def test_a_forecast_can_be_cancelled(viewer, user):
    before = state(viewer), user.text
    user.press("Forecast")
    user.press("Cancel")
    assert can_be_pressed(user) == ["Run", "Forecast"]
    assert (state(viewer), user.text) == before


def test_a_paused_run_does_nothing_until_it_is_resumed(widget, user, qtbot):
    seen = []
    widget.session.progressed.connect(seen.append)
    user.press("Run")
    user.wait_for(lambda: len(seen) > 2)
    user.press("Pause")
    qtbot.wait(400)
    n = len(seen)
    qtbot.wait(300)
    assert len(seen) == n
    user.press("Resume")
    user.wait_for(lambda: len(seen) > n)


def test_stop_keeps_what_there_is_of_a_paused_run_too(widget, user):
    user.press("Run")
    user.wait_for(lambda: has_something(widget))
    user.press("Pause")
    user.press("Stop and keep")
    user.wait_until_idle()
    assert widget.session.result is not None
    assert len(widget.viewer.layers) > 1


def test_stop_keeps_what_there_is_and_its_notes_are_notifications_only_where_nobody_sees_the_widget(
    widget, user, notes, qtbot
):
    user.press("Run")
    user.wait_for(lambda: has_something(widget))
    user.press("Stop and keep")
    user.wait_until_idle()
    assert widget.session.result is not None
    assert len(widget.viewer.layers) > 1
    assert notes == []
    assert all(note in user.text for note in widget.session.result.notes)
    window = QMainWindow()
    qtbot.addWidget(window)
    widget.setParent(window)
    widget.hide()
    widget.session.finished.emit(SimpleNamespace(notes=("A note.",)))
    assert [note.message for note in notes] == ["A note."]
    widget.setParent(None)


@pytest.mark.parametrize("is_under_way", [False, True])
def test_nothing_is_said_of_a_run_once_no_layer_is_left(viewer, widget, user, is_under_way):
    layers = list(viewer.layers)
    viewer.layers.clear()
    before = in_sight(user)
    viewer.layers.extend(layers)
    user.press("Run")
    user.wait_for(lambda: has_something(widget))
    user.press("Stop and keep")
    user.wait_until_idle()
    assert in_sight(user) != before
    if is_under_way:
        viewer.layers.selection.active = viewer.layers["cells"]
        user.press("Run")
        user.wait_for(lambda: "Pause" in can_be_pressed(user))
    viewer.layers.clear()
    if is_under_way:
        user.press("Cancel")
    assert in_sight(user) == before


def test_stop_before_there_is_anything_to_keep_is_cancel(viewer, widget, user):
    before = state(viewer)
    user.press("Run")
    widget.session.stop()
    assert can_be_pressed(user) == ["Run", "Forecast"]
    assert state(viewer) == before
    assert widget.session.result is None


def test_cancel_leaves_the_viewer_as_it_was(viewer, widget, user, qtbot):
    before = state(viewer), user.text
    for is_paused in (False, True):
        user.press("Run")
        user.wait_for(lambda: has_something(widget))
        if is_paused:
            user.press("Pause")
        user.press("Cancel")
        assert (state(viewer), user.text) == before
        qtbot.wait(200)
        assert (state(viewer), user.text) == before
        assert widget.session.result is None


def test_bad_input_is_one_notification_and_leaves_everything(viewer, user, notes):
    viewer.layers["cells"].data = viewer.layers["cells"].data * 0
    before = state(viewer)
    user.run()
    assert ["constant" in str(note.message) for note in notes] == [True]
    assert type(notes[0]) is Notification  # without a traceback
    assert "The image is constant" in user.text
    assert state(viewer) == before
    viewer.layers["cells"].data = np.random.default_rng(0).random((32, 32))
    user.press("Forecast")
    assert "constant" not in user.text


def test_an_error_that_nobody_expected_is_named_in_the_widget_too(widget, user, notes, monkeypatch):
    def fail(request):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(type(widget._request()), "build", fail)
    user.run()
    assert "Unexpected ZeroDivisionError: a bug." in user.text
    assert isinstance(notes[0], ErrorNotification)


LONG = "20261128_experiment_0042_position_007_channel_GFP_time_series_restored_final_version_2"
"""The name of a layer from a microscope: one long word."""


def test_a_long_layer_name_does_not_widen_the_dock(viewer, widget, user, noisy):
    viewer.layers["cells"].name = LONG
    viewer.add_image(noisy // 2, name=f"{LONG}_reference")
    viewer.layers.selection.active = viewer.layers[LONG]
    assert "20261128_experiment" in user.text
    assert widget.widget().minimumSizeHint().width() <= NARROW
    user.press("Run")
    user.wait_for(lambda: has_something(widget))
    user.press("Stop and keep")
    user.wait_until_idle()
    viewer.layers.selection.active = viewer.layers[-1]
    assert widget.widget().minimumSizeHint().width() <= NARROW
    widget.session.failed.emit(InputError(f"'{LONG}' cannot be read."))
    assert widget.widget().minimumSizeHint().width() <= NARROW


@pytest.mark.usefixtures("preset")
def test_closing_the_dock_keeps_the_run_and_opened_again_it_is_there(make_napari_viewer, hands, noisy, qtbot):
    viewer = make_napari_viewer()
    for name in WIDGETS:
        viewer.layers.clear()
        viewer.add_image(noisy, name="cells")
        close_and_open_again(viewer, name, hands, noisy, qtbot)


def close_and_open_again(viewer, name, hands, noisy, qtbot):
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", name)
    user, session = hands(widget), widget.session
    user.fill("Preset", "endless")
    WIDGETS[name][1](user)
    user.press("Run")
    user.wait_for(lambda: has_something(widget))
    viewer.window.remove_dock_widget(widget)
    qtbot.wait(50)
    assert session.is_busy
    viewer.add_image(noisy, name="later")
    _, again = viewer.window.add_plugin_dock_widget("napari-convgen", name)
    assert again is widget
    assert user.value("Preset") == "endless"
    user.press("Stop and keep")
    user.wait_until_idle()
    assert session.result is not None
    viewer.window.remove_dock_widget(widget)
    _, again = viewer.window.add_plugin_dock_widget("napari-convgen", name)
    assert again.session.result is not None
