"""One look at a Jacobian at a time, and the layers that come of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.notifications import show_info
from psygnal import Signal

from napari_convgen.config import Config
from napari_convgen.errors import InputError
from napari_convgen.viewer.layers.door import LayerInput
from napari_convgen.viewer.spectrum.layers import SpectrumLayers
from napari_convgen.viewer.worker.job import N_SPARED_THREADS, Job, Link, notify

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.spectrum.progress import SpectrumForecast, SpectrumProgress
    from napari_convgen.run.spectrum.result import SpectrumResult
    from napari_convgen.run.spectrum.run import SpectrumTask


@dataclass(frozen=True)
class Wishes:
    """What of the Jacobian is wanted; see `napari_convgen.run.spectrum.run.SpectrumTask`.

    Attributes
    ----------
    rank, n_passes, at_steps, groups
        As of `SpectrumTask`.
    has_grid
        Whether the layers shall lie side by side.
    """

    rank: int = 100
    n_passes: int = 2
    at_steps: tuple[int, ...] = (0,)
    groups: tuple[str, ...] = ("convolutions", "norms", "output")
    has_grid: bool = True


@dataclass(frozen=True, eq=False)
class _Answer:
    """The result, or the error that ended the run; nothing after a forecast that went well."""

    result: SpectrumResult | None = None
    error: Exception | None = None


@dataclass(frozen=True, eq=False)
class _Update:
    """One of: what the run will take, the run before it starts, where it is."""

    forecast: SpectrumForecast | None = None
    run: SpectrumTask | None = None
    progress: SpectrumProgress | None = None


_Work = Generator[_Update | None, None, _Answer]


def _look(link: Link, source: LayerInput, config: Config, wishes: Wishes, is_forecast: bool) -> _Work:
    """Foresee what a run takes and go through it, in the worker's thread, where torch is loaded too."""
    yield None
    try:
        from napari_convgen.run.spectrum.run import SpectrumTask

        run = SpectrumTask(
            np.asarray(source.data),
            config,
            axes=source.axes,
            rank=wishes.rank,
            n_passes=wishes.n_passes,
            at_steps=wishes.at_steps,
            groups=wishes.groups,  # type: ignore[arg-type]  # checked there
            n_spared_threads=N_SPARED_THREADS,
        )
        forecast = run.forecast()
    except Exception as error:
        return _Answer(error=error)
    yield _Update(forecast=forecast)
    if is_forecast:
        return _Answer()
    yield _Update(run=run)
    try:
        for progress in run:
            yield _Update(progress=progress)
        return _Answer(run.result())
    except Exception as error:
        return _Answer(error=error)


class SpectrumSession:
    """Looks at Jacobians for one viewer.

    Parameters
    ----------
    viewer
        Its layers are added to.

    Attributes
    ----------
    result, layers
        Of the last run that came to something.
    """

    state_changed = Signal()
    forecasted = Signal(object)  # SpectrumForecast
    progressed = Signal(object)  # SpectrumProgress
    finished = Signal(object)  # SpectrumResult, or None after a cancel or an error

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.result: SpectrumResult | None = None
        self.layers: SpectrumLayers | None = None
        self._source: LayerInput | None = None
        self._wishes = Wishes()
        self._run: SpectrumTask | None = None
        self._job: Job | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a run or a forecast is under way."""
        return self._job is not None

    @property
    def can_stop(self) -> bool:
        """Whether `stop` would leave something: a step has been looked at to its end."""
        return self.is_busy and self._run is not None and self._run.has_result

    def run(self, source: LayerInput, config: Config, wishes: Wishes, is_forecast: bool = False) -> None:
        """Start a run.

        Parameters
        ----------
        source
            A single frame, see `napari_convgen.viewer.spectrum.layers.take_frame`.
        config
            Of the generator and its fit.
        wishes
            What is wanted of its Jacobian.
        is_forecast
            End when it is known what time and memory it takes.

        Raises
        ------
        InputError
            A run is under way.
        """
        if self.is_busy:
            raise InputError("A run is under way. Wait for it, stop it or cancel it first.")
        self._source, self._wishes, self._run = source, wishes, None
        title = f"{'Trying' if is_forecast else 'Looking at'} {source.name}"
        self._job = Job(
            title,
            _look,
            source,
            config,
            wishes,
            is_forecast,
            on_message=self._on_message,
            on_answer=self._on_answer,
        )
        self.state_changed.emit()

    def stop(self) -> None:
        """End soon, and keep the steps that were looked at to their end; without any, cancel."""
        if self.can_stop and self._run is not None:
            self._run.stop()
        else:
            self.cancel()

    def cancel(self) -> None:
        """End at once; the viewer stays as it was, since layers are added at the end."""
        if self._job is not None:
            self._job.leave()
            self._end()
            self.finished.emit(None)

    def _end(self) -> None:
        self._job = self._run = None
        self.state_changed.emit()

    def _on_message(self, message: _Update) -> None:
        if message.forecast is not None:
            self.forecasted.emit(message.forecast)
        if message.run is not None:
            self._run = message.run
            self.state_changed.emit()
        if message.progress is not None:
            assert self._job is not None
            self._job.show_progress(message.progress.n_done / message.progress.n_total)
            self.progressed.emit(message.progress)

    def _on_answer(self, answer: _Answer) -> None:
        self._end()
        if answer.result is not None:
            assert self._source is not None
            self.result = answer.result
            self.layers = SpectrumLayers(self.viewer, self._source, answer.result)
            self.layers.add(self._wishes.has_grid)
            for note in answer.result.notes:
                show_info(note)
        if answer.result is not None or answer.error is not None:
            self.finished.emit(answer.result)
        if answer.error is not None:
            notify(answer.error)
