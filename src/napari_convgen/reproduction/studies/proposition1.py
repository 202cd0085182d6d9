"""Proposition 1: the path of least squares in closed form, and a bound on its error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convgen.core.theory.bounds import stopping_step, worst_terms
from napari_convgen.core.theory.least_squares import least_squares
from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.reproduction.least_squares import (
    EXACT,
    N_DRAWS,
    N_STEPS,
    RATE,
    Course,
    Matrix,
    N,
    Vector,
    draw_matrix,
    run_descent,
    visible,
)
from napari_convgen.reproduction.study import Claim, Study

DIMENSIONS = (1, 5, 20)
"""Dimensions p of the signal's space. Our choice."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Descents, one for each draw and dimension.

    Attributes
    ----------
    rows
        Seed and dimension, predicted stop, and there the error, both of its parts and the bounds on these.
    gaps
        Largest difference between loop and closed form in each descent.
    weights
        Squared singular values of the first draw's matrix.
    courses
        Course and predicted stop of the first draw, by dimension.
    """

    rows: Sequence[Mapping[str, Any]]
    gaps: Sequence[float]
    weights: Vector
    courses: Mapping[int, tuple[Course, float]]


class Proposition1(Study[Measured]):
    """Compare the closed form with the loop, and the bound on the error with its parts.

    References
    ----------
    Proposition 1 and equation 2.
    """

    def measure(self) -> Measured:
        """Run the descent for each draw and dimension."""
        gaps, rows, spectra = [], [], []
        courses: dict[int, tuple[Course, float]] = {}
        for seed in range(N_DRAWS):
            self.setting.report_progress(f"draw {seed + 1} of {N_DRAWS}", seed / N_DRAWS)
            rng = np.random.default_rng(seed)
            matrix, left, singular_values = draw_matrix(rng)
            spectra.append(singular_values**2)
            for p in DIMENSIONS:
                signal = left[:, :p] @ rng.standard_normal(p)
                signal /= np.linalg.norm(signal)
                noise = rng.standard_normal(N) / np.sqrt(N)
                course = run_descent(matrix, signal, noise, RATE)
                gaps.append(course.gap)
                row = _row(matrix, spectra[-1], p, signal, noise)
                rows.append({"seed": seed, "p": p, **row})
                courses.setdefault(p, (course, row["stop"]))
        return Measured(rows, gaps, spectra[0], courses)

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare loop and closed form, and the parts of the error with their bounds."""
        rows, gap = measured.rows, max(measured.gaps)
        excess = max(row["error"] - row["unfitted"] - row["fitted_noise"] for row in rows)
        excess_signal = max(row["unfitted"] - row["unfitted_bound"] for row in rows)
        by_dimension = {p: [row for row in rows if row["p"] == p] for p in DIMENSIONS}
        fitted = {
            p: float(np.sqrt(np.mean([row["fitted_noise"] ** 2 for row in group]))) for p, group in by_dimension.items()
        }
        limit = {p: float(np.sqrt(2 * p / N)) for p in DIMENSIONS}
        return [
            Claim(
                "the path is known in closed form",
                f"loop and closed form differ by {gap:.0e} at most, in {len(measured.gaps)} runs of {N_STEPS} steps",
                f"to {EXACT:.0e}",
                gap < EXACT,
            ),
            Claim(
                "the error is at most the part of the signal not yet fitted and the part of the noise already fitted",
                f"less than their sum by {-excess:.2f} or more",
                "never more",
                excess <= 0,
            ),
            Claim(
                "of a signal in the first p singular vectors, at most (1 − ησ_p²)^τ is not fitted",
                f"less by {-excess_signal:.0e} or more" if excess_signal < -EXACT else "equal where p = 1, else less",
                f"never more, to {EXACT:.0e}",
                excess_signal < EXACT,
            ),
            Claim(
                "at the predicted stop the fitted part of noise of norm ς is at most ς√(2p/n)",
                ", ".join(f"{fitted[p]:.2f} of {limit[p]:.2f} (p = {p})" for p in DIMENSIONS),
                f"root mean square of {N_DRAWS} draws",
                all(fitted[p] <= limit[p] for p in DIMENSIONS),
            ),
        ]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the error of the first draw and the bound on it, for each dimension."""
        return [_plot(measured.weights, p, stop, course) for p, (course, stop) in measured.courses.items()]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the error, its parts and their bounds at each stop."""
        return {"n": N, "rate": RATE, "gap": max(measured.gaps), "rows": measured.rows}

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        return [
            "The stop and both parts of the bound are derived from equation 2; the paper's own constants may differ."
        ]


def _row(matrix: Matrix, weights: Vector, p: int, signal: Vector, noise: Vector) -> dict[str, float]:
    """Return the predicted stop, and there the error, both of its parts and the bounds on these."""
    stop = stopping_step(weights, p, RATE)
    error, unfitted, fitted_noise = least_squares(matrix, RATE).errors(signal, noise, stop)
    worst = worst_terms(weights, RATE, p, 1.0, 1.0, stop)
    return {
        "stop": stop,
        "error": error,
        "unfitted": unfitted,
        "unfitted_bound": worst.signal,
        "fitted_noise": fitted_noise,
        "fitted_noise_bound": worst.noise,
    }


def _plot(weights: Vector, p: int, stop: float, course: Course) -> Plot:
    """Return the error of a draw and the bound on it, with its two parts."""
    steps = np.arange(1, N_STEPS + 1)
    bounds = [worst_terms(weights, RATE, p, 1.0, 1.0, float(step)) for step in steps]
    curves = [
        Curve("error", steps, course.errors),
        Curve("bound", steps, [bound.total for bound in bounds], "dashes"),
        Curve("its part of the signal", steps, visible([bound.signal for bound in bounds]), "dashes"),
        Curve("its part of the noise", steps, [bound.noise for bound in bounds], "dashes"),
    ]
    title = "Signal: the first singular vector" if p == 1 else f"Signal in the first {p} singular vectors"
    return Plot(title, "step", "Euclidean norm (signal, noise: 1)", curves, "log", "log", [(f"stop, {stop:.1f}", stop)])
