"""Before and after: the input in place of the result at a key, or beside it up to a line, and values along a line."""

from __future__ import annotations

from typing import Any

from napari.layers import Shapes
from psygnal import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_convgen.errors import ConvgenError
from napari_convgen.viewer.denoise.before_after.profile import line_layer, profile
from napari_convgen.viewer.denoise.before_after.swipe import Swipe
from napari_convgen.viewer.denoise.layers import RunLayers
from napari_convgen.viewer.denoise.session import DenoiseSession
from napari_convgen.viewer.layers.door import add_layer
from napari_convgen.viewer.parts.buttons import button, rows_of
from napari_convgen.viewer.parts.loading import Guard
from napari_convgen.viewer.plots.panels import PanelView

KEY = "H"
"""Key that shows the input in place of the result, and the result again; napari has no command of its own on it."""


class BeforeAfter(QWidget):
    """Shows the input of a run in place of its result or of a part of it, and the values of both along a line.

    Parameters
    ----------
    session
        The session whose current run is shown.
    guard
        Context in which errors are shown to the user.
    """

    plotted = Signal()  # the profile, as the user has asked for it

    def __init__(self, session: DenoiseSession, guard: Guard) -> None:
        super().__init__()
        self._session = session
        self._guard = guard
        self._swipe = Swipe(session.viewer)
        self._line: Shapes | None = None
        self._blinked: RunLayers | None = None  # whose input is shown
        self._hidden: list[Any] = []  # images of other runs
        self._blink = button(
            "Show input",
            f"Show the input in place of the result; press again to see the result. The key {KEY} does the same.",
        )
        self._split = button(
            "Swipe",
            "Show the input on the left of a vertical line and the result on its right. Drag the line, the right side of the yellow frame, "
            "with the mouse.",
        )
        self._profile = button(
            "Profile",
            "Plot input, result and reference along a line, with the expected error as a band. "
            "Select its layer to move the line.",
        )
        self._buttons = (self._blink, self._split, self._profile)
        for each in self._buttons:
            each.setCheckable(True)
        self._view = PanelView(session.viewer.theme)
        self._view.setMinimumHeight(150)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(rows_of(self._buttons))
        column.addWidget(self._view)
        self._view.show_panel(None)
        self._blink.toggled.connect(self._show_input)
        self._split.toggled.connect(self._show_swipe)
        self._profile.toggled.connect(self._show_line)
        self._swipe.removed.connect(lambda: self._split.setChecked(False))
        session.viewer.bind_key(KEY, self._press, overwrite=True)
        session.state_changed.connect(self.refresh)
        session.turned.connect(self.refresh)
        session.kept.connect(self._draw)
        session.viewer.dims.events.point.connect(self._draw)
        session.viewer.layers.events.removed.connect(self._on_removal)
        self.refresh()

    def follow_theme(self, theme: str) -> None:
        """Take the colors of a napari theme."""
        self._view.follow_theme(theme)

    def refresh(self) -> None:
        """Enable what there is a run for, and show the current one."""
        for each in (self._blink, self._split):
            each.setChecked(False)
        self._show_others()
        has_result = self._session.result is not None and not self._session.is_busy
        for each in self._buttons:
            each.setEnabled(has_result)
        self._draw()

    def _press(self, viewer: Any) -> None:
        self._blink.click()

    def _hide_others(self) -> None:
        """Hide the images of other runs, which would cover this one, until another run is looked at."""
        others = [each for each in self._session.all_layers if each is not self._session.layers]
        for layer in [layer for each in others for layer in each.images_in_sight()]:
            layer.visible = False
            self._hidden.append(layer)

    def _show_others(self) -> None:
        for layer in self._hidden:
            if layer in self._session.viewer.layers:
                layer.visible = True
        self._hidden = []

    def _show_input(self, is_input: bool) -> None:
        if self._blinked is not None:
            self._blinked.show_input(False)
        self._blinked = None
        layers = self._session.layers
        if is_input and layers is not None:
            try:
                with self._guard():
                    self._hide_others()
                    layers.show_input(True)
                    self._blinked = layers
            finally:
                self._blink.setChecked(self._blinked is not None)
                if self._blinked is None:
                    self._show_others()

    def _show_swipe(self, is_wanted: bool) -> None:
        layers = self._session.layers
        self._swipe.hide()
        if is_wanted and layers is not None:
            try:
                with self._guard():
                    self._hide_others()
                    self._swipe.show(layers.source)
            finally:
                self._split.setChecked(self._swipe.layer is not None)
                if self._swipe.layer is None:
                    self._show_others()

    def _show_line(self, is_wanted: bool) -> None:
        viewer, layers = self._session.viewer, self._session.layers
        if self._line is not None and not is_wanted and self._line in viewer.layers:
            viewer.layers.remove(self._line)
        elif is_wanted and layers is not None:
            self._line = line_layer(layers.source)
            add_layer(viewer, self._line)
            self._line.events.data.connect(self._draw)
        self._draw()
        if self._line is not None:
            self.plotted.emit()

    def _on_removal(self, event: Any) -> None:
        if self._blinked is not None and event.value == self._blinked.input_on_screen:
            self._blink.setChecked(False)
        if event.value == self._line:
            self._line = None
            self._profile.setChecked(False)

    def _draw(self) -> None:
        line, request, result = self._line, self._session.request, self._session.result
        if line is None or request is None or result is None or not line.data:
            self._view.show_panel(None)
            return
        try:
            panel = profile(request.source, result, line.data[0][[0, -1], -2:], self._session.viewer.dims.point)
        except ConvgenError:
            panel = None
        self._view.show_panel(panel)
