"""Errors that a user meets, as notifications."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari.utils.notifications import show_error

from napari_convgen.errors import ConvgenError


@contextmanager
def shown_errors() -> Iterator[None]:
    """Show what goes wrong inside, and is written for the user, as one notification."""
    try:
        yield
    except ConvgenError as error:
        show_error(str(error))
