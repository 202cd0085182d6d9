"""Plots on tabs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtWidgets import QLayout, QTabWidget, QVBoxLayout, QWidget

from napari_convgen.figures.panel import Panel
from napari_convgen.viewer.plots.panels import PanelView, ask_and_save


class PlotTabs(QTabWidget):
    """Pages of plots, each with further widgets above and below them.

    Parameters
    ----------
    theme
        Name of the napari theme whose colors are taken.

    Attributes
    ----------
    views
        Views of each page, by the name of the page.
    """

    def __init__(self, theme: str) -> None:
        super().__init__()
        self.setUsesScrollButtons(False)
        self.theme = theme
        self.views: dict[str, list[PanelView]] = {}

    def add_page(
        self,
        name: str,
        n_views: int,
        meaning: str,
        above: Sequence[QWidget | QLayout] = (),
        below: Sequence[QWidget] = (),
        min_height: int = 0,
    ) -> None:
        """Add a page.

        Parameters
        ----------
        name
            Title of the tab.
        n_views
            Largest number of panels that the page shows.
        meaning
            Tooltip of the tab.
        above, below
            Further widgets above and below the panels.
        min_height
            Least height of each panel, in pixels.
        """
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 4, 0, 0)
        for item in above:
            if isinstance(item, QWidget):
                column.addWidget(item)
            else:
                column.addLayout(item)
        self.views[name] = [PanelView(self.theme) for _ in range(n_views)]
        for view in self.views[name]:
            view.setMinimumHeight(min_height)
            column.addWidget(view, stretch=1)
        for widget in below:
            column.addWidget(widget)
        column.addStretch()
        self.setTabToolTip(self.addTab(page, name), meaning)

    @property
    def open_page(self) -> str:
        """Name of the page that is open."""
        return str(self.tabText(self.currentIndex()))

    def show_page(self, name: str) -> None:
        """Open a page by its name."""
        self.setCurrentIndex(list(self.views).index(name))

    def show_panels(self, panels: Mapping[str, Sequence[Panel]]) -> None:
        """Draw the panels of each page in place of the last ones."""
        for name, views in self.views.items():
            own = panels.get(name, ())
            for i, view in enumerate(views):
                view.show_panel(own[i] if i < len(own) else None)

    def save(self) -> None:
        """Ask for a file, and save the panels of the open page."""
        panels = [view.panel for view in self.views[self.open_page] if view.panel is not None]
        ask_and_save(self, panels, self.open_page.lower())

    def follow_theme(self, theme: str) -> None:
        """Take the colors of a napari theme."""
        for views in self.views.values():
            for view in views:
                view.follow_theme(theme)
