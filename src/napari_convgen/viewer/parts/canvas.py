"""napari's canvas can be drawn again after a layer was removed."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QMainWindow


class Removals(QObject):
    """Makes the canvas's OpenGL context the current one before a layer is removed.

    napari deletes the shaders of a removed layer at once, in the context that happens to be current: mostly Qt's own, which puts the window
    together. Mesa then frees them at the end of the next drawing of the canvas, and unbinds the shaders in use without noting it. The
    program crashes if the drawing after that begins with the layer with which this one ended. That is the case when the lower one of two
    layers is removed, such as the input of a run that updates its own layer. Shaders deleted in the canvas's own context are freed at once.

    Parameters
    ----------
    canvas
        The canvas of a viewer, which takes this object along when it is closed.
    viewer
        The viewer.
    """

    def __init__(self, canvas: QOpenGLWidget, viewer: Any) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        viewer.layers.events.removing.connect(self._on_removal)  # `removed` calls napari's canvas first

    def _on_removal(self) -> None:
        self._canvas.makeCurrent()


def prepare_canvas(window: QMainWindow, viewer: Any) -> None:
    """Prepare the canvas of a window for removals of layers, unless that was done or the window has none.

    Parameters
    ----------
    window
        The viewer's window.
    viewer
        The viewer.
    """
    center = window.centralWidget()
    canvas = None if center is None else center.findChild(QOpenGLWidget)
    if isinstance(canvas, QOpenGLWidget) and canvas.findChild(Removals) is None:
        Removals(canvas, viewer)
