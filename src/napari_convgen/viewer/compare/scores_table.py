"""The table of a comparison: the scores of each method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QAbstractScrollArea,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
)

from napari_convgen.run.labels import format_seconds

if TYPE_CHECKING:
    from napari_convgen.run.compare.result import CompareResult, MethodResult

COLUMNS = {
    "": "Method.",
    "PSNR": "Peak signal-to-noise ratio against the reference, in dB.",
    "SSIM": "Structural similarity to the reference, at most 1.",
    "Res./noise": "Standard deviation of what was taken away over that of the noise. 1 is right: less leaves noise, more takes structure.",
    "Time": "Time that the method itself took.",
}
"""Headers and their tooltips."""

SCORES = (1, 2)
"""Positions of the columns that need a reference."""


class ScoresTable(QTableWidget):
    """A row for each method, as high as its rows."""

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setHorizontalHeaderLabels(list(COLUMNS))
        for i, tooltip in enumerate(COLUMNS.values()):
            if (item := self.horizontalHeaderItem(i)) is not None:
                item.setToolTip(tooltip)
        header, side = cast(QHeaderView, self.horizontalHeader()), cast(QHeaderView, self.verticalHeader())
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(20)
        side.hide()
        side.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizeAdjustPolicy(QAbstractScrollArea.SizeAdjustPolicy.AdjustToContents)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.clear_rows()

    def clear_rows(self) -> None:
        """Remove all rows, and hide the table."""
        self.setRowCount(0)
        self.hide()

    def show_result(self, result: CompareResult, titles: Mapping[str, str]) -> None:
        """Show a whole comparison: the noisy image first if there is a reference, the best scores in bold.

        Parameters
        ----------
        result
            Result of the comparison.
        titles
            Titles of the methods by their names.
        """
        self.clear_rows()
        if (noisy := result.input_scores) is not None:
            self._add("noisy", (noisy.psnr, noisy.ssim), "", "")
        first = self.rowCount()
        for each in result.methods:
            self.add_row(each, titles[each.method])
        scores = [None if each.scores is None else (each.scores.psnr, each.scores.ssim) for each in result.methods]
        for column in SCORES:
            values = [-math.inf if pair is None else pair[column - SCORES[0]] for pair in scores]
            if (best := max(values, default=-math.inf)) > -math.inf:
                self._embolden(first + values.index(best), column)

    def add_row(self, done: MethodResult, title: str) -> None:
        """Add the row of a method."""
        if done.residual is None:
            self._add(title, None, "", "failed", done.error or "")
        else:
            scores = None if done.scores is None else (done.scores.psnr, done.scores.ssim)
            self._add(title, scores, f"{done.residual.spread:.2f}", format_seconds(done.seconds), done.title)

    def _add(self, title: str, scores: tuple[float, float] | None, residual: str, time: str, tooltip: str = "") -> None:
        cells = ("", "") if scores is None else (f"{scores[0]:.2f}", f"{scores[1]:.3f}")
        self._fill(self.rowCount(), (title, *cells, residual, time), tooltip or title)
        has_scores = any(self._text(row, SCORES[0]) for row in range(self.rowCount()))
        for column in SCORES:
            self.setColumnHidden(column, not has_scores)
        self.show()
        self.updateGeometry()

    def _fill(self, row: int, texts: Sequence[str], tooltip: str) -> None:
        self.insertRow(row)
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setToolTip(tooltip)
            if column:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, column, item)

    def _text(self, row: int, column: int) -> str:
        item = self.item(row, column)
        return "" if item is None else item.text()

    def _embolden(self, row: int, column: int) -> None:
        if (item := self.item(row, column)) is not None:
            font = item.font()
            font.setBold(True)
            item.setFont(font)
