"""What is asked of a denoising, and what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import ArrayLike, removed
from napari_convgen.core.snapshot import Snapshot
from napari_convgen.viewer.layers.frame import part_name, take_part
from napari_convgen.viewer.worker.job import N_SPARED_THREADS
from napari_convgen.viewer.worker.work import Request

if TYPE_CHECKING:
    from napari_convgen.run.denoise.result import DenoiseResult
    from napari_convgen.run.denoise.run import DenoiseTask


@dataclass(frozen=True)
class Outputs:
    """Layers that a run leaves beside its result.

    Attributes
    ----------
    has_snapshots
        True for a layer of the images of the fit; the default.
    has_residual
        True for a layer of the input minus the result; by default False.
    has_expected_error
        True for a layer of the error to expect at each pixel, if the run has several seeds; by default False.
    """

    has_snapshots: bool = True
    has_residual: bool = False
    has_expected_error: bool = False


@dataclass(frozen=True, eq=False)
class Details:
    """What is shown beside the result.

    Attributes
    ----------
    snapshots
        Snapshots of the fit; none if they are not wanted.
    residual
        Input minus result; ``None`` if it is not wanted.
    """

    snapshots: Sequence[Snapshot]
    residual: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class DenoiseRequest(Request["DenoiseTask", "DenoiseResult"]):
    """What is asked of a denoising.

    Attributes
    ----------
    config
        Configuration of the run.
    outputs
        Layers that are wanted beside the result.
    reference
        Ground truth to score against, in the shape of the image; ``None`` by default.
    """

    config: Config
    outputs: Outputs = Outputs()
    reference: ArrayLike | None = None

    def of_part(self, index: Sequence[slice]) -> DenoiseRequest:
        """Return what is asked of a part of the image alone, whose layers are named by it.

        Parameters
        ----------
        index
            What is taken along each axis.
        """
        source, part = self.source, take_part(self.source, index)
        named = replace(part, name=part_name(source.name, source.axes, source.data.shape, index))
        reference = None if self.reference is None else self.reference[tuple(index)]
        return replace(self, source=named, reference=reference)

    @property
    def title(self) -> str:
        """Title of the progress bar."""
        return f"Denoising {self.source.name}"

    def build(self) -> DenoiseTask:
        """Return the task, its input checked."""
        from napari_convgen.run.denoise.run import DenoiseTask

        task = DenoiseTask(
            self.source.image,
            self.config,
            reference=self.reference,
            n_spared_threads=N_SPARED_THREADS,
        )
        self.source.check_result(task.prepared.result_type.dtype)
        return task

    def preview(self, task: DenoiseTask, progress: Any, is_due: bool) -> Any:
        """Return the frame under way as it looks now."""
        return task.preview() if is_due else None

    def report(self, result: DenoiseResult) -> Mapping[str, Any]:
        """Return the report of a result, with what it was made from."""
        return {**result.report(), "input": self.source.identity}

    def details(self, task: DenoiseTask, result: DenoiseResult) -> Details:
        """Return the snapshots and the residual, if they are wanted."""
        return details_of(result, self.outputs)


def details_of(result: DenoiseResult, outputs: Outputs) -> Details:
    """Return the snapshots and the residual of a result, as far as they are wanted."""
    has_course = len(result.snapshots) > 1  # a single one is the result
    snapshots = result.snapshots if outputs.has_snapshots and has_course else ()
    residual = removed(result.input, result.image) if outputs.has_residual else None
    return Details(snapshots, residual)
