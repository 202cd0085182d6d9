"""What is asked of a look at a Jacobian."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_convgen.config import Config
from napari_convgen.viewer.reconstruct.measured import Measured
from napari_convgen.viewer.worker.job import N_SPARED_THREADS
from napari_convgen.viewer.worker.work import Request

if TYPE_CHECKING:
    from napari_convgen.run.spectrum.result import SpectrumResult  # noqa: F401  # in the base's brackets
    from napari_convgen.run.spectrum.run import SpectrumTask


@dataclass(frozen=True)
class SpectrumSettings:
    """Settings of a look at a Jacobian, see `napari_convgen.run.spectrum.run.SpectrumTask`, and of its layers.

    Attributes
    ----------
    rank
        Number of singular values and vectors; 100 by default.
    n_passes
        Number of passes of the iteration that finds them; 2 by default.
    at_steps
        Steps of a fit at which the Jacobian is taken; 0, the start, by default.
    groups
        Groups of parameters that the Jacobian is taken for; all by default.
    has_grid
        True to show the layers side by side; the default.
    """

    rank: int = 100
    n_passes: int = 2
    at_steps: tuple[int, ...] = (0,)
    groups: tuple[str, ...] = ("convolutions", "norms", "output")
    has_grid: bool = True


@dataclass(frozen=True, eq=False)
class SpectrumRequest(Request["SpectrumTask", "SpectrumResult"]):
    """What is asked of a look at a Jacobian. The image is a single frame, see `napari_convgen.viewer.layers.frame.take_frame`.

    Attributes
    ----------
    config
        Configuration of the generator and its fit.
    settings
        Settings of the look at its Jacobian.
    number
        Number of the frame in the layer that it was taken from, from 0.
    stack_shape
        Shape of that layer; by default there is none.
    measured
        The problem that the image is the measurement of, and what it needs; by default the image is looked at itself.
    """

    config: Config
    settings: SpectrumSettings = SpectrumSettings()
    number: int = 0
    stack_shape: tuple[int, ...] = ()
    measured: Measured = field(default_factory=Measured)

    @property
    def title(self) -> str:
        """Title of the progress bar."""
        return f"Looking at {self.source.name}"

    @property
    def has_forecast(self) -> bool:
        """True: a forecast takes only two products with the Jacobian."""
        return True

    def build(self) -> SpectrumTask:
        """Return the task, its input checked."""
        from napari_convgen.run.spectrum.run import SpectrumTask

        settings = self.settings
        return SpectrumTask(
            self.measured.image(self.source),
            self.config,
            rank=settings.rank,
            n_passes=settings.n_passes,
            at_steps=settings.at_steps,
            groups=settings.groups,  # type: ignore[arg-type]  # checked there
            n_spared_threads=N_SPARED_THREADS,
            **self.measured.inputs(),
        )
