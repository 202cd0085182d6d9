"""What is asked of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import ArrayLike, removed
from napari_convgen.viewer.worker.job import N_SPARED_THREADS
from napari_convgen.viewer.worker.work import Request

if TYPE_CHECKING:
    from napari_convgen.run.compare.progress import CompareProgress
    from napari_convgen.run.compare.result import CompareResult, MethodResult  # noqa: F401  # in the base's brackets
    from napari_convgen.run.compare.run import CompareTask


@dataclass(frozen=True, eq=False)
class DoneMethod:
    """A method that has just ended.

    Attributes
    ----------
    outcome
        Outcome of the method.
    image
        Image that the method made, in the shape of the input.
    residual
        Input minus the image of the method; ``None`` if it is not wanted.
    """

    outcome: MethodResult
    image: NDArray[Any]
    residual: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class CompareRequest(Request["CompareTask", "CompareResult"]):
    """What is asked of a comparison.

    Attributes
    ----------
    config
        Configuration of the generator, and of the noise.
    titles
        Titles of the layers by method, as `napari_convgen.run.compare.run` names the methods; these methods are compared.
    reference
        Ground truth to score against, in the shape of the image; ``None`` by default.
    has_residuals
        True for a layer of the input minus the image of each method; by default False.
    """

    config: Config
    titles: Mapping[str, str]
    reference: ArrayLike | None = None
    has_residuals: bool = False

    @property
    def title(self) -> str:
        """Title of the progress bar."""
        return f"Comparing on {self.source.name}"

    def build(self) -> CompareTask:
        """Return the task, its input checked."""
        from napari_convgen.run.compare.run import CompareTask

        task = CompareTask(
            self.source.image,
            config=self.config,
            methods=tuple(self.titles),
            reference=self.reference,
            n_spared_threads=N_SPARED_THREADS,
        )
        self.source.check_result(task.prepared.result_type.dtype)
        return task

    def preview(self, task: CompareTask, progress: CompareProgress, is_due: bool) -> DoneMethod | None:
        """Return the method that has just ended, unless it failed."""
        done = progress.done
        if done is None or done.image is None:
            return None
        return DoneMethod(done, done.image, removed(task.image, done.image) if self.has_residuals else None)
