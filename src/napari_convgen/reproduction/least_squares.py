"""Gradient descent on linear least squares, stopped early: figure 5 and proposition 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_convgen.core.theory.bounds import stopping_step, worst_terms
from napari_convgen.core.theory.least_squares import least_squares
from napari_convgen.figures.panel import Curve, Plot
from napari_convgen.reproduction.study import Claim, Findings, Setting

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

N = 100
RATE = 0.125
"""The authors' step of 0.25 on a gradient that they halve; the largest singular value is one."""

N_STEPS, N_DRAWS = 1000, 5
EXACT = 1e-10
"""How far a closed form may be from the loop, beside values of about one."""

DIMENSIONS = (1, 5, 20)
"""p, of the signal's space, in proposition 1."""

LEAST_SHOWN = 1e-3
"""Of closed forms on a logarithmic axis: they fall to the last digit."""


@dataclass(frozen=True, eq=False)
class Course:
    """What the loop gave.

    Attributes
    ----------
    residuals, errors
        Distances of the output from the measurement and from the signal, after each step.
    gap
        Largest difference of any output's value from the closed form's.
    """

    residuals: Vector
    errors: Vector
    gap: float


def figure5(setting: Setting) -> Findings:
    """Fit the first singular vector with noise of its norm, and follow residual and error."""
    spectra, courses = [], []
    for seed in range(N_DRAWS):
        setting.tell(f"draw {seed + 1} of {N_DRAWS}", seed / N_DRAWS)
        rng = np.random.default_rng(seed)
        matrix, left, singular_values = _matrix(rng)
        noise = rng.standard_normal(N)
        spectra.append(singular_values)
        courses.append(_follow(matrix, left[:, 0], noise / np.linalg.norm(noise), RATE))
    least = [float(course.errors.min()) for course in courses]
    final = [float(course.errors[-1]) for course in courses]
    at = [int(course.errors.argmin()) + 1 for course in courses]
    gap = max(course.gap for course in courses)
    claims = [
        Claim(
            "stopped early, the output is near the signal; later, it follows the noise",
            f"error {min(least):.2f}–{max(least):.2f} at steps {min(at)}–{max(at)}, {min(final):.2f}–{max(final):.2f} after "
            f"{N_STEPS}, in {N_DRAWS} draws with signal and noise of norm 1",
            "the least error is below half the last in each draw",
            all(a < b / 2 for a, b in zip(least, final, strict=True)),
        ),
        Claim(
            "equation 2 is the path of the descent",
            f"loop and closed form differ by {gap:.0e} at most",
            f"to {EXACT:.0e}",
            gap < EXACT,
        ),
    ]
    steps = np.arange(1, N_STEPS + 1)
    panels = [
        Plot("Spectrum", "i", "singular value σ_i", [Curve("", np.arange(1, N + 1), spectra[0])]),
        Plot(
            "Fit of a noisy signal",
            "step",
            "Euclidean norm (signal: 1)",
            [
                Curve("residual, to the measurement", steps, courses[0].residuals),
                Curve("error, to the signal", steps, courses[0].errors),
            ],
            "log",
            "log",
            [(f"least error, step {at[0]}", at[0])],
        ),
    ]
    numbers = {"n": N, "rate": RATE, "least_errors": least, "final_errors": final, "best_steps": at, "gap": gap}
    notes = ["The authors' code halves its gradient: its step of 0.25 is one of 0.125 on half the squared residual."]
    return Findings(claims, panels, numbers, notes)


def proposition1(setting: Setting) -> Findings:
    """Set the closed form beside the loop, and the bound on the error beside its parts."""
    gaps, rows, panels = [], [], []
    for seed in range(N_DRAWS):
        setting.tell(f"draw {seed + 1} of {N_DRAWS}", seed / N_DRAWS)
        rng = np.random.default_rng(seed)
        matrix, left, singular_values = _matrix(rng)
        for p in DIMENSIONS:
            signal = left[:, :p] @ rng.standard_normal(p)
            signal /= np.linalg.norm(signal)
            noise = rng.standard_normal(N) / np.sqrt(N)
            course = _follow(matrix, signal, noise, RATE)
            gaps.append(course.gap)
            stop = stopping_step(singular_values**2, p, RATE)
            error, unfitted, fitted_noise = least_squares(matrix, RATE).errors(signal, noise, stop)
            worst = worst_terms(singular_values**2, RATE, p, 1.0, 1.0, stop)
            rows.append(
                {
                    "seed": seed,
                    "p": p,
                    "stop": stop,
                    "error": error,
                    "unfitted": unfitted,
                    "unfitted_bound": worst.signal,
                    "fitted_noise": fitted_noise,
                    "fitted_noise_bound": worst.noise,
                }
            )
            if seed == 0:
                panels.append(_plot(singular_values**2, p, stop, course))
    excess = max(row["error"] - row["unfitted"] - row["fitted_noise"] for row in rows)
    excess_signal = max(row["unfitted"] - row["unfitted_bound"] for row in rows)
    noise = {p: [row for row in rows if row["p"] == p] for p in DIMENSIONS}
    drawn = {p: float(np.sqrt(np.mean([row["fitted_noise"] ** 2 for row in group]))) for p, group in noise.items()}
    limit = {p: float(np.sqrt(2 * p / N)) for p in DIMENSIONS}
    claims = [
        Claim(
            "the path is known in closed form",
            f"loop and closed form differ by {max(gaps):.0e} at most, in {len(gaps)} runs of {N_STEPS} steps",
            f"to {EXACT:.0e}",
            max(gaps) < EXACT,
        ),
        Claim(
            "the error is at most the part of the signal not yet drawn and the part of the noise already drawn",
            f"less than their sum by {-excess:.2f} or more",
            "never more",
            excess <= 0,
        ),
        Claim(
            "of a signal in the first p singular vectors, at most (1 − ησ_p²)^τ is not drawn",
            f"less by {-excess_signal:.0e} or more" if excess_signal < -EXACT else "equal where p = 1, else less",
            f"never more, to {EXACT:.0e}",
            excess_signal < EXACT,
        ),
        Claim(
            "at the foreseen stop the drawn part of noise of norm ς is at most ς√(2p/n)",
            ", ".join(f"{drawn[p]:.2f} of {limit[p]:.2f} (p = {p})" for p in DIMENSIONS),
            f"root mean square of {N_DRAWS} draws",
            all(drawn[p] <= limit[p] for p in DIMENSIONS),
        ),
    ]
    numbers = {"n": N, "rate": RATE, "gap": max(gaps), "rows": rows}
    notes = ["The stop and both parts of the bound are derived from equation 2; the paper's own constants may differ."]
    return Findings(claims, panels, numbers, notes)


def gradient_descent(matrix: Matrix, measurement: Vector, rate: float, n_steps: int) -> Iterator[Vector]:
    """Yield the output after each step of descent on half the squared residual, from zero."""
    coefficients = np.zeros(matrix.shape[1])
    for _ in range(n_steps):
        coefficients = coefficients - rate * matrix.T @ (matrix @ coefficients - measurement)
        yield matrix @ coefficients


def visible(values: ArrayLike) -> Vector:
    """Return the values, with a gap for those too small for the axis."""
    return np.where(np.asarray(values) < LEAST_SHOWN, np.nan, values)


def _matrix(rng: np.random.Generator) -> tuple[Matrix, Matrix, Vector]:
    """The authors' matrix, a Gaussian one with its singular values cubed and then over the largest; left vectors and values."""
    left, singular_values, right = np.linalg.svd(rng.standard_normal((N, N)))
    singular_values = (singular_values / singular_values[0]) ** 3
    return (left * singular_values) @ right, left, singular_values


def _follow(matrix: Matrix, signal: Vector, noise: Vector, rate: float) -> Course:
    """Run the loop on the sum of signal and noise, the closed form beside it."""
    measurement, closed = signal + noise, least_squares(matrix, rate)
    residuals, errors, gap = np.empty(N_STEPS), np.empty(N_STEPS), 0.0
    for i, output in enumerate(gradient_descent(matrix, measurement, rate, N_STEPS)):
        residuals[i], errors[i] = np.linalg.norm(measurement - output), np.linalg.norm(signal - output)
        gap = max(gap, float(np.abs(output - closed.output(measurement, i + 1)).max()))
    return Course(residuals, errors, gap)


def _plot(weights: Vector, p: int, stop: float, course: Course) -> Plot:
    """The error of a draw and the bound on it, with its two parts."""
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
