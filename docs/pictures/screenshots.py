"""Take the pictures of the real napari window: before a run, during it, after it, and on a stack of settings.

Run it through ``make pictures``, which provides a display.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication
from superqt import QCollapsible

FOLDER = Path(__file__).parent


def wait(until: Callable[[], bool], seconds: float = 600) -> None:
    """Let the window live until something holds."""
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def shoot(viewer: napari.Viewer, name: str) -> None:
    """Save the whole window, once it has settled."""
    wait(lambda: False, 1)
    viewer.screenshot(str(FOLDER / f"{name}.png"), canvas_only=False, flash=False)


def main() -> None:
    """Take all pictures."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    viewer.open_sample("napari-convgen", "fluorescence")
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Denoise (convolutional generator)")
    wait(lambda: False, 1)
    viewer.reset_view()
    widget._reference.value = next(name for name in widget._reference.choices if "reference" in name)
    shoot(viewer, "before")

    widget.run()
    wait(lambda: widget._plot.n_steps > 250)
    shoot(viewer, "during")

    wait(lambda: not widget.session.is_busy)
    shoot(viewer, "after")
    viewer.dims.set_current_step(0, 60)
    shoot(viewer, "scrubbing")

    widget.findChild(QCollapsible).expand(animate=False)
    wait(lambda: False, 1)
    widget.verticalScrollBar().setValue(widget.verticalScrollBar().maximum())
    shoot(viewer, "settings")
    viewer.close()


if __name__ == "__main__":
    main()
