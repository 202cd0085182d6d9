"""One comparison of methods at a time, and the layers that come of it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_info
from numpy.typing import NDArray
from psygnal import Signal

from napari_convgen.config import Config
from napari_convgen.errors import InputError
from napari_convgen.viewer.denoise.layers import METADATA_KEY
from napari_convgen.viewer.layers.door import LayerInput, add_layer, image_layer, residual_layer, subtract
from napari_convgen.viewer.layers.grid import SideBySide
from napari_convgen.viewer.worker.job import N_SPARED_THREADS, Job, Link, notify

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.compare.progress import CompareProgress
    from napari_convgen.run.compare.result import CompareResult, MethodResult
    from napari_convgen.run.compare.run import CompareTask


@dataclass(frozen=True, eq=False)
class _Update:
    """Where the comparison is, and what the method that has just ended took away."""

    progress: CompareProgress
    residual: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class _Answer:
    """The result with its report, or the error that ended the comparison."""

    result: CompareResult | None = None
    report: Mapping[str, Any] | None = None
    error: Exception | None = None


def _compare(
    link: Link, source: LayerInput, methods: Sequence[str], config: Config, reference: Any, has_residuals: bool
) -> Generator[CompareTask | _Update, None, _Answer]:
    """Go through a comparison in the worker's thread, where torch is loaded too."""
    try:
        from napari_convgen.run.compare.run import CompareTask

        comparison = CompareTask(
            source.data,
            config,
            axes=source.axes,
            reference=reference,
            n_spared_threads=N_SPARED_THREADS,
            methods=methods,
        )
    except Exception as error:
        return _Answer(error=error)
    yield comparison
    try:
        for progress in comparison:
            image = progress.done.image if has_residuals and progress.done is not None else None
            yield _Update(progress, None if image is None else subtract(comparison.image, image))
        result = comparison.result()
        return _Answer(result, result.report())
    except Exception as error:
        return _Answer(error=error)


class ComparisonSession:
    """Runs comparisons for one viewer.

    Parameters
    ----------
    viewer
        Its layers are read and added to, and shown side by side.

    Attributes
    ----------
    result
        Of the last comparison.
    layers
        The image of each of its methods.
    residuals
        What each of them took away, if that was wanted.
    titles
        What its methods are called, by their names.
    """

    state_changed = Signal()
    progressed = Signal(object)  # CompareProgress
    finished = Signal(object)  # CompareResult, or None after a cancel or an error

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.result: CompareResult | None = None
        self.layers: dict[str, Image] = {}
        self.residuals: dict[str, Image] = {}
        self._source: LayerInput | None = None
        self.titles: Mapping[str, str] = {}
        self._side_by_side: SideBySide | None = None
        self._comparison: CompareTask | None = None
        self._job: Job | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a comparison is under way."""
        return self._job is not None

    @property
    def can_stop(self) -> bool:
        """Whether `stop` would leave the comparison what it has."""
        return self.is_busy and self._comparison is not None

    def run(
        self,
        source: LayerInput,
        titles: Mapping[str, str],
        config: Config,
        reference: Any = None,
        has_residuals: bool = False,
    ) -> None:
        """Start a comparison.

        Parameters
        ----------
        source
            From `napari_convgen.viewer.layers.door.read_layer`.
        titles
            What the layers of each method are called, by the method's name as `napari_convgen.run.compare.run` knows it.
        config
            Of the generator, and of the noise.
        reference
            Ground truth array, to score against.
        has_residuals
            Whether layers of what was taken away are wanted.

        Raises
        ------
        InputError
            A comparison is under way.
        """
        if self.is_busy:
            raise InputError("A comparison is under way. Wait for it, stop it or cancel it first.")
        self._source, self.titles = source, titles
        self.result = self._comparison = None
        self.layers, self.residuals = {}, {}
        self._side_by_side = SideBySide(self.viewer)
        self._job = Job(
            f"Comparing on {source.name}",
            _compare,
            source,
            tuple(titles),
            config,
            reference,
            has_residuals,
            on_message=self._on_message,
            on_answer=self._on_answer,
        )
        self.state_changed.emit()

    def stop(self) -> None:
        """End soon, and keep what there is: after the generator's next step, or the present frame of another method."""
        if self._comparison is not None:
            self._comparison.stop()

    def cancel(self) -> None:
        """End at once and leave the viewer as it was: its layers, its grid and its camera."""
        if self._job is None:
            return
        self._job.leave()
        self._give_up()

    def _on_message(self, message: CompareTask | _Update) -> None:
        if not isinstance(message, _Update):
            self._comparison = message
            self.state_changed.emit()
            return
        where = message.progress
        assert self._job is not None
        if where.done is not None and where.done.image is not None:
            self._show(where.done, message.residual)
        self.progressed.emit(where)
        self._job.show_progress(share_done(where))

    def _on_answer(self, answer: _Answer) -> None:
        if answer.result is None:
            self._give_up()
        else:
            self._job = None
            self.result = answer.result
            for layer in (*self.layers.values(), *self.residuals.values()):
                layer.metadata = {METADATA_KEY: answer.report}
            for note in answer.result.notes:
                show_info(note)
            self.state_changed.emit()
            self.finished.emit(answer.result)
        if answer.error is not None:
            notify(answer.error)

    def _show(self, done: MethodResult, residual: NDArray[Any] | None) -> None:
        assert self._source is not None
        assert self._side_by_side is not None
        assert done.image is not None
        title = self.titles[done.method]
        scored = title if done.scores is None else f"{title} {done.scores.psnr:.1f} dB"
        self.layers[done.method] = image_layer(self._source, done.image, f"{scored} · {self._source.name}")
        self._add(self.layers[done.method])
        if residual is not None:
            self.residuals[done.method] = residual_layer(
                self._source, residual, f"{title} residual · {self._source.name}"
            )
            self._add(self.residuals[done.method])
        self._side_by_side.show()

    def _add(self, layer: Image) -> None:
        """Add a layer with its name in its cell; where that is narrow, the start of the name shows."""
        layer.visible = True
        if hasattr(layer, "name_overlay"):  # older versions of napari have none
            layer.name_overlay.update({"visible": True, "position": "top_left", "font_size": 8})
        add_layer(self.viewer, layer)

    def _give_up(self) -> None:
        """Take back what the comparison has shown."""
        self._job = self._comparison = None
        for layer in (*self.layers.values(), *self.residuals.values()):
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self.layers, self.residuals = {}, {}
        assert self._side_by_side is not None
        self._side_by_side.undo()
        self.state_changed.emit()
        self.finished.emit(None)


def share_done(where: CompareProgress) -> float:
    """Return how much of a comparison is done, from 0 to 1; each method counts alike."""
    if where.done is not None:
        part = 1.0
    else:
        frame = where.frame if where.fit is None else where.frame + where.fit.step / where.fit.n_steps
        part = frame / where.n_frames
    return (where.position + part) / where.n_methods
