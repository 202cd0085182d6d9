"""Runs on a part of an image: on a region, or on the frame on screen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from napari.layers import Image
from psygnal import Signal
from qtpy.QtWidgets import QMenu, QPushButton

from napari_convgen.errors import ConvgenError
from napari_convgen.viewer.denoise.session import DenoiseSession
from napari_convgen.viewer.layers.door import finest_level
from napari_convgen.viewer.layers.frame import frame_index
from napari_convgen.viewer.layers.region import find_rectangles, find_region, last_image
from napari_convgen.viewer.parts.chooser import InputChooser

REGION = (
    "Denoise a region with the settings above: the rectangle that is selected in a shapes layer, or else what is in view. "
    "Of a stack, that of the frame on screen."
)
FRAME = (
    "Denoise the frame on screen alone with the settings above. In a run over the stack, the frames before and after may help it, "
    "so that it gets better."
)


class TryMenu(QPushButton):
    """A button with a menu of the parts of the input that a run can be tried on.

    Parameters
    ----------
    session
        The session that runs.
    chooser
        The choice of the input. Where a shapes layer is active, the image that was active before is taken, and selected.
    guard
        Context in which errors are shown to the user.
    """

    chosen = Signal(object)  # index of the part: a slice for each axis of the input

    def __init__(
        self, session: DenoiseSession, chooser: InputChooser, guard: Callable[[], AbstractContextManager[None]]
    ) -> None:
        super().__init__("Try first")
        self.setToolTip("Run on a small part with the same settings, before the run on all.")
        self._session = session
        self._chooser = chooser
        self._guard = guard
        self._image: Image | None = None
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self._region = self._add(menu, "Try on this region", REGION, self._choose_region)
        self._frame = self._add(menu, "Try on this frame", FRAME, self._choose_frame)
        self.setMenu(menu)
        chooser.changed.connect(self._remember)
        session.state_changed.connect(self.refresh)

    def refresh(self) -> None:
        """Enable what can be tried."""
        self.setEnabled(not self._session.is_busy)
        layer = self._chooser.layer
        try:
            has_frames = layer is None or bool(self._chooser.place_on_screen(layer))
        except ConvgenError:
            has_frames = True  # that its axes do not fit is said when it is tried
        self._frame.setEnabled(has_frames)

    def _add(self, menu: QMenu, text: str, tooltip: str, choose: Callable[[], tuple[slice, ...]]) -> Any:
        def act() -> None:
            with self._guard():
                self.chosen.emit(choose())

        action: Any = menu.addAction(text)
        action.setToolTip(tooltip)
        action.triggered.connect(act)
        return action

    def _choose_region(self) -> tuple[slice, ...]:
        viewer, rectangles = self._session.viewer, find_rectangles(self._session.viewer)
        layer = self._take_image()
        region = find_region(viewer, layer, self._chooser.axes.value.upper(), rectangles)
        return tuple(region.get(axis, each) for axis, each in enumerate(self._index_of_frame(layer)))

    def _choose_frame(self) -> tuple[slice, ...]:
        return self._index_of_frame(self._take_image())

    def _take_image(self) -> Image:
        """Return the image that was active last; it is selected, so that the chooser shows it."""
        layer = last_image(self._session.viewer, self._image)
        self._session.viewer.layers.selection.active = layer
        return layer

    def _index_of_frame(self, layer: Image) -> tuple[slice, ...]:
        return frame_index(self._chooser.place_on_screen(layer), len(finest_level(layer).shape))

    def _remember(self) -> None:
        self._image = self._chooser.layer or self._image
        self.refresh()
