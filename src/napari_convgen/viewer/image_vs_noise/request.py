"""What is asked of fits to an image and to noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import ArrayLike
from napari_convgen.core.snapshot import Snapshot
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.viewer.reconstruct.inputs import Measured
from napari_convgen.viewer.worker.job import N_SPARED_THREADS
from napari_convgen.viewer.worker.work import Request

if TYPE_CHECKING:
    from napari_convgen.run.image_vs_noise.result import CompareFitsResult  # noqa: F401  # in the base's brackets
    from napari_convgen.run.image_vs_noise.run import CompareFitsProgress, CompareFitsTask


@dataclass(frozen=True, eq=False)
class Preview:
    """What is shown of fits under way.

    Attributes
    ----------
    noise
        Noise that is fitted.
    snapshots
        Snapshots of each fit, by the name of its target.
    """

    noise: NDArray[Any]
    snapshots: Mapping[str, tuple[Snapshot, ...]]


@dataclass(frozen=True, eq=False)
class FitsRequest(Request["CompareFitsTask", "CompareFitsResult"]):
    """What is asked of fits to an image and to noise.

    Attributes
    ----------
    config
        Configuration of the generator and its fit.
    targets
        What the generator is fitted to beside the image.
    reference
        Ground truth in the shape of the image, which is a target of its own; ``None`` by default.
    measured
        What the image is the measurement of; ``None``, the default, for the image itself.
    """

    config: Config
    targets: TargetsConfig = field(default_factory=TargetsConfig)
    reference: ArrayLike | None = None
    measured: Measured | None = None

    @property
    def title(self) -> str:
        """Title of the progress bar."""
        return f"Fitting {self.source.name} and noise"

    def build(self) -> CompareFitsTask:
        """Return the task, its input checked."""
        from napari_convgen.run.image_vs_noise.run import CompareFitsTask

        return CompareFitsTask(
            self.source.image,
            self.config,
            reference=self.reference,
            n_spared_threads=N_SPARED_THREADS,
            targets=self.targets,
            **({} if self.measured is None else self.measured.inputs()),
        )

    def preview(self, task: CompareFitsTask, progress: CompareFitsProgress, is_due: bool) -> Preview | None:
        """Return the snapshots so far, if there is a new one."""
        return Preview(task.target("noise"), task.snapshots()) if is_due and progress.moment is not None else None
