"""The end of a command: by Ctrl-C, and with which exit status."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

FAILED, INTERRUPTED = 2, 130
"""Exit statuses of a command that failed (2, as argparse has it) and of one ended by Ctrl-C (128 + SIGINT, as shells have it)."""


@contextlib.contextmanager
def first_interrupt() -> Iterator[list[int]]:
    """Return a list that becomes non-empty at the first Ctrl-C; a second Ctrl-C raises ``KeyboardInterrupt`` as usual."""
    interrupts: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        interrupts.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
