"""Open each widget of the installed package in a napari window, and denoise by the button: a part of ``tools/check_release.py``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

os.environ["NAPARI_CONFIG"] = ""  # before napari is imported: no preferences are read, none are written

import napari
import numpy as np
from napari.utils.notifications import notification_manager
from npe2 import PluginManager
from qtpy.QtWidgets import QApplication, QPushButton

PLUGIN = "napari-convgen"
SECONDS = 1200
"""Longest time that a run may take: the first on a machine compiles code."""


def wait(until: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Let the window live until something holds."""
    end = time.monotonic() + seconds
    while not until():
        QApplication.processEvents()
        time.sleep(0.01)
        assert time.monotonic() < end, "the time is up"


def pause(seconds: float) -> None:
    """Let the window live for a while."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def main() -> None:
    """Open a sample and all widgets, press *Run*, and close the window; an error that napari reports ends it."""
    viewer = napari.Viewer()
    viewer.open_sample(PLUGIN, "fluorescence")
    noisy = next(layer for layer in viewer.layers if "noisy" in layer.name)
    noisy.data = noisy.data[:64, :64]
    viewer.layers.selection.active = noisy

    names = [widget.display_name for widget in PluginManager.instance().get_manifest(PLUGIN).contributions.widgets]
    docks = {name: viewer.window.add_plugin_dock_widget(PLUGIN, name) for name in names}
    pause(1)
    n_layers = len(viewer.layers)
    denoise = docks[names[0]][1]
    button = next(button for button in denoise.findChildren(QPushButton) if button.text() == "Run")
    button.click()
    wait(lambda: not button.isEnabled(), 60)
    wait(button.isEnabled)
    assert len(viewer.layers) > n_layers, "the run has added no layer"
    denoised = next(layer for layer in viewer.layers if layer.name.endswith("denoised"))
    assert denoised.data.shape == noisy.data.shape
    assert np.std(denoised.data) < np.std(noisy.data), "nothing was denoised"

    for dock, _ in docks.values():
        viewer.window.remove_dock_widget(dock)
    pause(1)
    errors = [str(note) for note in notification_manager.records if str(note.severity) in ("error", "warning")]
    assert not errors, "\n".join(errors)
    viewer.close()
    pause(1)
    print(f"{', '.join(names)}: opened, and {denoised.name!r} was made.")


if __name__ == "__main__":
    main()
