"""One comparison of fits at a time, and the layers that come of it."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from psygnal import Signal

from napari_convgen.config import Config
from napari_convgen.core.snapshot import Snapshot
from napari_convgen.errors import InputError
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.viewer.denoise.session import MAX_DISPLAY_SHARE, PREVIEW_SECONDS, State
from napari_convgen.viewer.image_vs_noise.layers import FitsLayers
from napari_convgen.viewer.layers.door import LayerInput
from napari_convgen.viewer.worker.job import N_SPARED_THREADS, Job, Link, notify

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.image_vs_noise.result import CompareFitsResult
    from napari_convgen.run.image_vs_noise.run import CompareFitsProgress, CompareFitsTask

MOST_SECONDS = 3.0
"""Between two looks at the images: the first takes long, as layers are added for it."""

Snapshots = Mapping[str, tuple[Snapshot, ...]]


@dataclass(frozen=True, eq=False)
class _Update:
    """Where the run is, and now and then its snapshots so far."""

    progress: CompareFitsProgress
    snapshots: Snapshots | None


@dataclass(frozen=True, eq=False)
class _Answer:
    """The result with its report, or the error that ended the run."""

    result: CompareFitsResult | None = None
    report: Mapping[str, Any] | None = None
    error: Exception | None = None


def _fit(
    link: Link, source: LayerInput, config: Config, targets: TargetsConfig, reference: Any
) -> Generator[CompareFitsTask | _Update | None, None, _Answer]:
    """Go through a run in the worker's thread, where torch is loaded too."""
    try:
        from napari_convgen.run.image_vs_noise.run import CompareFitsTask

        run = CompareFitsTask(
            source.data,
            config,
            axes=source.axes,
            reference=reference,
            n_spared_threads=N_SPARED_THREADS,
            targets=targets,
        )
    except Exception as error:
        return _Answer(error=error)
    yield run
    try:
        for progress in run:
            snapshots = None
            if progress.moment is not None and time.perf_counter() >= link.next_preview:
                link.next_preview = math.inf  # until these have been shown
                snapshots = run.snapshots()
            yield _Update(progress, snapshots)
            while not link.may_go.wait(0.05):
                yield None
        result = run.result()
        return _Answer(result, result.report())
    except Exception as error:
        return _Answer(error=error)


class FitsSession:
    """Runs comparisons of fits for one viewer.

    Parameters
    ----------
    viewer
        Its layers are read and added to, and shown side by side.

    Attributes
    ----------
    state
        What it is doing.
    result
        Of the last run.
    layers
        Of the last run; ``None`` before the first.
    run
        The present or last run; ``None`` while it is loaded.
    """

    state_changed = Signal(State)
    progressed = Signal(object)  # CompareFitsProgress
    finished = Signal(object)  # CompareFitsResult, or None after a cancel or an error
    step_changed = Signal()  # on screen

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.state = State.IDLE
        self.result: CompareFitsResult | None = None
        self.layers: FitsLayers | None = None
        self.run: CompareFitsTask | None = None
        self._job: Job | None = None
        viewer.dims.events.point.connect(self._follow_slider)

    @property
    def is_busy(self) -> bool:
        """Whether a run is under way, paused ones included."""
        return self.state is not State.IDLE

    def start(self, source: LayerInput, config: Config, targets: TargetsConfig, reference: Any = None) -> None:
        """Start a run.

        Parameters
        ----------
        source
            From `napari_convgen.viewer.layers.door.read_layer`.
        config
            Of the generator and the targets.
        reference
            Ground truth array: a target of its own.

        Raises
        ------
        InputError
            A run is under way.
        """
        if self.is_busy:
            raise InputError("A run is under way. Wait for it, stop it or cancel it first.")
        self.result = self.run = None
        self.layers = FitsLayers(self.viewer, source)
        self._set_state(State.LOADING)
        self._job = Job(
            f"Fitting {source.name} and noise",
            _fit,
            source,
            config,
            targets,
            reference,
            on_message=self._on_message,
            on_answer=self._on_answer,
        )

    def pause(self) -> None:
        """Hold the run; `resume` takes it up again."""
        if self.state is State.RUNNING and self._job is not None:
            self._job.link.may_go.clear()
            self._set_state(State.PAUSED)

    def resume(self) -> None:
        """Go on after a pause."""
        if self.state is State.PAUSED and self._job is not None:
            self._job.link.may_go.set()
            self._set_state(State.RUNNING)

    def stop(self) -> None:
        """End the run after its next step and keep what there is; before its first step, cancel it."""
        if self.run is None:
            self.cancel()
        elif self._job is not None:
            self.run.stop()
            self._job.link.may_go.set()
            self._set_state(State.STOPPING)

    def cancel(self) -> None:
        """End the run at once and leave the viewer as it was before it."""
        if self._job is not None:
            self._job.leave()
            self._give_up()

    def _set_state(self, state: State) -> None:
        self.state = state
        self.state_changed.emit(state)

    def _follow_slider(self) -> None:
        if self.layers is not None and self.layers.layers:
            self.layers.name_steps()
            self.step_changed.emit()

    def _on_message(self, message: CompareFitsTask | _Update) -> None:
        if not isinstance(message, _Update):
            self.run = message
            self._set_state(State.RUNNING)
            return
        assert self._job is not None
        where = message.progress
        if message.snapshots is not None:
            assert self.layers is not None
            started = time.perf_counter()
            self.layers.show(message.snapshots)
            now = time.perf_counter()
            wait = min(MOST_SECONDS, max(PREVIEW_SECONDS, (now - started) / MAX_DISPLAY_SHARE))
            self._job.link.next_preview = now + wait
        self.progressed.emit(where)
        self._job.show_progress(where.step / where.n_steps)

    def _on_answer(self, answer: _Answer) -> None:
        if answer.result is None or answer.report is None:
            self._give_up()
        else:
            assert self.layers is not None
            self._job = None
            self.result = answer.result
            self.layers.show({target.name: target.snapshots for target in answer.result.targets})
            self.layers.tell(answer.report)
            self.layers.point_to(answer.result.first_step("image") or answer.result.steps[-1])
            for note in answer.result.notes:
                show_info(note)
            self._set_state(State.IDLE)
            self.finished.emit(answer.result)
        if answer.error is not None:
            notify(answer.error)

    def _give_up(self) -> None:
        """Take back what the run has shown."""
        assert self.layers is not None
        self._job = self.run = None
        self.layers.undo()
        self._set_state(State.IDLE)
        self.finished.emit(None)
