import subprocess
import sys

SESSION = """
import time
import napari
import numpy as np
from qtpy.QtWidgets import QApplication


def wait(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def remove_the_lower_of_two_layers():
    viewer.layers.clear()
    for name in ("lower", "upper"):
        viewer.add_image(image, name=name)
        wait(0.2)
    del viewer.layers["lower"]
    for _ in range(3):
        wait(0.1)
        viewer.layers["upper"].data = viewer.layers["upper"].data[::-1]
    wait(0.1)


image = np.random.default_rng(0).random((32, 32), np.float32)
viewer = napari.Viewer()
dock, _ = viewer.window.add_plugin_dock_widget("napari-convgen", "Kernel explorer")
wait(0.2)
remove_the_lower_of_two_layers()
print("drawn with the dock open")
viewer.window.remove_dock_widget(dock)
wait(0.2)
remove_the_lower_of_two_layers()
print("drawn with the dock closed")
viewer.close()
print("closed")
"""
"""A user removes a layer while the one above it is drawn again and again, as that of a run is.

In a process of its own: a crash would end pytest.
"""


def test_a_layer_can_be_drawn_again_after_the_one_below_was_removed(monkeypatch):
    monkeypatch.setenv("NAPARI_CONFIG", "")
    command = [sys.executable, "-X", "faulthandler", "-c", SESSION]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["drawn with the dock open", "drawn with the dock closed", "closed"]
