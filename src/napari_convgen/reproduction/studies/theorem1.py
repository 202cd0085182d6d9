"""Theorem 1: the bound on the denoising error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convgen.core.theory.bounds import ErrorTerms, stopping_step, worst_terms
from napari_convgen.core.theory.dual_kernel import squared_weights
from napari_convgen.core.theory.kernels import gaussian, normalized, step_size, triangular
from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.reproduction.least_squares import visible
from napari_convgen.reproduction.study import Claim, Study
from napari_convgen.reproduction.two_layer import (
    LINEAR_NOTE,
    NOISE_NORM,
    Vector,
    descend,
    signal_and_noise,
    two_layer,
)

N = 300
"""Samples, as in figure 6."""

HALF_WIDTHS, WIDTHS = (1, 10, 30), (0.005, 0.01, 0.05)
"""Half-widths of the triangles in samples, and widths of the Gaussians as shares of the samples, as in figure 6."""

DIMENSIONS = (1, 3, 5, 7, 9, 11, 15, 19)
"""Dimensions p of the signal's space. Our choice: odd, so that a cosine comes with its sine."""

CHECKED_HALF_WIDTH, CHECKED_DIMENSIONS, CHECKED_WIDTH = 30, (5, 11, 19), 600
"""Half-width of the triangle, dimensions, and channels of the nets that the bound is checked on. Our choice."""

SHOWN_DIMENSION, N_SHOWN_STEPS = 11, 300
"""Dimension and steps of the net whose error is shown beside the bound. Our choice."""

N_DRAWS = 5
"""Random draws of signal, noise and net. Our choice."""

LEAST_STEPS = 60
"""Steps of each fit at least, so that its smallest error is among them. Our choice."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Bounds, and fits that they are checked on.

    Attributes
    ----------
    bounds
        Stop, the bound there and both of its parts, for each kernel and dimension.
    fits
        Error at the stop and the bound on it, for each dimension and draw.
    shown_errors
        Error of one net, before each step and after the last.
    """

    bounds: Sequence[Mapping[str, Any]]
    fits: Sequence[Mapping[str, Any]]
    shown_errors: Vector

    @property
    def by_kernel(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Bounds of each kernel, by rising dimension."""
        return {
            name: [row for row in self.bounds if row["kernel"] == name]
            for name in dict.fromkeys(row["kernel"] for row in self.bounds)
        }


class Theorem1(Study[Measured]):
    """Evaluate the stop and the bound of theorem 1 for the kernels of figure 6, and check the bound on nets."""

    def measure(self) -> Measured:
        """Compute the bounds, and fit nets."""
        kernels = {f"triangle, p = {p}": triangular((N,), p) for p in HALF_WIDTHS}
        kernels |= {f"Gaussian, s = {s}": gaussian((N,), s) for s in WIDTHS}
        kernels = {name: normalized(kernel) for name, kernel in kernels.items()}
        bounds = [
            {"kernel": name, "p": p, **_bound_at_stop(kernel, p)}
            for name, kernel in kernels.items()
            for p in DIMENSIONS
        ]
        kernel, fits = _checked_kernel(), list[Mapping[str, Any]]()
        for p in CHECKED_DIMENSIONS:
            for seed in range(N_DRAWS):
                share = len(fits) / (len(CHECKED_DIMENSIONS) * N_DRAWS)
                self.setting.report_progress(f"dimension {p}, draw {seed + 1} of {N_DRAWS}", share)
                fits.append({"p": p, "seed": seed, **_check(kernel, p, seed)})
        return Measured(bounds, fits, _errors(kernel, SHOWN_DIMENSION, 0, N_SHOWN_STEPS))

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Check the bound, and whether it shows what the paper concludes."""
        bounds = measured.bounds
        steps, terms = [row["stop"] for row in bounds], [row["signal_term"] for row in bounds]
        n_useful = sum(row["bound"] < NOISE_NORM for row in bounds)
        worst = max(row["error"] / row["bound"] for row in measured.fits)
        return [
            Claim(
                "after the stopping step the error is at most what is left of the signal and ς√(2p/n)",
                f"at the last whole step before it, {worst:.2f} of the bound or less, "
                f"in {len(measured.fits)} fits of {CHECKED_WIDTH} channels",
                "never more",
                worst <= 1,
            ),
            Claim(
                "the bound shows that early stopping denoises",
                f"stops after {min(steps):.1f} to {max(steps):.1f} steps, with {min(terms):.2f} to {max(terms):.2f} of the signal "
                f"not fitted; the bound is below the noise's norm for {n_useful} of {len(bounds)} kernels and dimensions",
                f"below the noise's norm of {NOISE_NORM} for each kernel and some dimension",
                all(any(row["bound"] < NOISE_NORM for row in rows) for rows in measured.by_kernel.values()),
                "The stop is so early because the weights of the paper's kernels fall slowly: noise just beyond the signal's space is "
                "fitted almost as fast as the signal's last function, and the bound counts all noise as if it had that weight. "
                "The bound is true and says nothing here; the dynamics of theorem 2 do.",
            ),
        ]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the stop and the bound of each kernel, and the error of a net beside the bound."""
        return [
            Plot(
                "Stopping step",
                "dimension p of the signal's space",
                "step τ*",
                [
                    Curve(name, list(DIMENSIONS), [row["stop"] for row in rows])
                    for name, rows in measured.by_kernel.items()
                ],
                y_scale="log",
            ),
            Plot(
                "The bound's part of the signal, at the stop",
                "dimension p of the signal's space",
                "part of the signal not fitted",
                [
                    Curve(name, list(DIMENSIONS), [row["signal_term"] for row in rows])
                    for name, rows in measured.by_kernel.items()
                ],
            ),
            _error_plot(measured.shown_errors),
        ]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the bounds and the fits."""
        return {"n": N, "noise_norm": NOISE_NORM, "bounds": measured.bounds, "fits": measured.fits}

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        return [LINEAR_NOTE]


def _checked_kernel() -> Vector:
    return normalized(triangular((N,), CHECKED_HALF_WIDTH))


def _bound(kernel: Vector, p: int, step: float) -> ErrorTerms:
    """Return the bound on the error after a step, in its two parts."""
    weights = np.sort(squared_weights(kernel))[::-1]
    return worst_terms(weights, step_size(kernel), p, 1.0, NOISE_NORM, step)


def _stop(kernel: Vector, p: int) -> float:
    """Return the stopping step."""
    return stopping_step(np.sort(squared_weights(kernel))[::-1], p, step_size(kernel))


def _bound_at_stop(kernel: Vector, p: int) -> dict[str, Any]:
    stop = _stop(kernel, p)
    terms = _bound(kernel, p, stop)
    return {"stop": stop, "signal_term": terms.signal, "noise_term": terms.noise, "bound": terms.total}


def _errors(kernel: Vector, dimension: int, seed: int, n_steps: int) -> Vector:
    """Return the errors of a net, before each step and after the last."""
    signal, noise = signal_and_noise(N, dimension, NOISE_NORM, seed)
    generator = two_layer(kernel, signal + noise, CHECKED_WIDTH, seed)
    images = descend(generator, signal + noise, step_size(kernel), n_steps)
    return np.array([float(np.linalg.norm(image - signal)) for image in images])


def _check(kernel: Vector, p: int, seed: int) -> dict[str, Any]:
    """Fit a net; return its error at the last whole step before the stop, the bound there, and its smallest error."""
    step = int(_stop(kernel, p))
    errors = _errors(kernel, p, seed, max(step, LEAST_STEPS))
    return {
        "step": step,
        "error": float(errors[step]),
        "bound": _bound(kernel, p, step).total,
        "best_step": int(errors.argmin()),
        "best_error": float(errors.min()),
    }


def _error_plot(errors: Vector) -> Plot:
    """Return the error of a net, and the bound on it with its two parts."""
    kernel, p, steps = _checked_kernel(), SHOWN_DIMENSION, np.arange(1, len(errors))
    bounds = [_bound(kernel, p, float(step)) for step in steps]
    return Plot(
        f"Error of a net of {CHECKED_WIDTH} channels, p = {p}",
        "step",
        "Euclidean norm (signal: 1)",
        [
            Curve("error", steps, errors[1:]),
            Curve("bound", steps, [bound.total for bound in bounds], "dashes"),
            Curve("its part of the signal", steps, visible([bound.signal for bound in bounds]), "dashes"),
            Curve("its part of the noise", steps, [bound.noise for bound in bounds], "dashes"),
        ],
        "log",
        "log",
        [("τ*", _stop(kernel, p)), ("least error", int(errors.argmin()))],
    )
