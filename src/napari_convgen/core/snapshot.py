"""What a fit leaves behind: snapshots of the image at chosen steps, and the reason why it ended."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Output = Literal["average", "iterate"]

SPACING = 1.05
"""Each snapshot is at most this many times as late as the one before: dense early, sparse late."""


class Outcome(enum.Enum):
    """The kinds of ending."""

    RULE = "rule"
    BUDGET = "budget"
    USER = "user"
    DIVERGED = "diverged"
    COLLAPSED = "collapsed"


@dataclass(frozen=True)
class StopReason:
    """Why a fit ended.

    Attributes
    ----------
    outcome
        The kind of ending.
    sentence
        What the user reads.
    """

    outcome: Outcome
    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One step of a fit; images, loss and step come from the same forward pass.

    Attributes
    ----------
    step
        From 1.
    loss
        Mean squared error over the fitted pixels, in the generator's units.
    criterion
        Value that the stopping rule watches at this step; NaN where it watches none.
    iterate
        Output of the generator, in the input's shape, dtype and range.
    average
        Running average of the outputs up to this step, likewise.
    expected_error
        Standard deviation of the image's error that is expected at each pixel, in the input's units and shape; ``None`` for a single
        generator.
    output
        Which of the two images is ``image``.
    """

    step: int
    loss: float
    criterion: float
    iterate: NDArray[Any]
    average: NDArray[Any]
    expected_error: NDArray[np.float32] | None = None
    output: Output = "average"

    @property
    def n_bytes(self) -> int:
        """Memory of its arrays."""
        return sum(x.nbytes for x in (self.iterate, self.average, self.expected_error) if x is not None)

    @property
    def image(self) -> NDArray[Any]:
        """The image that was asked for: the average or the iterate."""
        return self.average if self.output == "average" else self.iterate


def next_snapshot_step(step: int) -> int:
    """Return the step of the snapshot after the one at ``step``."""
    return max(step + 1, int(step * SPACING))


def n_snapshots(n_steps: int) -> int:
    """Return how many snapshots a fit of so many steps takes."""
    step, n = 1, 1
    while step < n_steps:
        step, n = min(next_snapshot_step(step), n_steps), n + 1
    return n


class Units(Protocol):
    """The way from the generator's units into the user's; images have their channels first."""

    def restore(self, values: NDArray[Any]) -> NDArray[Any]:
        """Bring an output of the generator over."""
        ...

    def restore_error(self, error: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float32]:
        """Bring the standard deviation of the error of ``values`` over."""
        ...


class GeneratorUnits:
    """No way at all: images stay as they are."""

    def restore(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the output."""
        return values

    def restore_error(self, error: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the error."""
        return error.astype(np.float32)


class SnapshotStore:
    """Snapshots in the order of their steps, within a bound on memory.

    Beyond the bound every second snapshot is let go, so that what is left stays evenly spread.

    Parameters
    ----------
    max_bytes
        Bound on the bytes of all images.
    units
        Of the snapshots.
    output
        Which image the snapshots show.
    """

    def __init__(self, max_bytes: float, units: Units, output: Output) -> None:
        self.max_bytes = max_bytes
        self.units = units
        self.output = output
        self.n_dropped = 0
        self._snapshots: dict[int, Snapshot] = {}

    def __len__(self) -> int:
        return len(self._snapshots)

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(self._snapshots.values())

    def __getitem__(self, step: int) -> Snapshot:
        return self._snapshots[step]

    def get(self, step: int) -> Snapshot | None:
        """Return the snapshot of a step, if it is kept."""
        return self._snapshots.get(step)

    @property
    def steps(self) -> list[int]:
        """Steps of the snapshots that are kept."""
        return list(self._snapshots)

    def add(
        self,
        step: int,
        loss: float,
        criterion: float,
        iterate: NDArray[Any],
        average: NDArray[Any],
        expected_error: NDArray[Any] | None = None,
    ) -> None:
        """Add a snapshot later than all others; the images and the error are in the generator's units."""
        image = average if self.output == "average" else iterate
        self._snapshots[step] = Snapshot(
            step,
            loss,
            criterion,
            self.units.restore(iterate),
            self.units.restore(average),
            None if expected_error is None else self.units.restore_error(expected_error, image),
            self.output,
        )

    def cut(self, step: int) -> None:
        """Let all snapshots after a step go."""
        self._snapshots = {s: snapshot for s, snapshot in self._snapshots.items() if s <= step}

    def thin(self, keep: Sequence[int], max_bytes: float | None = None) -> None:
        """Let every second snapshot go while over the bound, but never the steps ``keep`` nor the last."""
        bound = self.max_bytes if max_bytes is None else max_bytes
        while sum(s.n_bytes for s in self) > bound:
            spared = {*keep, self.steps[-1]}
            dropped = [step for step in self.steps[1::2] if step not in spared] or [
                step for step in self.steps if step not in spared
            ]
            if not dropped:
                return
            for step in dropped:
                del self._snapshots[step]
            self.n_dropped += len(dropped)
