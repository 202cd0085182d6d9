"""Figure 11: the two-layer generator fits a step sooner than noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convgen.core.theory.induced_filter import induced_filter
from napari_convgen.core.theory.kernels import normalized, triangular
from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.reproduction.least_squares import visible
from napari_convgen.reproduction.study import Claim, Study
from napari_convgen.reproduction.two_layer import Vector, descend, predicted_residuals, two_layer

SMALL, LARGE = (128, 512), (256, 1024)
"""Samples and channels in quick and in full size. Our choice: the paper names neither."""

HALF_WIDTH = 5
"""Half-width of the triangular kernel in samples. Our choice: the paper does not name it."""

N_FIT_STEPS = 6000
"""Steps. Our choice: enough for noise to be fitted."""

LEVELS = (0.5, 0.1)
"""Relative residuals at which the fits of a step and of noise are compared. Our choice."""

RATIO = 100
"""Ratio of the steps of noise to those of the step, from the paper's figure."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Fits of both targets.

    Attributes
    ----------
    targets
        Vectors that are fitted: ``"step"`` and ``"noise"``.
    residuals
        Norm of the residual over that of the target, before each step and after the last.
    predicted
        The same for infinitely many channels.
    """

    targets: Mapping[str, Vector]
    residuals: Mapping[str, Vector]
    predicted: Mapping[str, Vector]


class Figure11(Study[Measured]):
    """Fit a step and noise of the same norm, and count the steps that each takes.

    References
    ----------
    Figure 11.
    """

    @property
    def size(self) -> tuple[int, int]:
        """Samples and channels."""
        return LARGE if self.setting.is_full else SMALL

    def measure(self) -> Measured:
        """Fit each target."""
        n, n_channels = self.size
        kernel = normalized(triangular((n,), HALF_WIDTH))
        descent = induced_filter(kernel)
        noise = np.random.default_rng(0).standard_normal(n)
        targets = {"step": np.where(np.arange(n) < n // 2, 0.0, 1.0), "noise": noise}
        targets = {name: target / np.sqrt(np.mean(target**2)) for name, target in targets.items()}
        residuals = {}
        for i, (name, target) in enumerate(targets.items()):
            self.setting.report_progress(f"fitting the {name}", i / 2)
            images = descend(two_layer(kernel, target, n_channels, seed=0), target, descent.rate, N_FIT_STEPS)
            residuals[name] = np.array([float(np.linalg.norm(image - target)) for image in images]) / np.sqrt(n)
        steps = np.arange(N_FIT_STEPS + 1)
        predicted = {
            name: predicted_residuals(descent, -target, steps) / np.sqrt(n) for name, target in targets.items()
        }
        return Measured(targets, residuals, predicted)

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare the steps to each level."""
        step, noise = (_steps_to_levels(measured.residuals[name]) for name in ("step", "noise"))
        return [
            Claim(
                "the step is fitted much sooner than noise",
                f"a residual of {level} of the target's norm: {_count(step[level])} for the step, "
                f"{_count(noise[level])} for noise",
                f"more than {RATIO} times the steps",
                (noise[level] or N_FIT_STEPS) > RATIO * (step[level] or N_FIT_STEPS),
            )
            for level in LEVELS
        ]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the targets, and the residuals beside those of an infinitely wide net."""
        n, n_channels = self.size
        steps, names = np.arange(N_FIT_STEPS + 1)[1:], list(measured.targets)
        return [
            Plot(
                "Targets",
                "sample",
                "value",
                [Curve(name, np.arange(n), target) for name, target in measured.targets.items()],
            ),
            Plot(
                f"Fit by {n_channels} channels",
                "step",
                "residual over the target's norm",
                [
                    *(Curve(name, steps, measured.residuals[name][1:]) for name in names),
                    *(
                        Curve(
                            f"{name}, infinitely many channels", steps, visible(measured.predicted[name][1:]), "dashes"
                        )
                        for name in names
                    ),
                ],
                "log",
                "log",
            ),
        ]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the steps to each level, measured and predicted."""

        def by_level(residuals: Mapping[str, Vector]) -> dict[str, dict[str, int | None]]:
            return {
                name: {str(level): step for level, step in _steps_to_levels(values).items()}
                for name, values in residuals.items()
            }

        n, n_channels = self.size
        return {
            "n": n,
            "n_channels": n_channels,
            "steps": by_level(measured.residuals),
            "predicted": by_level(measured.predicted),
        }

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        return [
            "The authors publish no code for this figure; size, kernel (a triangle, p = 5) and width are ours.",
            "Noise is fitted later than an infinitely wide net would fit it: the weights move so far that the Jacobian changes.",
        ]


def _steps_to_levels(residuals: Vector) -> dict[float, int | None]:
    """Return the first step with a residual below each level, if there is one."""
    below = {level: np.flatnonzero(residuals < level) for level in LEVELS}
    return {level: int(steps[0]) if steps.size else None for level, steps in below.items()}


def _count(step: int | None) -> str:
    return f"{step} steps" if step is not None else f"more than {N_FIT_STEPS} steps"
