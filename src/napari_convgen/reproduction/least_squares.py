"""Gradient descent on linear least squares, the closed form beside it: what figure 5 and proposition 1 have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_convgen.core.theory.least_squares import least_squares

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

N = 100
"""Samples, as in the authors' notebook."""

RATE = 0.125
"""Step size; the authors' 0.25 on a gradient that they halve. The largest singular value is one."""

N_STEPS = 1000
"""Steps, as in the authors' notebook."""

N_DRAWS = 5
"""Random draws of matrix, signal and noise. Our choice."""

EXACT = 1e-10
"""Largest difference between closed form and loop that counts as rounding, beside values of about one. Our choice."""

LEAST_SHOWN = 1e-3
"""Smallest value of a closed form on a logarithmic axis, since they fall to the last digit. Our choice."""

HALVED_NOTE = "The authors' code halves its gradient: its step of 0.25 is one of 0.125 on half the squared residual."


@dataclass(frozen=True, eq=False)
class Course:
    """Course of a descent.

    Attributes
    ----------
    residuals, errors
        Distances of the output from the measurement and from the signal, after each step.
    gap
        Largest difference of any value of an output from that of the closed form.
    """

    residuals: Vector
    errors: Vector
    gap: float


def gradient_descent(matrix: Matrix, measurement: Vector, rate: float, n_steps: int) -> Iterator[Vector]:
    """Yield the output after each step of descent on half the squared residual, from zero.

    Parameters
    ----------
    matrix
        Linear model, ``(n, m)``: the output is this times the coefficients.
    measurement
        Vector that is fitted, ``(n,)``.
    rate
        Step size.
    n_steps
        Number of steps.
    """
    coefficients = np.zeros(matrix.shape[1])
    for _ in range(n_steps):
        coefficients = coefficients - rate * matrix.T @ (matrix @ coefficients - measurement)
        yield matrix @ coefficients


def visible(values: ArrayLike) -> Vector:
    """Return the values, with NaN, a gap, for those too small for the axis."""
    return np.where(np.asarray(values) < LEAST_SHOWN, np.nan, values)


def draw_matrix(rng: np.random.Generator) -> tuple[Matrix, Matrix, Vector]:
    """Draw the authors' matrix: Gaussian, with singular values divided by the largest and cubed.

    Returns
    -------
    Matrix, Matrix, Vector
        Matrix, left singular vectors as columns, and singular values, falling.
    """
    left, singular_values, right = np.linalg.svd(rng.standard_normal((N, N)))
    singular_values = (singular_values / singular_values[0]) ** 3
    return (left * singular_values) @ right, left, singular_values


def run_descent(matrix: Matrix, signal: Vector, noise: Vector, rate: float) -> Course:
    """Fit the sum of signal and noise by the loop and by the closed form."""
    measurement, closed = signal + noise, least_squares(matrix, rate)
    residuals, errors, gap = np.empty(N_STEPS), np.empty(N_STEPS), 0.0
    for i, output in enumerate(gradient_descent(matrix, measurement, rate, N_STEPS)):
        residuals[i], errors[i] = np.linalg.norm(measurement - output), np.linalg.norm(signal - output)
        gap = max(gap, float(np.abs(output - closed.output(measurement, i + 1)).max()))
    return Course(residuals, errors, gap)
