"""Errors that a user meets: as notifications, and as a sentence in the widget."""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager

from napari_convgen.errors import ConvgenError
from napari_convgen.viewer.parts.labels import TextLabel
from napari_convgen.viewer.worker.job import notify


@contextmanager
def shown_errors() -> Iterator[None]:
    """Show what goes wrong inside, and is written for the user, as one notification."""
    try:
        yield
    except ConvgenError as error:
        notify(error)


def sentence_of(error: Exception) -> str:
    """Return the sentence of an error that was written for the user, or else what to do with it."""
    if isinstance(error, ConvgenError):
        return str(error)
    return f"Unexpected {type(error).__name__}: {str(error) or 'no message'}. Please report it, with the text in the terminal."


class ErrorText(TextLabel):
    """The last error in full, where the user looks; hidden while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.forget()

    def forget(self) -> None:
        """Show no error."""
        self.clear()
        self.hide()

    def show_error(self, error: Exception) -> None:
        """Show an error: the sentence that was written for the user, or else what to do with it."""
        self.setText(f"<b>⚠</b> {html.escape(sentence_of(error))}")
        self.show()

    @contextmanager
    def shown_errors(self) -> Iterator[None]:
        """Show what goes wrong inside, and is written for the user, here and as one notification; forget the error before."""
        self.forget()
        try:
            yield
        except ConvgenError as error:
            self.show_error(error)
            notify(error)
