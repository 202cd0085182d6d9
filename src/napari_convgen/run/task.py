"""The one lifecycle of every verb: iterate to advance, stop, and ask for the result.

A task that is not iterated is paused: it goes on where it was left.
"""

from __future__ import annotations

import gc
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch

from napari_convgen.core.image import ArrayLike
from napari_convgen.errors import ShortMemoryError
from napari_convgen.run.setup.forecast import is_short_memory
from napari_convgen.run.setup.host_state import isolated, with_isolation
from napari_convgen.run.setup.prepared import Prepared

STATUS_SECONDS = 0.05
"""Seconds between two reports of progress, apart from those that bring something to see: as often as an eye can follow."""

ISOLATED = {"__init__", "forecast", "result", "preview", "baseline", "extend"}
"""Methods of a task that compute, beside its advances."""

T = TypeVar("T")
ProgressT = TypeVar("ProgressT", bound="Progress")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, kw_only=True)
class Progress(ABC):
    """The state of a task while it runs.

    Attributes
    ----------
    seconds
        Seconds of work so far, without pauses.
    """

    seconds: float

    @property
    @abstractmethod
    def share(self) -> float:
        """Share of the work that is done, 0 to 1; a stopping rule may end the work sooner."""

    @property
    def seconds_left(self) -> float:
        """Seconds that the rest takes at most, at the pace so far; infinite while nothing is done."""
        return self.seconds * (1 - self.share) / self.share if self.share else math.inf


class TaskForecast(Protocol):
    """Memory and time of a task, predicted; as text, a sentence for the user."""

    @property
    def n_bytes(self) -> int:
        """Bytes at the peak, about."""
        ...

    @property
    def seconds(self) -> float:
        """Seconds at most, about."""
        ...


class Task(ABC, Generic[ProgressT, ResultT]):
    """A verb over checked input: iterate over it to advance, then ask for its `result`.

    All input is checked when the task is made, before anything starts. `stop`, called from anywhere, lets it end soon with the best so
    far. What the host program has set in PyTorch and NumPy does not change what a task computes, and is found as it was between two
    advances and after each call, see `napari_convgen.run.setup.host_state`.

    Parameters
    ----------
    prepared
        The checked input.

    Attributes
    ----------
    prepared
        The checked input.
    config
        Settings that are used.
    image
        The array that is worked on.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in ISOLATED & vars(cls).keys():
            setattr(cls, name, isolated()(vars(cls)[name]))

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.config = prepared.config
        self.image: ArrayLike = prepared.image
        self._seconds = 0.0
        self._is_stopping = False

    @property
    def n_threads(self) -> int:
        """Threads of the CPU that it uses."""
        return self.prepared.n_threads

    @property
    def device(self) -> torch.device:
        """Device that it runs on."""
        return self.prepared.device

    def __iter__(self) -> Iterator[ProgressT]:
        """Advance. A task that was left goes on where it was; one that has ended yields nothing.

        Raises
        ------
        ShortMemoryError
            Memory ran out after all; what the task held is free again.
        """
        try:
            yield from with_isolation(self._advance(), self.n_threads)
            return
        except Exception as error:
            if not is_short_memory(error):
                raise
        # Only here, where the error that held on to its memory is gone, can it be let go.
        self._let_go()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        raise ShortMemoryError(f"Memory ran out on {self.device}. {self.prepared.memory_advice}")

    def finish(self, callback: Callable[[ProgressT], None] | None = None) -> ResultT:
        """Go through the task to its end and return its result.

        Parameters
        ----------
        callback
            Function that is called with each progress.
        """
        for progress in self:
            if callback is not None:
                callback(progress)
        return self.result()

    def stop(self) -> None:
        """End the task soon, with what there is. May be called from another thread."""
        self._is_stopping = True

    @property
    @abstractmethod
    def has_result(self) -> bool:
        """True if `result` would return something now."""

    @abstractmethod
    def result(self) -> ResultT:
        """Return what there is: everything, or what was finished before a stop.

        Raises
        ------
        FitError
            There is nothing yet.
        """

    @abstractmethod
    def forecast(self) -> TaskForecast:
        """Predict memory and time: a little of the work is done, timed and forgotten."""

    @abstractmethod
    def _advance(self) -> Iterator[ProgressT]:
        """Do the work."""

    @abstractmethod
    def _let_go(self) -> None:
        """Let go what takes much memory."""

    def _paced(self, steps: Iterator[T], is_due: Callable[[T], bool] = lambda step: False) -> Iterator[T]:
        """Take steps and count their seconds; yield those that are due, and otherwise one now and then."""
        started = time.perf_counter()
        for step in steps:
            now = time.perf_counter()
            if not is_due(step) and now - started < STATUS_SECONDS:
                continue
            self._seconds += now - started
            yield step
            started = time.perf_counter()
        self._seconds += time.perf_counter() - started
