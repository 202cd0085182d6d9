"""Random sessions of a user with the widgets, each from a number."""

import sys
import time
import traceback

import numpy as np
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QApplication, QCheckBox, QComboBox, QPushButton, QSpinBox

from napari_convgen.config import PRESETS, Config
from napari_convgen.errors import ConvgenError
from napari_convgen.viewer.compare.widget import CompareWidget
from napari_convgen.viewer.denoise.widget import DenoiseWidget
from napari_convgen.viewer.image_vs_noise.widget import ImageAgainstNoiseWidget
from napari_convgen.viewer.large.into_file import IntoFile
from napari_convgen.viewer.reconstruct.widget import ReconstructWidget
from napari_convgen.viewer.spectrum.widget import WhyItWorksWidget
from napari_convgen.viewer.worker.session import State

N_ACTIONS = 15
SECONDS = 60
"""A run that has been cancelled must have ended by then."""

WIDGETS = (DenoiseWidget, DenoiseWidget, CompareWidget, ImageAgainstNoiseWidget, ReconstructWidget, WhyItWorksWidget)
"""Widgets with runs; one of them more often."""

PRESETS_OF_SESSIONS = {
    "endless": Config().replace({"generator.n_channels": 4, "n_steps": 10**6, "n_seeds": 1, "stopping.kind": "fixed"}),
    "short": Config().replace({"generator.n_channels": 4, "n_steps": 20, "n_seeds": 2}),
}


class Fault(AssertionError):
    """An error that was not shown to the user, or a run that does not end."""


def random_session(seed):
    """Open a widget and do things at random; return the widget's name."""
    application = QApplication.instance() or QApplication([])
    rng = np.random.default_rng(seed)
    errors = []
    hook, sys.excepthook = sys.excepthook, lambda *error: errors.append("".join(traceback.format_exception(*error)))
    PRESETS.update(PRESETS_OF_SESSIONS)
    viewer = ViewerModel()
    viewer.add_image(_image(rng))
    kind = WIDGETS[rng.integers(len(WIDGETS))]
    widget = kind(viewer)
    done = []
    try:
        _choose(widget, "endless" if rng.random() < 0.7 else "short")
        for _ in range(N_ACTIONS):
            action = ACTIONS[rng.integers(len(ACTIONS))]
            done.append(action.__name__)
            action(rng, viewer, widget)
            _wait(application, rng.choice([0, 0, 0.02, 0.1, 0.3]))
        _cancel(widget)
        end = time.monotonic() + SECONDS
        while _is_running(widget) and time.monotonic() < end:
            _wait(application, 0.02)
        if _is_running(widget):
            errors.append("a run that was cancelled has not ended")
    except Exception as error:
        errors.append("".join(traceback.format_exception(error)))
    finally:
        _cancel(widget)
        _wait(application, 0.1)
        widget.close()
        widget.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        sys.excepthook = hook
        for name in PRESETS_OF_SESSIONS:
            PRESETS.pop(name)
        raised = [getattr(each, "exception", None) for each in notification_manager.records]
        strange = [each for each in raised if each is not None and not isinstance(each, ConvgenError)]
        errors += ["".join(traceback.format_exception(each)) for each in strange]
        notification_manager.records.clear()
    if errors:
        raise Fault(f"seed {seed}, {kind.__name__}: {', '.join(done)}\n{errors[0][-1500:]}")
    return kind.__name__


def _wait(application, seconds):
    end = time.monotonic() + seconds
    application.processEvents()
    while time.monotonic() < end:
        application.processEvents()
        time.sleep(0.002)


def _cancel(widget):
    """End all runs of a widget: that in memory, and that into a file."""
    for session in _sessions(widget):
        session.cancel()


def _is_running(widget):
    return any(session.state is not State.IDLE for session in _sessions(widget))


def _sessions(widget):
    return [widget.session, *(each.session for each in widget.findChildren(IntoFile))]


def _image(rng):
    shape = [(32, 32), (20, 48), (3, 24, 24), (5, 20, 20), (2, 3, 16, 16)][rng.integers(5)]
    return rng.poisson(20, shape).astype([np.uint8, np.uint16, np.float32][rng.integers(3)])


def _choose(widget, name):
    for box in widget.findChildren(QComboBox):
        if "default" in [box.itemText(i) for i in range(box.count())] and box.findText(name) >= 0:
            box.setCurrentText(name)


# --- actions --------------------------------------------------------------------------------------------------------------------------


def press(rng, viewer, widget):
    buttons = [each for each in widget.findChildren(QPushButton) if each.isEnabled() and "..." not in each.text()]
    names = ("Run", "Forecast", "Pause", "Resume", "Stop and keep", "Cancel", "Continue", "Promote", "Undo")
    if buttons := [each for each in buttons if each.text().startswith(names)]:
        buttons[rng.integers(len(buttons))].click()


def press_run(rng, viewer, widget):
    for each in widget.findChildren(QPushButton):
        if each.text() == "Run" and each.isEnabled():
            each.click()


def add_layer(rng, viewer, widget):
    viewer.add_image(_image(rng))


def add_other_layer(rng, viewer, widget):
    if rng.random() < 0.5:
        viewer.add_labels(np.zeros((16, 16), int))
    else:
        viewer.add_points(rng.random((5, 2)))


def remove_layer(rng, viewer, widget):
    if len(viewer.layers):
        viewer.layers.pop(int(rng.integers(len(viewer.layers))))


def change_data(rng, viewer, widget):
    images = [each for each in viewer.layers if type(each).__name__ == "Image" and not each.rgb]
    if images:
        images[rng.integers(len(images))].data = _image(rng)


def rename(rng, viewer, widget):
    if len(viewer.layers):
        viewer.layers[int(rng.integers(len(viewer.layers)))].name = str(rng.choice(["a", "denoised", "image"]))


def select(rng, viewer, widget):
    if len(viewer.layers):
        viewer.layers.selection.active = viewer.layers[int(rng.integers(len(viewer.layers)))]


def select_nothing(rng, viewer, widget):
    viewer.layers.selection.clear()


def reorder(rng, viewer, widget):
    if len(viewer.layers) > 1:
        viewer.layers.move(int(rng.integers(len(viewer.layers))), 0)


def move_dims(rng, viewer, widget):
    for axis in range(viewer.dims.ndim):
        viewer.dims.set_point(axis, float(rng.integers(0, 40)))


def switch_display(rng, viewer, widget):
    viewer.dims.ndisplay = 5 - viewer.dims.ndisplay


def transpose(rng, viewer, widget):
    viewer.dims.order = tuple(rng.permutation(viewer.dims.ndim).tolist())


def set_number(rng, viewer, widget):
    boxes = [each for each in widget.findChildren(QSpinBox) if each.isEnabled()]
    if boxes:
        boxes[rng.integers(len(boxes))].setValue(int(rng.choice([0, 1, 2, 5, 50])))


def check_box(rng, viewer, widget):
    boxes = [each for each in widget.findChildren(QCheckBox) if each.isEnabled()]
    if boxes:
        boxes[rng.integers(len(boxes))].click()


ACTIONS = [
    press, press, press, press_run, press_run, add_layer, add_other_layer, remove_layer, change_data, rename, select, select,
    select_nothing, reorder, move_dims, switch_display, transpose, set_number, check_box,
]  # fmt: skip
"""What a user does; some more often than others."""
