"""What the worker's thread does for a session: it builds a task, goes through it, and prepares what is shown of it.

torch is loaded here, by the task that a request builds, and nowhere else in the viewer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from napari_convgen.errors import FitError
from napari_convgen.viewer.layers.door import LayerInput
from napari_convgen.viewer.worker.job import Link

if TYPE_CHECKING:
    from napari_convgen.run.task import Task

TaskT = TypeVar("TaskT", bound="Task[Any, Any]")
ResultT = TypeVar("ResultT")

PAUSE_SECONDS = 0.05
"""A paused task looks this often whether it was cancelled."""


@dataclass(frozen=True, eq=False)
class Request(Generic[TaskT, ResultT]):
    """What is asked of a session, as it was at the time. Its methods are called in the worker's thread.

    Attributes
    ----------
    source
        The image and its place, from `napari_convgen.viewer.layers.door.read_layer`.
    """

    source: LayerInput

    @property
    def title(self) -> str:
        """Title of the progress bar, such as ``"Denoising cells"``."""
        raise NotImplementedError

    @property
    def has_forecast(self) -> bool:
        """True if a forecast is made before each run, because it takes little time beside the run. By default False."""
        return False

    def build(self) -> TaskT:
        """Return the task, its input checked. The module of the task is imported here.

        Raises
        ------
        ConvgenError
            What cannot be run, in a sentence.
        """
        raise NotImplementedError

    def preview(self, task: TaskT, progress: Any, is_due: bool) -> Any:
        """Return what a session shows of a task under way; ``None`` for nothing.

        Parameters
        ----------
        task
            The task, which does not advance meanwhile.
        progress
            The latest progress of the task.
        is_due
            True if enough time has passed since the last preview was shown.
        """
        return None

    def report(self, result: ResultT) -> Mapping[str, Any]:
        """Return the report of a result, as plain values."""
        report: Mapping[str, Any] = result.report()  # type: ignore[attr-defined]  # every result has one
        return report

    def details(self, task: TaskT, result: ResultT) -> Any:
        """Return what takes time to prepare and is shown beside the result; ``None`` for nothing."""
        return None


@dataclass(frozen=True, eq=False)
class Update(Generic[TaskT]):
    """News of a task under way; what has not changed is ``None``.

    Attributes
    ----------
    task
        The task, once it was built.
    forecast
        Memory and time that the task will take.
    progress
        The latest progress.
    preview
        What `Request.preview` returned.
    """

    task: TaskT | None = None
    forecast: Any = None
    progress: Any = None
    preview: Any = None


@dataclass(frozen=True, eq=False)
class Answer(Generic[ResultT]):
    """What is left of a task: a forecast, or a result, the error that ended it, or both if something was finished before the error.

    Attributes
    ----------
    result
        The result; ``None`` if there is nothing to keep.
    report
        Report of the result, as plain values.
    details
        What `Request.details` returned.
    forecast
        Memory and time that the task would take, if only that was asked for.
    error
        The error that ended the task; ``None`` if it ended well.
    """

    result: ResultT | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    details: Any = None
    forecast: Any = None
    error: Exception | None = None


Work: TypeAlias = "Generator[Update[TaskT] | None, None, Answer[ResultT]]"


def forecast(link: Link, request: Request[TaskT, ResultT]) -> Work[TaskT, ResultT]:
    """Say what a task would take, without going through it."""
    yield None
    try:
        return Answer(forecast=request.build().forecast())
    except Exception as error:
        return Answer(error=error)


def start(link: Link, request: Request[TaskT, ResultT]) -> Work[TaskT, ResultT]:
    """Build a task and go through it."""
    yield None
    try:
        task = request.build()
        predicted = task.forecast() if request.has_forecast else None
    except Exception as error:
        return Answer(error=error)
    yield Update(task=task, forecast=predicted)
    return (yield from advance(link, request, task))


def advance(link: Link, request: Request[TaskT, ResultT], task: TaskT) -> Work[TaskT, ResultT]:
    """Go through a task to its end."""
    error = yield from go_through(link, request, task)
    return _answer(link, request, task, error)


def go_through(
    link: Link, request: Request[TaskT, ResultT], task: TaskT
) -> Generator[Update[TaskT] | None, None, Exception | None]:
    """Go through a task to its end, and return the error that ended it, if there was one."""
    try:
        for progress in task:
            preview = request.preview(task, progress, time.perf_counter() >= link.next_preview)
            if preview is not None:
                link.next_preview = math.inf  # until this one has been shown
            yield Update(progress=progress, preview=preview)
            while not link.is_allowed.wait(PAUSE_SECONDS):
                yield None
    except Exception as error:
        return error
    return None


def _answer(link: Link, request: Request[TaskT, ResultT], task: TaskT, error: Exception | None) -> Answer[ResultT]:
    """Prepare in the worker's thread all that takes time."""
    if link.is_stopping and not task.has_result:  # the user stopped it before there was anything to keep
        return Answer(error=error or FitError("Stopped before there was anything to keep."))
    try:
        result = task.result()
        return Answer(result, request.report(result), request.details(task, result), error=error)
    except Exception as caught:
        return Answer(error=error or caught)
