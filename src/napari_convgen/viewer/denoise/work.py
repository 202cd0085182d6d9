"""What the worker's thread does for a denoising. torch is loaded here, and nowhere else in the viewer."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.snapshot import Snapshot
from napari_convgen.viewer.layers.door import LayerInput, subtract
from napari_convgen.viewer.worker.job import N_SPARED_THREADS, Link

if TYPE_CHECKING:
    from napari_convgen.run.denoise.progress import DenoiseProgress
    from napari_convgen.run.denoise.result import DenoiseResult
    from napari_convgen.run.denoise.run import DenoiseTask
    from napari_convgen.run.setup.forecast import Forecast


@dataclass(frozen=True)
class Outputs:
    """Which layers a run leaves beside its result."""

    has_snapshots: bool = True
    has_residual: bool = False
    has_expected_error: bool = False


@dataclass(frozen=True, eq=False)
class Update:
    """Where the run is, and now and then the frame as it looks."""

    progress: DenoiseProgress
    preview: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Answer:
    """A forecast, or a result with its report, the error that ended it, or both if something was finished."""

    result: DenoiseResult | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    snapshots: Sequence[Snapshot] = ()
    residual: NDArray[Any] | None = None
    error: Exception | None = None
    forecast: Forecast | None = None


Work: TypeAlias = "Generator[DenoiseTask | Update | None, None, Answer]"


def start(link: Link, outputs: Outputs, source: LayerInput, config: Config, reference: NDArray[Any] | None) -> Work:
    """Run a denoising; it is yielded before its first step."""
    try:
        from napari_convgen.run.denoise.run import DenoiseTask

        run = DenoiseTask(source.data, config, axes=source.axes, reference=reference, n_spared_threads=N_SPARED_THREADS)
    except Exception as error:
        return Answer(error=error)
    yield run
    return (yield from advance(link, outputs, run))


def forecast(link: Link, source: LayerInput, config: Config) -> Work:
    """Take a few steps and tell what all will take."""
    yield None
    try:
        from napari_convgen.run.denoise.run import DenoiseTask

        run = DenoiseTask(source.data, config, axes=source.axes, n_spared_threads=N_SPARED_THREADS)
        return Answer(forecast=run.forecast())
    except Exception as error:
        return Answer(error=error)


def advance(link: Link, outputs: Outputs, run: DenoiseTask) -> Work:
    """Advance a run to its end."""
    try:
        for progress in run:
            preview = None
            if time.perf_counter() >= link.next_preview:
                link.next_preview = math.inf  # until this one has been shown
                preview = run.preview()
            yield Update(progress, preview)
            while not link.may_go.wait(0.05):
                yield None
        return _answer(run, outputs)
    except Exception as error:
        try:
            return dataclasses.replace(_answer(run, outputs), error=error)
        except Exception:  # nothing finished that could be kept
            return Answer(error=error)


def _answer(run: DenoiseTask, outputs: Outputs) -> Answer:
    """Prepare in the worker's thread all that takes time."""
    result = run.result()
    snapshots = result.snapshots if outputs.has_snapshots else ()
    residual = subtract(run.image, result.image) if outputs.has_residual else None
    return Answer(result, result.report(), snapshots, residual)
