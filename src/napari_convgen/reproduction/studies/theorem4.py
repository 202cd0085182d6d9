"""Theorem 4: residual and distance of gradient descent on a linear model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_convgen.core.spectra.jacobian import module_jacobian
from napari_convgen.core.theory.dual_kernel import squared_weights
from napari_convgen.core.theory.kernels import step_size
from napari_convgen.core.theory.residuals import distances, residual_norms
from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.reproduction.linear_model import (
    FULL_WIDTHS,
    HALF_WIDTH,
    N_STEPS,
    NOTE,
    QUICK_WIDTHS,
    N,
    Problem,
    Start,
    paths_plot,
)
from napari_convgen.reproduction.study import Claim, Study
from napari_convgen.reproduction.two_layer import Vector, amplitudes

EXACT = 1e-10
"""Largest relative difference between closed form and loop that counts as rounding. Our choice."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Residual's norm and distance from the start at each step, from 0.

    Attributes
    ----------
    residuals, distances
        Values of the loop, of the closed form, or of that for infinite width.
    """

    residuals: Vector
    distances: Vector


@dataclass(frozen=True, eq=False)
class Measured:
    """Descents on linear models of several widths.

    Attributes
    ----------
    widths
        Channels of the nets, rising.
    rows
        Largest differences of the closed forms from the loop, by width.
    shown
        Paths of the narrowest net: those of the loop, of the closed form, and of infinite width.
    cost
        Squared distance for each unit of squared norm that is fitted, of the signal and of noise.
    """

    widths: Sequence[int]
    rows: Sequence[Mapping[str, Any]]
    shown: tuple[Paths, Paths, Paths]
    cost: Mapping[str, float]


class Theorem4(Study[Measured]):
    """Compare descent on the linear model of nets of growing width with the closed form, and with that of infinite width."""

    def measure(self) -> Measured:
        """Run the descent for each width."""
        problem = Problem.make()
        rate, wide_weights = step_size(problem.kernel), squared_weights(problem.kernel)
        widths = FULL_WIDTHS if self.setting.is_full else QUICK_WIDTHS
        rows, shown = [], []
        for i, width in enumerate(widths):
            self.setting.report_progress(f"{width} channels", i / len(widths))
            start = Start.make(problem, width)
            loop = _linear_descent(start, rate)
            closed = _closed_form(start.weights, rate, start.coefficients)
            wide = _closed_form(wide_weights, rate, amplitudes(start.residual))
            shown.append((loop, closed, wide))
            rows.append(
                {
                    "n_channels": width,
                    "residual_gap": _gap(loop.residuals, closed.residuals),
                    "distance_gap": _gap(loop.distances, closed.distances),
                    "residual_gap_infinite": _gap(loop.residuals, wide.residuals),
                    "distance_gap_infinite": _gap(loop.distances, wide.distances),
                }
            )
        parts = {"signal": problem.signal, "noise": problem.noise / np.linalg.norm(problem.noise)}
        cost = {name: _cost(wide_weights, rate, amplitudes(part)) for name, part in parts.items()}
        return Measured(widths, rows, shown[0], cost)

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare the loop with the closed forms, and signal with noise."""
        rows, widths, cost = measured.rows, measured.widths, measured.cost
        exact = max(max(row["residual_gap"], row["distance_gap"]) for row in rows)
        infinite = [row["residual_gap_infinite"] for row in rows]
        return [
            Claim(
                "residual and distance of descent on a linear model are known in closed form",
                f"loop and closed form differ by {exact:.0e} of the largest value, over {N_STEPS} steps and {len(widths)} widths",
                f"to {EXACT:.0e}",
                exact < EXACT,
            ),
            Claim(
                "the wider the net, the closer the residual to that of the expected Gram matrix",
                "largest difference "
                + ", ".join(f"{gap:.4f} ({w} channels)" for w, gap in zip(widths, infinite, strict=True)),
                "falls with each width",
                infinite == sorted(infinite, reverse=True),
            ),
            Claim(
                "fitting noise moves the weights further than fitting a signal",
                "squared distance for each unit of squared norm that is fitted: "
                f"{cost['noise']:.2f} for noise, {cost['signal']:.2f} for the signal",
                "more than twice",
                cost["noise"] > 2 * cost["signal"],
            ),
        ]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the paths of the narrowest net, and the differences over the width."""
        loop, closed, wide = measured.shown
        paths = [
            ("residual", loop.residuals, closed.residuals),
            ("distance", loop.distances, closed.distances),
        ]
        infinite = [("residual, infinite width", wide.residuals), ("distance, infinite width", wide.distances)]
        keys = {"residual": "residual_gap_infinite", "distance": "distance_gap_infinite"}
        curves = [Curve(name, list(measured.widths), [row[key] for row in measured.rows]) for name, key in keys.items()]
        return [
            paths_plot(f"Linear model of {measured.widths[0]} channels", paths, infinite),
            Plot("Difference from infinite width", "channels", "largest, over the largest value", curves, "log", "log"),
        ]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the differences by width, and the cost of signal and noise."""
        return {
            "n": N,
            "half_width": HALF_WIDTH,
            "n_steps": N_STEPS,
            "rows": measured.rows,
            "cost": measured.cost,
        }

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        return [NOTE]


def _linear_descent(start: Start, rate: float) -> Paths:
    """Run descent on the linear model."""
    jacobian = module_jacobian(start.generator)
    first = torch.from_numpy(start.residual)
    moved = torch.zeros(jacobian.in_shape, dtype=first.dtype)
    norms, lengths = [], []
    for _ in range(N_STEPS + 1):
        residual = first + jacobian.apply(moved).flatten()
        norms.append(float(residual.norm()))
        lengths.append(float(moved.norm()))
        moved = moved - rate * jacobian.adjoint(residual.view(jacobian.out_shape))
    return Paths(np.array(norms), np.array(lengths))


def _closed_form(weights: Vector, rate: float, coefficients: Vector) -> Paths:
    steps = np.arange(N_STEPS + 1)
    return Paths(residual_norms(weights, rate, coefficients, steps), distances(weights, rate, coefficients, steps))


def _gap(values: Vector, others: Vector) -> float:
    """Return the largest difference, over the largest value."""
    return float(np.abs(values - others).max() / values.max())


def _cost(weights: Vector, rate: float, coefficients: Vector) -> float:
    """Return the squared distance after the last step, over the squared norm that is fitted by then."""
    end = np.array([N_STEPS])
    length, left = distances(weights, rate, coefficients, end)[0], residual_norms(weights, rate, coefficients, end)[0]
    return float(length**2 / (np.sum(coefficients**2) - left**2))
