"""The output of a fit: snapshots of the image at certain steps, and the reason why the fit ended."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Output = Literal["average", "iterate"]

SPACING = 1.05
"""Largest ratio of the steps of a snapshot and the one before, from step 20 on; each of the first 40 steps has a snapshot.

Chosen so that some snapshot is within 3 % of any step: the error of the image hardly changes within that. A fit of 10,000 steps takes 159
snapshots."""


class Outcome(enum.Enum):
    """How a fit ended: by its stopping rule, at its last step, by the user, because it diverged, or because it collapsed."""

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
        Kind of ending.
    sentence
        Sentence for the user.
    """

    outcome: Outcome
    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One step of a fit; its images, loss and step come from the same forward pass.

    Attributes
    ----------
    step
        Number of the step, from 1.
    loss
        Mean squared error over the fitted pixels, in squared generator units.
    criterion
        Value that the stopping rule minimizes or compares at this step; NaN if it has none.
    iterate
        Output of the generator at this step, in the input's shape, dtype and range.
    average
        Running average of the outputs up to this step, in the input's shape, dtype and range.
    expected_error
        Expected standard deviation of the image's error at each pixel, in the input's units and shape; ``None`` for a single generator,
        or if none was fitted.
    output
        Name of the image that ``image`` returns: ``"average"``, the default, or ``"iterate"``.
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
        """Bytes of its arrays."""
        return sum(x.nbytes for x in (self.iterate, self.average, self.expected_error) if x is not None)

    @property
    def image(self) -> NDArray[Any]:
        """The image that was asked for: the average or the iterate."""
        return self.average if self.output == "average" else self.iterate


def next_snapshot_step(step: int) -> int:
    """Return the step of the snapshot after the one at ``step``."""
    return max(step + 1, int(step * SPACING))


def n_snapshots(n_steps: int) -> int:
    """Return the number of snapshots that a fit of ``n_steps`` steps takes."""
    step, n = 1, 1
    while step < n_steps:
        step, n = min(next_snapshot_step(step), n_steps), n + 1
    return n


class Units(Protocol):
    """The conversion from the generator's units to the user's; arrays in the generator's units have their channels first."""

    def restore(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return an output of the generator in the user's units."""
        ...

    def restore_error(self, error: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the standard deviation of the error of the output ``values`` in the user's units."""
        ...


class GeneratorUnits:
    """The conversion that leaves all values in the generator's units."""

    def restore(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the output as it is."""
        return values

    def restore_error(self, error: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the error as it is, in single precision."""
        return error.astype(np.float32)


@dataclass(frozen=True, eq=False)
class UnitsOfPart:
    """The conversion of a part of an image.

    Attributes
    ----------
    units
        Conversion of the whole image.
    part
        Index of the part, in the user's image.
    """

    units: Units
    part: tuple[int | slice, ...]

    def restore(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the part of an output in the user's units; the rest is let go."""
        return self.units.restore(values)[self.part].copy()

    def restore_error(self, error: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the part of the error in the user's units."""
        return self.units.restore_error(error, values)[self.part].copy()


class SnapshotStore:
    """Snapshots in the order of their steps, within a limit on memory.

    `thin` drops every second snapshot while they take more memory, so that those left remain evenly spread.

    Parameters
    ----------
    max_bytes
        Largest number of bytes of all images together.
    units
        Conversion from the generator's units to those of the snapshots.
    output
        Name of the image that each snapshot returns as ``image``: ``"average"`` or ``"iterate"``.
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
        """Return the snapshot of a step; ``None`` if it is not kept."""
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
        """Add a snapshot, later than all others, from images and an error in the generator's units; see `Snapshot`."""
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
        """Remove all snapshots after a step."""
        self._snapshots = {s: snapshot for s, snapshot in self._snapshots.items() if s <= step}

    def thin(self, keep: Sequence[int], max_bytes: float | None = None) -> None:
        """Remove every second snapshot while they take too much memory.

        Parameters
        ----------
        keep
            Steps whose snapshots stay; the last one stays too.
        max_bytes
            Largest number of bytes of all images; ``None``, the default, takes that of the store.
        """
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
