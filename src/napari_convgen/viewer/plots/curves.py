"""The live plot of a fit: loss and stopping criterion against the step, and the step that is kept, which can be moved."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from napari.utils.theme import get_theme
from psygnal import Signal
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QWidget

from napari_convgen.config import AutoStopConfig, Config

if TYPE_CHECKING:
    from napari_convgen.run.denoise.progress import DenoiseProgress

MAX_HEIGHT = 360
"""Largest height of a plot, in pixels: on a tall screen a higher one is no easier to read. Our choice."""

REDRAW_SECONDS = 0.25
"""The curves are redrawn at most this often while they grow."""

LOSS_COLOR, CRITERION_COLOR, KEPT_COLOR = "#4c9be8", "#f2a33a", "#7cc576"

LOSS_NAME = "fitted pixels"

VOTE_SPAN = (0.0, 0.09)
"""Start and end of the mark of a vote, in parts of the plot's height."""

KEPT_PLACES = (0.9, 0.75, 0.6, 0.45, 0.3, 0.18)
"""Places of the words beside the line of the kept step, in parts of the plot's height: that which is farthest from the curves is taken."""

KEPT_WIDTH = 0.3
"""Width of these words in a narrow dock, in parts of the plot's width."""

INTERVAL_OPACITY = 48
"""Opacity of the shaded interval, of 255."""

NAME_SIZE = "9pt"
"""Size of the names of the curves."""


MULTIPLES = ((1,), (1, 2, 5), range(1, 10), np.arange(1, 10, 0.5), np.arange(1, 10, 0.1), np.arange(1, 10, 0.02))
"""Numbers of a decade that a logarithmic axis labels: the first of these sets of which two are in its range. Our choice."""


def short_power(exponent: float) -> str:
    """Return a power of ten as a short text: ``"2e-5"``, ``"1.5e4"``."""
    digits, _, power = f"{10**exponent:.3e}".partition("e")
    return f"{float(digits):g}e{int(power)}"


class LogAxis(pg.AxisItem):  # type: ignore[misc]
    """A logarithmic axis that labels decades, and between them as many numbers as are needed for two labels."""

    def logTickValues(self, low: float, high: float, size: float, ticks: object) -> list[tuple[None, list[float]]]:
        """Return the positions of the ticks, as exponents of ten."""
        decades = range(math.floor(low), math.ceil(high) + 1)
        places: list[float] = []
        for multiples in MULTIPLES if high - low > 2 else MULTIPLES[1:]:
            places = [x for d in decades for m in multiples if low <= (x := d + math.log10(m)) <= high]
            if len(places) > 1:
                break
        return [(None, places)]

    def logTickStrings(self, values: list[float], scale: float, spacing: object) -> list[str]:
        """Return the labels of the ticks."""
        return [short_power(value) if value < -3 else f"{10**value:g}" for value in values]


class CurvePlot(pg.PlotWidget):  # type: ignore[misc]
    """Loss and criterion on logarithmic axes.

    Once a fit has ended, the line of the kept step can be dragged from snapshot to snapshot; ``dragged`` is emitted with the step of each
    snapshot on the way, ``dropped`` with that of the last.

    Parameters
    ----------
    theme
        Name of the napari theme whose colors are taken.
    """

    dragged = Signal(int)
    dropped = Signal(int)

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent, background=None, axisItems={side: LogAxis(side) for side in ("left", "bottom")})
        self._loss: list[float] = []
        self._criterion: list[float] = []
        self._kept_step = 0
        self._steps: Sequence[int] = ()
        self._dragged_step = 0
        self._drawn = 0.0
        self.setMaximumHeight(MAX_HEIGHT)
        self.setLogMode(x=True, y=True)
        self.setLabel("bottom", "step")
        self.setLabel("left", "mean squared error")
        for side in ("left", "bottom"):
            self.getAxis(side).enableAutoSIPrefix(False)
        self.getAxis("bottom").setHeight(34)
        self.plotItem.layout.setContentsMargins(0, 0, 0, 6)  # pyqtgraph lets the label hang out by so much
        self.setMenuEnabled(False)
        self.hideButtons()
        self._loss_curve = self.plot(pen=pg.mkPen(LOSS_COLOR, width=1.5), name=LOSS_NAME)
        self._criterion_curve = self.plot(pen=pg.mkPen(CRITERION_COLOR, width=1.5), name=AutoStopConfig.criterion)
        self._names = self.plotItem.titleLabel  # above the axes, so that it covers no curve
        self.plotItem.layout.removeItem(self._names)
        self.plotItem.layout.addItem(self._names, 0, 0, 1, 2)
        self._interval = pg.LinearRegionItem(
            movable=False, brush=pg.mkColor(KEPT_COLOR + f"{INTERVAL_OPACITY:02x}"), pen=pg.mkPen(None)
        )
        self._interval.setZValue(-10)
        self._kept = pg.InfiniteLine(
            angle=90,
            pen=pg.mkPen(KEPT_COLOR, width=1.5, dash=[4, 3]),
            hoverPen=pg.mkPen(KEPT_COLOR, width=3),
            label="",
            labelOpts={"anchors": [(0, 0.5), (1, 0.5)]},
        )
        self._shown = pg.InfiniteLine(angle=90, pen=pg.mkPen(None))
        self._votes: list[pg.InfiniteLine] = []
        self._kept.sigDragged.connect(self._on_drag)
        self._kept.sigPositionChangeFinished.connect(self._on_drop)
        for item in (self._interval, self._shown, self._kept):
            item.hide()
            self.addItem(item, ignoreBounds=True)
        self.follow_theme(theme)
        self.sigDeviceRangeChanged.connect(self._show_names)  # its width has changed
        self.hide()

    def sizeHint(self) -> QSize:
        """Small: the dock decides."""
        return QSize(280, 170)

    def follow_theme(self, theme: str) -> None:
        """Take the colors of text and background of a napari theme."""
        self._text_color = get_theme(theme).text.as_hex()
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.setPen(self._text_color)
            axis.setTextPen(self._text_color)
        # Without a background of its own, pyqtgraph keeps a picture of the one before.
        self.setBackground(get_theme(theme).background.as_hex())
        self._show_names()
        self._shown.setPen(pg.mkPen(self._text_color, width=1))
        self._kept.label.setColor(self._text_color)
        for vote in self._votes:
            vote.setPen(self._vote_pen())

    def name_criterion(self, name: str) -> None:
        """Say above the plot what the stopping rule watches."""
        self._criterion_curve.opts["name"] = name
        self._show_names()

    def clear_curves(self) -> None:
        """Remove the curves and all marks."""
        self.show_curves([], [])

    def show_curves(self, loss: Iterable[float], criterion: Iterable[float]) -> None:
        """Show whole curves, from step 1; those of a single step, or of none, are hidden."""
        self._loss, self._criterion, self._kept_step = list(loss), list(criterion), 0
        self.setVisible(len(self._loss) > 1)
        self.show_choice((), None, {})
        self.redraw()

    def extend(self, loss: Iterable[float], criterion: Iterable[float], kept_step: int) -> None:
        """Add the latest steps and move the mark of the step that would be kept."""
        self._loss += loss
        self._criterion += criterion
        self._kept_step = kept_step
        if time.perf_counter() - self._drawn > REDRAW_SECONDS:
            self.redraw()

    def begin(self, config: Config) -> None:
        """Wait for the curves of a fit with these settings."""
        self.name_criterion(config.stopping.criterion)
        self.clear_curves()

    def show_progress(self, progress: DenoiseProgress) -> None:
        """Add the steps of a fit since the last progress; those of another frame or of a fresh start take the place of all."""
        if progress.step - len(progress.losses) < self.n_steps:
            self.clear_curves()
        self.extend(progress.losses, progress.criteria, progress.kept_step)
        if self.isHidden() and self.n_steps > 1:
            self.redraw()
            self.show()

    def mark_kept(self, step: int) -> None:
        """Mark the step that is kept."""
        self._kept_step = step
        self.redraw()

    def mark_shown(self, step: int | None) -> None:
        """Mark the step whose snapshot is on screen; ``None`` for no mark."""
        self._shown.setVisible(bool(step))
        if step:
            self._shown.setValue(math.log10(step))

    def show_choice(self, steps: Sequence[int], interval: tuple[int, int] | None, votes: Mapping[str, int]) -> None:
        """Show what there is to choose from.

        Parameters
        ----------
        steps
            Steps that the line can be dragged to, in their order; with none it cannot be moved.
        interval
            First and last step that cannot be told from the best; ``None`` if they are not known.
        votes
            Steps that the rules would keep, by the name of the rule.
        """
        self._steps = steps
        self._kept.setMovable(bool(steps))
        self._kept.setCursor(Qt.CursorShape.SizeHorCursor if steps else Qt.CursorShape.ArrowCursor)
        self._interval.setVisible(interval is not None)
        if interval is not None:
            self._interval.setRegion([math.log10(step) for step in interval])
        for vote in self._votes:
            self.removeItem(vote)
        self._votes = [
            self._new_vote(step, [n for n in votes if votes[n] == step]) for step in sorted(set(votes.values()))
        ]

    @property
    def n_steps(self) -> int:
        """Number of steps that the curves show."""
        return len(self._loss)

    def _new_vote(self, step: int, names: Sequence[str]) -> pg.InfiniteLine:
        """Make the mark of the rules that would keep a step."""
        mark = pg.InfiniteLine(pos=math.log10(step), angle=90, span=VOTE_SPAN, pen=self._vote_pen())
        mark.setToolTip(f"{', '.join(names)}: step {step}")
        self.addItem(mark, ignoreBounds=True)
        return mark

    def _vote_pen(self) -> pg.mkPen:
        return pg.mkPen(self._text_color, width=2)

    def _on_drag(self) -> None:
        """Snap to the nearest snapshot on the axis as it is shown."""
        place = self._kept.value()
        step = min(self._steps, key=lambda s: abs(math.log10(s) - place))
        self._show_kept(step)
        if step != (self._dragged_step or self._kept_step):
            self.dragged.emit(step)
        self._dragged_step = step

    def _on_drop(self) -> None:
        step, self._dragged_step = self._dragged_step, 0
        if step not in (0, self._kept_step):
            self.dropped.emit(step)

    def redraw(self) -> None:
        """Draw the curves up to the latest step."""
        self._drawn = time.perf_counter()
        # Logarithmically spaced steps are all that the axis can show.
        numbers = np.unique(np.geomspace(1, max(1, len(self._loss)), 600).astype(int)) - 1
        for curve, values in ((self._loss_curve, self._loss), (self._criterion_curve, self._criterion)):
            y = np.asarray(values)[numbers] if values else np.empty(0)
            shown = np.isfinite(y) & (y > 0)
            curve.setData(numbers[: len(y)][shown] + 1, y[shown])
            curve.setVisible(bool(shown.any()))
        self._show_names()
        self._kept.setVisible(self._kept_step > 0)
        if self._kept_step:
            self._show_kept(self._kept_step)

    def _show_names(self) -> None:
        """Name the curves that there are, each with its color, on one line or on a line each."""
        curves = ((self._loss_curve, LOSS_COLOR), (self._criterion_curve, CRITERION_COLOR))
        names = [
            f"<b style='color: {color}'>\N{EM DASH}</b>&nbsp;{html.escape(curve.name()).replace(' ', '&nbsp;')}"
            for curve, color in curves
            if curve.isVisible()
        ]
        self.setTitle("&nbsp;&nbsp;&nbsp; ".join(names), color=self._text_color, size=NAME_SIZE)
        if self._names.itemRect().width() > self.width():
            self.setTitle("<br>".join(names), color=self._text_color, size=NAME_SIZE)
        height = self._names.itemRect().height()
        self._names.setMaximumHeight(height)
        self.plotItem.layout.setRowFixedHeight(0, height)

    def _show_kept(self, step: int) -> None:
        self._kept.setValue(math.log10(step))
        self._kept.label.setFormat(f"keep {step}")
        self._kept.label.setPosition(self._free_place(step))

    def _free_place(self, step: int) -> float:
        """Return the place beside the line that is farthest from the curves, in parts of the plot's height."""
        drawn = [curve.getOriginalDataset() for curve in (self._loss_curve, self._criterion_curve) if curve.isVisible()]
        if not drawn:
            return KEPT_PLACES[0]
        n_steps = len(self._loss)
        first, last = sorted((step, step * n_steps ** (KEPT_WIDTH if step**2 < n_steps else -KEPT_WIDTH)))
        heights = np.log10(np.concatenate([y for _, y in drawn]))
        low, high = heights.min(), heights.max()
        beside = np.concatenate([(x >= first) & (x <= last) for x, _ in drawn])
        parts = (heights[beside] - low) / max(high - low, 1e-9)
        return max(KEPT_PLACES, key=lambda place: np.abs(parts - place).min(initial=1))
