"""Work in a thread for what changes faster than it is done: a slider, a number that is being edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker


class Latest:
    """Does one piece of work at a time; of those asked for meanwhile, only the last.

    Parameters
    ----------
    on_answer
        Takes what each returns, in the viewer's thread. Work takes its errors to its answer, see `napari_convgen.viewer.worker.job.Job`.
    """

    def __init__(self, on_answer: Callable[[Any], None]) -> None:
        self._on_answer = on_answer
        self._next: tuple[Callable[..., Any], tuple[Any, ...]] | None = None
        self._worker: Any = None

    @property
    def is_busy(self) -> bool:
        """Whether an answer is to come: not once napari has told its workers to quit, as it does when it closes."""
        return self._worker is not None and not self._worker.abort_requested

    def ask(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Do this next."""
        self._next = work, arguments
        if not self.is_busy:
            self._start()

    def forget(self) -> None:
        """Hear nothing more of what was asked for."""
        self._next = self._worker = None

    def _start(self) -> None:
        assert self._next is not None
        work, arguments = self._next
        self._next = None
        worker = self._worker = create_worker(work, *arguments, _start_thread=False)
        worker.returned.connect(lambda answer: self._end(worker, answer))
        worker.start()

    def _end(self, worker: Any, answer: Any) -> None:
        if worker is not self._worker or worker.abort_requested:
            return
        self._worker = None
        if self._next is not None:
            self._start()
        self._on_answer(answer)
