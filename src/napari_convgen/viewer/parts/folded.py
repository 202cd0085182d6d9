"""A part of a dock that is folded away under its title."""

from __future__ import annotations

from qtpy.QtCore import QSize
from superqt import QCollapsible

MORE_SETTINGS = "More settings"
"""Title of the settings that are changed seldom."""


class Folded(QCollapsible):
    """Widgets under a title that opens and closes; the arrow before it points to where they are, and has its color in each theme.

    Parameters
    ----------
    title
        The title.
    """

    def __init__(self, title: str = MORE_SETTINGS) -> None:
        super().__init__()
        # The arrow of the title takes the place of an icon; PySide takes no empty one.
        self.toggleButton().setIconSize(QSize(0, 0))
        self._title = title
        for layout in filter(None, (self.layout(), self.content().layout())):  # as wide as what is not folded away
            layout.setContentsMargins(0, 0, 0, 0)
        self.toggled.connect(self._point)
        self._point(False)

    def _point(self, is_open: bool) -> None:
        self.setText(f"{'▾' if is_open else '▸'} {self._title}")
