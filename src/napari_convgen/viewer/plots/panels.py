"""Panels in a window, and as files."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyqtgraph as pg
from napari.utils.notifications import show_error, show_info
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QFileDialog, QLabel, QVBoxLayout, QWidget

from napari_convgen.errors import FileError
from napari_convgen.figures.files import write_curves, write_figure
from napari_convgen.figures.panel import Curve, Panel, Picture, Plot
from napari_convgen.viewer.plots.curves import CRITERION_COLOR, KEPT_COLOR, LOSS_COLOR, MAX_HEIGHT, LogAxis, short_power

COLORS = (LOSS_COLOR, CRITERION_COLOR, KEPT_COLOR, "#d773c4", "#e2c044", "#8f8f8f")

SHADE = (143, 143, 143, 50)

BAND_OPACITY = 70
"""Opacity of a band, of 255."""

SIGNED_COLORS = pg.ColorMap([0.0, 0.5, 1.0], ["#2166ac", "#ffffff", "#b2182b"])

FORMATS = {".png": "PNG image", ".svg": "SVG drawing", ".csv": "CSV table of the curves"}
"""Endings of the files that panels are saved as."""


class _Axis(LogAxis):
    """A logarithmic axis on which large numbers take little room."""

    def logTickStrings(self, values: list[float], scale: float, spacing: object) -> list[str]:
        """Return the labels of the ticks."""
        labels = super().logTickStrings(values, scale, spacing)
        return [short_power(value) if value >= 4 else label for value, label in zip(values, labels, strict=True)]


class _Canvas(pg.PlotWidget):  # type: ignore[misc]
    """A plot that the mouse does not move: the wheel is left to what the plot lies in."""

    def __init__(self) -> None:
        super().__init__(background=None, axisItems={side: _Axis(side) for side in ("left", "bottom")})
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.hideButtons()
        self.setMinimumHeight(90)
        for side in ("left", "bottom"):
            self.getAxis(side).enableAutoSIPrefix(False)
        self.getAxis("left").setWidth(52)
        self.getAxis("bottom").setHeight(34)
        self.plotItem.layout.setContentsMargins(0, 7, 4, 6)  # pyqtgraph lets the label hang out by so much

    def sizeHint(self) -> QSize:
        """Small: the dock decides."""
        return QSize(280, 110)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to what the plot lies in."""
        event.ignore()


class PanelView(QWidget):
    """Draws a panel, below its title and the names of its curves.

    Parameters
    ----------
    theme
        Name of the napari theme whose colors are taken.

    Attributes
    ----------
    panel
        Panel that is drawn; ``None`` if there is none.
    """

    def __init__(self, theme: str) -> None:
        super().__init__()
        self.panel: Panel | None = None
        self._title = QLabel()
        self._title.setWordWrap(True)
        self._title.setMinimumWidth(1)
        self.setMaximumHeight(MAX_HEIGHT)
        self._title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._canvas = _Canvas()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._title)
        column.addWidget(self._canvas, stretch=1)
        self.follow_theme(theme)

    def follow_theme(self, theme: str) -> None:
        """Take the colors of text and background of a napari theme."""
        self._text_color = get_theme(theme).text.as_hex()
        # Without a background of its own, pyqtgraph keeps a picture of the one before.
        self._canvas.setBackground(get_theme(theme).background.as_hex())
        for side in ("left", "bottom"):
            self._canvas.getAxis(side).setPen(self._text_color)
            self._canvas.getAxis(side).setTextPen(self._text_color)
        self.show_panel(self.panel)

    def show_panel(self, panel: Panel | None) -> None:
        """Draw a panel in place of the last one; for ``None`` nothing is drawn."""
        self.panel = panel
        self._canvas.clear()
        self.setVisible(panel is not None)
        if panel is None:
            return
        is_picture = isinstance(panel, Picture)
        self._canvas.setAspectLocked(is_picture)
        self._canvas.invertY(is_picture)
        for side in ("left", "bottom"):
            self._canvas.showAxis(side, not is_picture)
        self._title.setText(html.escape(panel.title))
        if isinstance(panel, Plot):
            self._draw_plot(panel)
        else:
            self._draw_picture(panel)
        self._canvas.enableAutoRange()

    def _draw_plot(self, plot: Plot) -> None:
        canvas, is_log = self._canvas, (plot.x_scale == "log", plot.y_scale == "log")
        canvas.setLogMode(*is_log)
        canvas.setLabel("bottom", plot.x_label)
        canvas.setLabel("left", plot.y_label)
        names = []
        for curve, color in zip(plot.curves, itertools.cycle(COLORS), strict=False):
            self._draw_curve(curve, color, is_log[1])
            if curve.label:
                names.append(f"<font color='{color}'>{html.escape(curve.label).replace(' ', '&nbsp;')}</font>")
        if names:
            self._title.setText(f"{html.escape(plot.title)}<br><small>{'&nbsp;&nbsp;&nbsp; '.join(names)}</small>")
        if plot.span is not None:
            ends = np.log10(plot.span) if is_log[0] else plot.span
            canvas.addItem(pg.LinearRegionItem(ends, brush=SHADE, pen=pg.mkPen(None), movable=False))
        pen = pg.mkPen(self._text_color, width=1, dash=[4, 3])
        for i, (label, position) in enumerate(plot.marks):
            line = pg.InfiniteLine(
                pos=np.log10(position) if is_log[0] else position,
                angle=90,
                pen=pen,
                label=label,
                labelOpts={"color": self._text_color, "position": 0.92 - 0.15 * i, "anchors": [(0, 0.5), (1, 0.5)]},
            )
            canvas.addItem(line)

    def _draw_curve(self, curve: Curve, color: str, is_log: bool) -> None:
        y = np.where(curve.y > 0, curve.y, np.nan) if is_log else curve.y
        if curve.top is not None:
            ends = (pg.PlotDataItem(curve.x, each, pen=None, connect="finite") for each in (y, curve.top))
            self._canvas.addItem(pg.FillBetweenItem(*ends, brush=pg.mkBrush(color + f"{BAND_OPACITY:02x}")))
            return
        if curve.style == "dots":
            self._canvas.plot(curve.x, y, pen=None, symbol="o", symbolSize=4, symbolPen=None, symbolBrush=color)
            return
        dash = [4, 3] if curve.style == "dashes" else None
        self._canvas.plot(curve.x, y, connect="finite", pen=pg.mkPen(color, width=1.5, dash=dash))

    def _draw_picture(self, picture: Picture) -> None:
        self._canvas.setLogMode(False, False)
        low, high = picture.limits or (float(picture.values.min()), float(picture.values.max()))
        item = pg.ImageItem(picture.values, axisOrder="row-major")
        if picture.is_signed and picture.limits is None:
            low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
        if picture.is_signed:
            item.setColorMap(SIGNED_COLORS)
        item.setLevels((low, high))
        self._canvas.addItem(item)


def ask_and_save(parent: QWidget, panels: Sequence[Panel], name: str) -> None:
    """Ask for a file, and save panels in the format of its ending; an error is one notification.

    Parameters
    ----------
    parent
        Parent of the dialog.
    panels
        Panels to save.
    name
        Name that is proposed, without an ending.
    """
    filters = ";;".join(f"{title} (*{ending})" for ending, title in FORMATS.items())
    answer, chosen = QFileDialog.getSaveFileName(parent, "Save these plots", f"{name}.png", filters)
    if not answer:
        return
    path = Path(answer)
    if not path.suffix:
        path = path.with_suffix(next((ending for ending in FORMATS if f"*{ending}" in chosen), ".png"))
    try:
        save_panels(path, panels)
    except FileError as error:
        show_error(str(error))
    else:
        show_info(f"Saved {path}.")


def save_panels(path: Path, panels: Sequence[Panel]) -> None:
    """Save panels in the format of the file's ending.

    Raises
    ------
    FileError
        The ending is not among `FORMATS`, or the operating system refuses.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise FileError(f"Plots are saved as {', '.join(FORMATS)}, got '{path.name}'. Choose one of these endings.")
    if ending == ".csv":
        write_curves(path, panels)
    else:
        write_figure(path.with_suffix(ending), panels)
