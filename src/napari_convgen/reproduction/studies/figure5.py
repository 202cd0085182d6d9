"""Figure 5: linear least squares, stopped early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.reproduction.least_squares import (
    EXACT,
    HALVED_NOTE,
    N_DRAWS,
    N_STEPS,
    RATE,
    Course,
    N,
    Vector,
    draw_matrix,
    run_descent,
)
from napari_convgen.reproduction.study import Claim, Study


@dataclass(frozen=True, eq=False)
class Measured:
    """Descents, one for each draw.

    Attributes
    ----------
    singular_values
        Singular values of the first draw's matrix, falling.
    courses
        Course of each descent.
    """

    singular_values: Vector
    courses: Sequence[Course]

    @property
    def least_errors(self) -> list[float]:
        """Smallest distance to the signal in each draw."""
        return [float(course.errors.min()) for course in self.courses]

    @property
    def final_errors(self) -> list[float]:
        """Distance to the signal after the last step of each draw."""
        return [float(course.errors[-1]) for course in self.courses]

    @property
    def best_steps(self) -> list[int]:
        """Step with the smallest distance in each draw, from 1."""
        return [int(course.errors.argmin()) + 1 for course in self.courses]

    @property
    def gap(self) -> float:
        """Largest difference between loop and closed form."""
        return max(course.gap for course in self.courses)


class Figure5(Study[Measured]):
    """Fit the first singular vector with noise of its norm, and record residual and error.

    References
    ----------
    Figure 5 and equation 2.
    """

    def measure(self) -> Measured:
        """Run the descent for each draw."""
        spectra, courses = [], []
        for seed in range(N_DRAWS):
            self.setting.report_progress(f"draw {seed + 1} of {N_DRAWS}", seed / N_DRAWS)
            rng = np.random.default_rng(seed)
            matrix, left, singular_values = draw_matrix(rng)
            noise = rng.standard_normal(N)
            spectra.append(singular_values)
            courses.append(run_descent(matrix, left[:, 0], noise / np.linalg.norm(noise), RATE))
        return Measured(spectra[0], courses)

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare the smallest error with the last, and the loop with the closed form."""
        least, final, at = measured.least_errors, measured.final_errors, measured.best_steps
        return [
            Claim(
                "stopped early, the output is near the signal; later, it fits the noise",
                f"error {min(least):.2f}–{max(least):.2f} at steps {min(at)}–{max(at)}, {min(final):.2f}–{max(final):.2f} after "
                f"{N_STEPS}, in {N_DRAWS} draws with signal and noise of norm 1",
                "the least error is below half the last in each draw",
                all(a < b / 2 for a, b in zip(least, final, strict=True)),
            ),
            Claim(
                "equation 2 is the path of the descent",
                f"loop and closed form differ by {measured.gap:.0e} at most",
                f"to {EXACT:.0e}",
                measured.gap < EXACT,
            ),
        ]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the spectrum and the course of the first draw."""
        steps, course, best_step = np.arange(1, N_STEPS + 1), measured.courses[0], measured.best_steps[0]
        return [
            Plot("Spectrum", "i", "singular value σ_i", [Curve("", np.arange(1, N + 1), measured.singular_values)]),
            Plot(
                "Fit of a noisy signal",
                "step",
                "Euclidean norm (signal: 1)",
                [
                    Curve("residual, to the measurement", steps, course.residuals),
                    Curve("error, to the signal", steps, course.errors),
                ],
                "log",
                "log",
                [(f"least error, step {best_step}", best_step)],
            ),
        ]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return errors and steps of all draws."""
        return {
            "n": N,
            "rate": RATE,
            "least_errors": measured.least_errors,
            "final_errors": measured.final_errors,
            "best_steps": measured.best_steps,
            "gap": measured.gap,
        }

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        return [HALVED_NOTE]
