"""The state of fits to an image and to noise while they run."""

from __future__ import annotations

from dataclasses import dataclass

from napari_convgen.run.labels import describe_search
from napari_convgen.run.task import Progress


@dataclass(frozen=True)
class Moment:
    """What was noted at a step; one value for each target, in their order.

    Attributes
    ----------
    step
        Number of the step, from 1.
    losses, errors
        Losses and errors of the targets, as in `napari_convgen.run.image_vs_noise.result.TargetFit`.
    distances
        Relative distance of each layer's weights from their start after the step.
    """

    step: int
    losses: tuple[float, ...]
    errors: tuple[float, ...]
    distances: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class CompareFitsProgress(Progress):
    """The state of the fits.

    Attributes
    ----------
    step, n_steps
        Step of all fits, from 1, and number of steps.
    moment
        What was noted at this step; ``None`` if nothing was.
    before, found
        Share of the work that comes before the fits, to find out about the instrument, and share of that which is done; default 0.
    """

    step: int
    n_steps: int
    moment: Moment | None
    before: float = 0.0
    found: float = 0.0

    @property
    def share(self) -> float:
        """Share of the work that is done, 0 to 1."""
        return self.before * self.found + (1 - self.before) * self.step / self.n_steps

    @property
    def is_finding(self) -> bool:
        """True before the fits, while the instrument is being found."""
        return self.before > 0 and self.step == 0

    def __str__(self) -> str:
        """Say where it is, for the user."""
        return describe_search(self.found) if self.is_finding else f"Step {self.step} of {self.n_steps}."
