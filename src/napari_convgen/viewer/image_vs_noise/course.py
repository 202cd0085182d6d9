"""The course of fits to an image and to noise, and its plots: while they are under way, and afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.figures.panel import Plot
from napari_convgen.run.image_vs_noise.panels import distance_plot, error_plot

if TYPE_CHECKING:
    from napari_convgen.run.image_vs_noise.progress import Moment
    from napari_convgen.run.image_vs_noise.result import CompareFitsResult
    from napari_convgen.run.image_vs_noise.run import CompareFitsTask


@dataclass(frozen=True, eq=False)
class Course:
    """What was noted at the steps of fits.

    Attributes
    ----------
    names
        Names of the targets.
    layers
        Names of the generator's layers.
    steps
        Steps at which something was noted, rising; at least one.
    losses, errors
        Share of each target's variance that is left, and distance from the clean image; shape (targets, steps).
    distances
        Relative distance of each layer's weights from their start; shape (targets, steps, layers).
    """

    names: tuple[str, ...]
    layers: tuple[str, ...]
    steps: tuple[int, ...]
    losses: NDArray[Any]
    errors: NDArray[Any]
    distances: NDArray[Any]

    @classmethod
    def of_moments(cls, task: CompareFitsTask, moments: Sequence[Moment]) -> Course:
        """Gather what was noted so far."""
        return cls(
            task.names,
            task.layers,
            tuple(moment.step for moment in moments),
            np.array([moment.losses for moment in moments]).T,
            np.array([moment.errors for moment in moments]).T,
            np.array([moment.distances for moment in moments]).swapaxes(0, 1),
        )

    @classmethod
    def of_result(cls, result: CompareFitsResult) -> Course:
        """Take the course from a result."""
        return cls(
            tuple(target.name for target in result.targets),
            result.layers,
            result.steps,
            np.array([target.losses for target in result.targets]),
            np.array([target.errors for target in result.targets]),
            np.array([target.distances for target in result.targets]),
        )

    def plots(self, step: int | None) -> tuple[Plot, Plot]:
        """Return the plot of what is left by step, and that of the weights' distances at one step.

        Parameters
        ----------
        step
            Step that is marked; the last if nothing was noted at it.
        """
        position = self.steps.index(step) if step in self.steps else len(self.steps) - 1
        step = self.steps[position]
        curves = error_plot(list(zip(self.names, self.losses, self.errors, strict=True)), self.steps)
        marked = replace(curves, title=f"Left to fit (line: step {step})", marks=[("", step)])
        distances = [(name, of_target[position]) for name, of_target in zip(self.names, self.distances, strict=True)]
        return marked, distance_plot(distances, self.layers, step)
