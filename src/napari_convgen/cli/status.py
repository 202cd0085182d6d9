"""What a command ends with, and how it is interrupted."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

FAILED, INTERRUPTED = 2, 130
"""Exit statuses beside 0."""


@contextlib.contextmanager
def first_interrupt() -> Iterator[list[int]]:
    """Note the first Ctrl-C in the list that is returned; the second one raises as ever."""
    interrupts: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        interrupts.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
