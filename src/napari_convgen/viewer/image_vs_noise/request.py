"""What is asked of fits to an image and to noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import ArrayLike, magnitude
from napari_convgen.core.snapshot import Snapshot
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.viewer.reconstruct.measured import Measured
from napari_convgen.viewer.worker.job import N_SPARED_THREADS
from napari_convgen.viewer.worker.work import Request

if TYPE_CHECKING:
    from napari_convgen.run.image_vs_noise.progress import CompareFitsProgress
    from napari_convgen.run.image_vs_noise.result import CompareFitsResult  # noqa: F401  # in the base's brackets
    from napari_convgen.run.image_vs_noise.run import CompareFitsTask


def in_magnitudes(snapshots: Sequence[Snapshot]) -> tuple[Snapshot, ...]:
    """Return snapshots with the magnitudes of complex images, since napari shows no complex numbers."""
    return tuple(replace(each, iterate=magnitude(each.iterate), average=magnitude(each.average)) for each in snapshots)


@dataclass(frozen=True, eq=False)
class Preview:
    """What is shown of fits under way.

    Attributes
    ----------
    noise
        Noise that is fitted; ``None`` if the measurement is no image, so that it is none either.
    snapshots
        Snapshots of each fit, by the name of its target.
    """

    noise: NDArray[Any] | None
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
        The problem that the image is the measurement of, and what it needs; by default the image is fitted itself.
    """

    config: Config
    targets: TargetsConfig = field(default_factory=TargetsConfig)
    reference: ArrayLike | None = None
    measured: Measured = field(default_factory=Measured)

    @property
    def title(self) -> str:
        """Title of the progress bar."""
        return f"Fitting {self.source.name} and noise"

    def build(self) -> CompareFitsTask:
        """Return the task, its input checked."""
        from napari_convgen.run.image_vs_noise.run import CompareFitsTask

        return CompareFitsTask(
            self.measured.image(self.source),
            self.config,
            reference=self.reference,
            n_spared_threads=N_SPARED_THREADS,
            targets=self.targets,
            **self.measured.inputs(),
        )

    def preview(self, task: CompareFitsTask, progress: CompareFitsProgress, is_due: bool) -> Preview | None:
        """Return the snapshots so far, if there is a new one."""
        if not is_due or progress.moment is None:
            return None
        noise = task.target("noise") if task.look.measures_image else None
        return Preview(noise, {name: in_magnitudes(each) for name, each in task.snapshots().items()})
