"""What the fit of one frame returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.snapshot import Snapshot, StopReason
from napari_convgen.core.stopping import ErrorEstimate, Judgment


@dataclass(frozen=True, eq=False)
class FrameResult:
    """The fit of one frame, or of a tile of one.

    Attributes
    ----------
    number
        Number of the frame or tile, from 0, among all.
    index
        Index that takes the frame, or tile, out of the input.
    step
        Step that is kept.
    reason
        Reason why the fit ended.
    seed
        Seed of the start that led here: the configuration's, or a later one after a restart.
    loss, criterion
        Loss and criterion by step, from step 1; the criterion is NaN where the rule has none.
    snapshots
        Snapshots in the frame's shape; the one at ``step`` is among them.
    noise
        Model of the frame's noise; ``None`` if it was fitted as it is.
    interval
        First and last step that the rule could not tell from the best; ``None`` if the rule names none.
    votes
        Step that each rule would keep, by its name.
    error
        Estimated mean squared error of the image at the step that the rule chose, that of rounding to integers included, in the image's
        units squared; ``None`` if it is not known.
    """

    number: int
    index: tuple[int | slice, ...]
    step: int
    reason: StopReason
    seed: int
    loss: tuple[float, ...]
    criterion: tuple[float, ...]
    snapshots: tuple[Snapshot, ...]
    noise: NoiseModel | None = None
    interval: tuple[int, int] | None = None
    votes: Mapping[str, int] = field(default_factory=dict)
    error: ErrorEstimate | None = None

    @classmethod
    def of(
        cls,
        fit: Fit,
        judgment: Judgment,
        reason: StopReason,
        number: int,
        index: tuple[int | slice, ...],
        seed: int,
        noise: NoiseModel | None,
        error: ErrorEstimate | None,
    ) -> FrameResult:
        """Return the result of a fit that has ended; parameters are attributes, or what the fit says of itself."""
        return cls(
            number=number,
            index=index,
            step=fit.kept_step,
            reason=reason,
            seed=seed,
            loss=tuple(fit.curves.loss),
            criterion=tuple(fit.curves.criterion),
            snapshots=tuple(fit.snapshots),
            noise=noise,
            interval=judgment.interval,
            votes=judgment.votes,
            error=error,
        )

    @property
    def image(self) -> NDArray[Any]:
        """The frame, denoised."""
        return self.at(self.step).image

    @property
    def expected_error(self) -> NDArray[np.float32] | None:
        """Standard deviation of the error that is expected at each pixel, in the image's units; ``None`` for a single generator."""
        return self.at(self.step).expected_error

    def at(self, step: int) -> Snapshot:
        """Return the latest snapshot not after ``step``, or the first."""
        return max((s for s in self.snapshots if s.step <= step), key=lambda s: s.step, default=self.snapshots[0])
