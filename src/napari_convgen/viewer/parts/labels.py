"""Labels that hold sentences and names, and never ask for more width than the dock has."""

from __future__ import annotations

import html
import re
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QContextMenuEvent, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QApplication, QLabel, QMenu

LONGEST_WORD = 24
"""Longest part of a word that stays on one line, in characters: as many as fit into a dock at its least width."""

WIDEST = (1 << 24) - 1
"""Largest width of a widget of Qt, in pixels: its own default."""

LABEL_SHARE = 0.34
"""Largest share of the width of a dock that the names of the rows of a form take."""

LONGEST_NAME = 60
"""Longest name that is shown in full, in characters: three lines of a dock at its least width."""

BREAK = "\N{ZERO WIDTH SPACE}"
"""Character at which a line may be broken, and that is not seen."""


IN_A_NUMBER = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|h|dB|[KMGT]iB|µm|×)(?!\w))|(?<=×) (?=\d)")
"""Space between a number and its unit, or in a size such as 96 × 96, at which no line is broken."""


def indent_as_counted(label: QLabel) -> None:
    """Set the indent with which Qt draws a text; by default it counts twice as much when it asks how many lines the text needs."""
    label.setIndent(label.fontMetrics().horizontalAdvance("x") // 2)


class TextLabel(QLabel):
    """A label that wraps its text at the width of the dock, long words too; its text can be selected and copied."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setMinimumWidth(1)
        flags = Qt.TextInteractionFlag
        self.setTextInteractionFlags(flags.TextSelectableByMouse | flags.LinksAccessibleByMouse)
        self.setAlignment(Qt.AlignmentFlag.AlignTop)

    def setText(self, text: str | None) -> None:
        """Show a text, plain or rich."""
        indent_as_counted(self)
        super().setText(breakable(text or ""))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Copy what is selected."""
        if event is not None and event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:
        """Offer to copy what is selected."""
        if event is not None and self.hasSelectedText():
            menu = QMenu(self)
            action: Any = menu.addAction("Copy")
            action.triggered.connect(self.copy)
            menu.exec(event.globalPos())
            menu.deleteLater()

    def copy(self) -> None:
        """Copy what is selected, without the places where lines may be broken."""
        if self.hasSelectedText() and (clipboard := QApplication.clipboard()) is not None:
            clipboard.setText(plain(self.selectedText()))


class RowLabel(QLabel):
    """The name of a row of a form; a long one has two lines in a narrow dock, to leave room for what is chosen."""

    def __init__(self) -> None:
        super().__init__()
        self._limit = WIDEST

    def setText(self, text: str | None) -> None:
        """Show a text."""
        super().setText(text)
        self._wrap()

    def sizeHint(self) -> QSize:
        """As wide as the text, or as is allowed."""
        hint = super().sizeHint()
        return QSize(self._limit, self.heightForWidth(self._limit)) if self.wordWrap() else hint

    def fit(self, dock_width: int) -> None:
        """Take at most a share of the width of the dock, in pixels."""
        self._limit = round(LABEL_SHARE * dock_width)
        self._wrap()

    def _wrap(self) -> None:
        indent_as_counted(self)
        self.setWordWrap(False)
        is_long = super().sizeHint().width() > self._limit
        self.setWordWrap(is_long)
        self.setMaximumWidth(self._limit if is_long else WIDEST)


def text_label(text: str = "", tooltip: str = "") -> TextLabel:
    """Return a label for sentences.

    Parameters
    ----------
    text
        Text that is shown at first, plain or rich; none by default.
    tooltip
        Tooltip; none by default.
    """
    label = TextLabel()
    label.setText(text)
    label.setToolTip(tooltip)
    return label


def breakable(text: str) -> str:
    """Return a text, plain or rich, with places in its long words where lines may be broken, and none between a number and its unit."""
    return re.sub(r"(?:<[^>]*>|&#?\w+;|[^\s<&])+", _break_word, IN_A_NUMBER.sub("\N{NO-BREAK SPACE}", text))


def plain(text: str) -> str:
    """Return a text that was selected in a label as it was before `breakable`, its lines ended as in a file."""
    text = re.sub("[\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}]", "\n", text)
    return text.replace(BREAK, "").replace("\N{NO-BREAK SPACE}", " ")


def _break_word(word: re.Match[str]) -> str:
    broken, n = "", 0
    for part in re.findall(r"<[^>]*>|&#?\w+;|.", word.group()):
        is_tag = part.startswith("<")
        if n == LONGEST_WORD and not is_tag:
            broken, n = broken + BREAK, 0
        broken, n = broken + part, n + (not is_tag)
    return broken


def name_of_layer(name: str) -> str:
    """Return a layer's name for a rich text: in bold, and without its middle if it is very long."""
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME // 2]} … {name[-LONGEST_NAME // 2 :]}"
    return f"<b>{html.escape(name)}</b>"
