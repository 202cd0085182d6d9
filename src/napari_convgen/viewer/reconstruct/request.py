"""What is asked of a reconstruction, and what is shown of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import magnitude
from napari_convgen.core.snapshot import Snapshot
from napari_convgen.viewer.reconstruct.measured import Measured
from napari_convgen.viewer.reconstruct.problems import PROBLEMS
from napari_convgen.viewer.worker.job import N_SPARED_THREADS
from napari_convgen.viewer.worker.work import Request

if TYPE_CHECKING:
    from napari_convgen.run.reconstruct.result import ReconstructResult
    from napari_convgen.run.reconstruct.run import ReconstructTask


@dataclass(frozen=True)
class Outputs:
    """Layers that a run leaves beside its result.

    Attributes
    ----------
    has_snapshots
        True for a layer of the generator's images during the fit; the default.
    has_generator_image
        True for a layer of the generator's image at the step that is kept; by default False.
    has_residual
        True for a layer of the measurement that the result predicts, minus the actual one, of scans of its logarithm over k-space, of a
        phase each of its images; by default False.
    has_baseline
        True for a layer of a classical image of the measurement; by default False.
    """

    has_snapshots: bool = True
    has_generator_image: bool = False
    has_residual: bool = False
    has_baseline: bool = False


@dataclass(frozen=True, eq=False)
class Details:
    """What is shown, with the axes of the measurement's layer; what is not wanted is empty or ``None``.

    Attributes
    ----------
    image, generator_image, baseline
        Images of the reconstruction, of the generator, and by a classical method.
    snapshots
        Images of the generator during the fit.
    residual
        Predicted measurement minus the actual one; of scans complex, over the coils and k-space, of a phase a stack of images.
    phase, coil_maps
        Phase of the image in radians, and magnitude of the sensitivity of each coil; ``None``, the default, but for scans.
    """

    image: NDArray[Any]
    snapshots: Sequence[Snapshot]
    generator_image: NDArray[Any] | None
    baseline: NDArray[Any] | None
    residual: NDArray[Any] | None
    phase: NDArray[Any] | None = None
    coil_maps: NDArray[Any] | None = None


@dataclass(frozen=True, eq=False)
class ReconstructRequest(Request["ReconstructTask", "ReconstructResult"]):
    """What is asked of a reconstruction.

    Attributes
    ----------
    config
        Configuration of the run, with the operator of the problem.
    measured
        The problem, and what it needs.
    outputs
        Layers that are wanted beside the result.
    """

    config: Config
    measured: Measured
    outputs: Outputs = Outputs()

    @property
    def title(self) -> str:
        """Title of the progress bar."""
        return f"{PROBLEMS[self.measured.problem].title}: {self.source.name}"

    @property
    def rounds_colors(self) -> bool:
        """True if colors are rounded to the layer's integers: napari shows others from 0 to 1 only."""
        return bool(self.source.look["rgb"]) and np.dtype(self.source.data.dtype).kind in "ui"

    def build(self) -> ReconstructTask:
        """Return the task, its input checked."""
        from napari_convgen.run.reconstruct.run import ReconstructTask

        measured = self.measured
        task = ReconstructTask(
            measured.image(self.source), self.config, n_spared_threads=N_SPARED_THREADS, **measured.inputs()
        )
        if self.outputs.has_baseline:
            task.check_baseline()
        return task

    def preview(self, task: ReconstructTask, progress: Any, is_due: bool) -> Any:
        """Return the generator's image as it is now."""
        image = task.preview() if is_due else None
        return None if image is None else self._as_shown(image)

    def details(self, task: ReconstructTask, result: ReconstructResult) -> Details:
        """Return what is shown of a result."""
        wanted = self.outputs
        has_course = wanted.has_snapshots and len(result.snapshots) > 1  # a single one is the generator's image
        return Details(
            image=self._as_shown(result.image),
            snapshots=[self._snapshot_as_shown(each) for each in result.snapshots] if has_course else (),
            generator_image=self._as_shown(result.generator_image) if wanted.has_generator_image else None,
            baseline=self._as_shown(task.baseline()) if wanted.has_baseline else None,
            residual=self._residual(result) if wanted.has_residual else None,
            phase=np.angle(result.image) if np.iscomplexobj(result.image) else None,
            coil_maps=np.abs(result.extras["coil_maps"]) if "coil_maps" in result.extras else None,
        )

    def _as_shown(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return an image in values that napari can show: the magnitude of a complex one."""
        image = magnitude(image)
        if not (self.rounds_colors and image.dtype.kind == "f"):
            return image
        own = np.dtype(self.source.data.dtype)
        rounded: NDArray[Any] = np.rint(np.nan_to_num(image)).clip(np.iinfo(own).min, np.iinfo(own).max).astype(own)
        return rounded

    def _snapshot_as_shown(self, snapshot: Snapshot) -> Snapshot:
        iterate, average = (self._as_shown(each) for each in (snapshot.iterate, snapshot.average))
        return replace(snapshot, iterate=iterate, average=average)

    def _residual(self, result: ReconstructResult) -> NDArray[Any]:
        """Return the residual with the axes of the layer; of scans as it is."""
        layout, residual = result.layout, result.residual
        if self.measured.problem == "sense":
            return residual
        if self.measured.problem != "inpaint":  # its channels come first
            channel = layout.frame_channel
            residual = residual[0] if channel is None else np.moveaxis(residual, 0, channel)
        return np.expand_dims(residual, layout.frame_axes()) if residual.ndim < len(layout.axes) else residual
