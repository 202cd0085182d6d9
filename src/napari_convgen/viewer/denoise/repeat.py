"""More steps for a run whose networks are gone: its own steps are taken again first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_convgen.errors import FitError
from napari_convgen.viewer.denoise.request import DenoiseRequest
from napari_convgen.viewer.worker import work
from napari_convgen.viewer.worker.job import Link

if TYPE_CHECKING:
    from napari_convgen.run.denoise.result import DenoiseResult
    from napari_convgen.run.denoise.run import DenoiseTask


def repeat(
    link: Link, request: DenoiseRequest, ended: DenoiseResult, n_steps: int, from_step: int | None
) -> work.Work[DenoiseTask, DenoiseResult]:
    """Take the steps of a run again, and then more; a stop before these leaves the run as it was.

    Parameters
    ----------
    link
        What the viewer's thread says.
    request
        Request of the run, with the configuration that reproduces it.
    ended
        Result of the run as it ended.
    n_steps
        Number of steps to add.
    from_step
        Step to go back to first; ``None`` for the end.
    """
    yield None
    try:
        task = request.build()
    except Exception as error:
        return work.Answer(error=error)
    yield work.Update(task=task)
    failure = yield from work.go_through(link, request, task)
    if failure is not None or link.is_stopping:
        return work.Answer(error=failure)
    try:
        check_same(task.result(), ended)
        task.extend(n_steps, from_step)
    except Exception as error:
        return work.Answer(error=error)
    return (yield from work.advance(link, request, task))


def check_same(again: DenoiseResult, ended: DenoiseResult) -> None:
    """Refuse to go on from another image than that of the run.

    Raises
    ------
    FitError
        The images differ.
    """
    if not np.array_equal(again.image, ended.image, equal_nan=True):
        raise FitError(
            f"The steps of the run, which was made on {ended.device} ({ended.backend}), were taken again on {again.device} "
            f"({again.backend}) and gave another image: only the same version on the same kind of machine gives the same bits. The run is "
            "left as it is. Press Run for a new one with its settings."
        )
