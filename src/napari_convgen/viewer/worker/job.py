"""One piece of work in napari's own worker thread, with its progress bar."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from napari.qt.threading import create_worker
from napari.utils.notifications import notification_manager, show_error
from napari.utils.progress import progress

from napari_convgen.errors import ConvgenError

N_SPARED_THREADS = 1
"""Threads that a fit leaves to the window, unless it is told how many to use."""

PROGRESS_PARTS = 1000
"""Number of parts that a progress bar is divided into."""


class Link:
    """What the viewer's thread says to the worker's.

    Attributes
    ----------
    is_allowed
        Event that is set while the work may go on, and cleared during a pause.
    is_stopping
        True once the user has asked to stop and keep what there is.
    next_preview
        Time from which the next preview may be sent, in seconds of `time.perf_counter`.
    """

    def __init__(self) -> None:
        self.is_allowed = threading.Event()
        self.is_allowed.set()
        self.is_stopping = False
        self.next_preview = 0.0


class Job:
    """A generator function at work in a thread of its own.

    What it yields and returns is passed on in the viewer's thread. Once the job was left, or napari told it to quit as it closed,
    nothing more is passed on. The function returns its errors in its answer: superqt's worker would take a RuntimeError for a result.

    Parameters
    ----------
    title
        Title of the progress bar.
    work
        Generator function, called with a `Link` and ``arguments``.
    arguments
        Further arguments of ``work``.
    on_message
        Function that is called with each value that ``work`` yields, unless that is ``None``.
    on_answer
        Function that is called with the value that ``work`` returns.
    """

    def __init__(
        self,
        title: str,
        work: Callable[..., Generator[Any, None, Any]],
        *arguments: Any,
        on_message: Callable[[Any], None],
        on_answer: Callable[[Any], None],
    ) -> None:
        self.link = Link()
        self._on_message = on_message
        self._on_answer = on_answer
        self._bar = progress(total=PROGRESS_PARTS, desc=title)
        self._is_left = False
        self._waiting: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._is_delivering = False
        self._worker: Any = create_worker(work, self.link, *arguments)
        self._worker.yielded.connect(lambda message: self._deliver(self._on_yield, message))
        self._worker.returned.connect(lambda answer: self._deliver(self._on_return, answer))
        self._worker.start()

    def leave(self) -> None:
        """End the work at its next yield, and pass on nothing more of it."""
        self._is_left = True
        self._worker.quit()
        self.link.is_allowed.set()
        self._bar.close()

    def show_progress(self, share: float) -> None:
        """Move the progress bar; ``share`` is the part of the work that is done, from 0 to 1."""
        self._bar.update(round(share * PROGRESS_PARTS) - self._bar.n)

    def _deliver(self, take: Callable[[Any], None], message: Any) -> None:
        """Pass on one message after the other: while napari moves a progress bar, the next one may arrive."""
        self._waiting.append((take, message))
        if self._is_delivering:
            return
        self._is_delivering = True
        try:
            while self._waiting:
                take, message = self._waiting.popleft()
                if not (self._is_left or self._worker.abort_requested):
                    take(message)
        finally:
            self._is_delivering = False

    def _on_yield(self, message: Any) -> None:
        if message is not None:
            self._on_message(message)

    def _on_return(self, answer: Any) -> None:
        self._bar.close()
        self._on_answer(answer)


def notify(error: Exception) -> None:
    """Show an error in one notification: a sentence that was written for the user as it is, any other with its traceback."""
    if isinstance(error, ConvgenError):
        show_error(str(error))
    else:
        notification_manager.receive_error(type(error), error, error.__traceback__)
