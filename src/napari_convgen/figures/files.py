"""Figures as files: panels drawn as PNG and SVG, and the curves in them as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_convgen.figures.panel import Panel, Picture, Plot
from napari_convgen.files.atomic import replacing, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = {"line": "-", "dots": "o", "dashes": "--"}
"""Format strings of Matplotlib for the styles of a curve."""

PANEL_WIDTH, PANEL_HEIGHT = 4.2, 3.4
"""Size of a panel in inches."""

MOST_COLUMNS = 4
"""Largest number of panels side by side: four fill a wide screen."""


def write_figure(path: Path, panels: Sequence[Panel]) -> None:
    """Draw panels side by side in a PNG or SVG file.

    Parameters
    ----------
    path
        File to write; its ending, ``.png`` or ``.svg``, selects the format.
    panels
        Panels to draw, at least one.

    Raises
    ------
    FileError
        The operating system does not allow it.
    """
    import matplotlib as mpl

    figure = draw(panels)
    # With a fixed salt and without a date, the same figure gives the same file.
    with mpl.rc_context({"svg.hashsalt": "napari-convgen", "svg.fonttype": "none"}), replacing(path) as file:
        figure.savefig(
            file, format=path.suffix[1:], dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None
        )


def draw(panels: Sequence[Panel]) -> Figure:
    """Return a figure with the panels side by side."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    n_columns = min(MOST_COLUMNS, len(panels))
    n_rows = math.ceil(len(panels) / n_columns)
    with mpl.rc_context({"font.size": 8}):
        figure = Figure((PANEL_WIDTH * n_columns, PANEL_HEIGHT * n_rows), layout="constrained")
        grid = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
        for axes, panel in zip(grid, panels, strict=False):
            axes.set_title(panel.title)
            if isinstance(panel, Plot):
                _draw_plot(axes, panel)
            else:
                _draw_picture(axes, panel)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
    return figure


def write_curves(path: Path, panels: Sequence[Panel]) -> None:
    """Write the points of all curves as a CSV table with the columns plot, curve, x and y.

    Parameters
    ----------
    path
        File to write.
    panels
        Panels whose curves are written; pictures are left out.

    Raises
    ------
    FileError
        The operating system does not allow it.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["plot", "curve", "x", "y"])
    for panel in panels:
        for curve in panel.curves if isinstance(panel, Plot) else ():
            for x, y in zip(curve.x, curve.y, strict=True):
                table.writerow([panel.title, curve.label, f"{x:.9g}", f"{y:.9g}"])
            if curve.top is not None:
                for x, y in zip(curve.x, curve.top, strict=True):
                    table.writerow([panel.title, f"{curve.label}, top", f"{x:.9g}", f"{y:.9g}"])
    write_text(path, text.getvalue())


def _draw_plot(axes: Axes, plot: Plot) -> None:
    for curve in plot.curves:
        if curve.top is not None:
            axes.fill_between(curve.x, curve.y, curve.top, label=curve.label, color="0.5", alpha=0.3, linewidth=0)
            continue
        axes.plot(curve.x, curve.y, LINES[curve.style], label=curve.label, linewidth=1.2, markersize=3)
    if plot.span is not None:
        axes.axvspan(*plot.span, color="0.5", alpha=0.2, linewidth=0)
    for label, position in plot.marks:
        axes.axvline(position, color="0.5", linewidth=0.8, linestyle=":")
        axes.annotate(label, (position, 0.98), xycoords=("data", "axes fraction"), rotation=90, va="top", ha="right")
    axes.set(xlabel=plot.x_label, ylabel=plot.y_label, xscale=plot.x_scale, yscale=plot.y_scale)
    if any(curve.label for curve in plot.curves):
        axes.legend(fontsize="small")


def _draw_picture(axes: Axes, picture: Picture) -> None:
    values: Any = picture.values
    low, high = picture.limits or (values.min(), values.max())
    if picture.is_signed and picture.limits is None:
        high = max(abs(low), abs(high))
        low = -high
    axes.imshow(values, cmap="RdBu_r" if picture.is_signed else "gray", vmin=low, vmax=high, interpolation="nearest")
    axes.set_axis_off()
