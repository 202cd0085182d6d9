"""Work in a thread for what changes faster than it is computed: a slider, a number that is being edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker


class Latest:
    """Does one piece of work at a time; of those asked for meanwhile, only the last.

    Parameters
    ----------
    on_answer
        Function that is called in the viewer's thread with what each piece of work returns. Work returns its errors in its answer, see
        `napari_convgen.viewer.worker.job.Job`.
    """

    def __init__(self, on_answer: Callable[[Any], None]) -> None:
        self._on_answer = on_answer
        self._next: tuple[Callable[..., Any], tuple[Any, ...]] | None = None
        self._worker: Any = None

    @property
    def is_busy(self) -> bool:
        """True while an answer is to come. Once napari has told its workers to quit, as it does when it closes, none is."""
        return self._worker is not None and not self._worker.abort_requested

    def ask(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Do this next."""
        if self.is_busy:
            self._next = work, arguments
        else:
            self._start(work, arguments)

    def forget(self) -> None:
        """Pass on nothing more of what was asked for."""
        self._next = self._worker = None

    def _start(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        worker = self._worker = create_worker(work, *arguments, _start_thread=False)
        worker.returned.connect(lambda answer: self._on_return(worker, answer))
        worker.start()

    def _on_return(self, worker: Any, answer: Any) -> None:
        if worker is not self._worker or worker.abort_requested:
            return
        self._worker = None
        if self._next is not None:
            following, self._next = self._next, None
            self._start(*following)
        self._on_answer(answer)
