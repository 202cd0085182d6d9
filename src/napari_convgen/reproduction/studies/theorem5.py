"""Theorem 5: residual and distance of gradient descent on a nonlinear net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convgen.core.theory.kernels import spectral_norm, step_size
from napari_convgen.core.theory.residuals import distance_gap_bounds, distances, residual_gap_bounds, residual_norms
from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.reproduction.linear_model import (
    FULL_WIDTHS,
    HALF_WIDTH,
    N_STEPS,
    NOTE,
    QUICK_WIDTHS,
    Matrix,
    N,
    Problem,
    Start,
    active,
    circulant,
    gram,
    paths_plot,
)
from napari_convgen.reproduction.study import Claim, Study
from napari_convgen.reproduction.two_layer import WEIGHT_SHARE, Vector, descend

SHARES = (WEIGHT_SHARE, 1.0)
"""Standard deviations of the first weights, over the measurement's root mean square. Our choice."""

POWERS = (-0.6, -0.4)
"""Range of the power of the width that counts as 1/√k. Our choice."""

TOLERANCE = 0.05
"""Largest relative difference between the distances of the widest net and of its linear model. Our choice."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Paths of a net and of its linear model, each array with a value for each step from 0.

    Attributes
    ----------
    residuals, distances
        Norm of the residual, and distance of the weights from the start.
    linear_residuals, linear_distances
        The same for the linear model, in closed form.
    residual_gaps, distance_gaps
        Norm of the difference between both residuals, and between both weights.
    jacobian_changes
        Norm of the Jacobian's change since the start.
    """

    residuals: Vector
    distances: Vector
    linear_residuals: Vector
    linear_distances: Vector
    residual_gaps: Vector
    distance_gaps: Vector
    jacobian_changes: Vector


@dataclass(frozen=True, eq=False)
class Measured:
    """Fits of nets beside their linear models.

    Attributes
    ----------
    widths
        Channels of the nets, rising.
    rows
        Differences from the linear model and shares of the bounds, for each size of the first weights and each width.
    shown
        Paths of the nets with small first weights, with the bound on the difference of the residuals, by width.
    """

    widths: Sequence[int]
    rows: Sequence[Mapping[str, Any]]
    shown: Mapping[int, tuple[Paths, Vector]]

    def by_width(self, share: float, key: str) -> list[Any]:
        """Return one of the numbers for all widths, where the first weights have that size."""
        return [row[key] for row in self.rows if row["share"] == share]


class Theorem5(Study[Measured]):
    """Fit nets of growing width beside their linear models, and compare the differences with bounds on them."""

    def measure(self) -> Measured:
        """Fit a net for each size of the first weights and each width."""
        problem = Problem.make()
        widths = FULL_WIDTHS if self.setting.is_full else QUICK_WIDTHS
        rows: list[dict[str, Any]] = []
        shown: dict[int, tuple[Paths, Vector]] = {}
        for share in SHARES:
            for width in widths:
                self.setting.report_progress(f"{width} channels", len(rows) / (len(SHARES) * len(widths)))
                row, paths, bounds = _fit(problem, width, share)
                rows.append({"n_channels": width, "share": share, **row})
                shown.setdefault(width, (paths, bounds))
        return Measured(widths, rows, shown)

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare nets and linear models, and the differences with their bounds."""
        claims = [claim for share in SHARES for claim in _about_width(measured, share)]
        return [*claims, _about_bounds(measured)]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the paths, and the differences over the width."""
        return [
            *(_plot(f"Net of {width} channels", *shown) for width, shown in measured.shown.items()),
            *(
                Plot(
                    title,
                    "channels",
                    label,
                    [
                        Curve(f"first weights × {share:g}", list(measured.widths), measured.by_width(share, key))
                        for share in SHARES
                    ],
                    "log",
                    "log",
                )
                for title, label, key in (
                    ("Difference from the linear residual", "largest over the steps (signal: 1)", "residual_gap"),
                    ("Change of the Jacobian", "largest, over its largest norm", "jacobian_change"),
                    ("Distance of the weights", "over the norm of the first weights", "relative_distance"),
                )
            ),
        ]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the differences and shares of the bounds of all fits."""
        return {"n": N, "half_width": HALF_WIDTH, "n_steps": N_STEPS, "rows": measured.rows}

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        return [NOTE, "The Jacobian's change is measured after each step; between two steps it could be larger."]


def _about_width(measured: Measured, share: float) -> list[Claim]:
    """Return the claims on nets whose first weights have a size."""
    widths = measured.widths
    gaps, moves, last = (
        measured.by_width(share, key) for key in ("residual_gap", "relative_distance", "distance_ratio")
    )
    where = f"first weights of {share:g} of the measurement's size, {', '.join(f'{w:,}' for w in widths)} channels: "
    is_as_far = abs(last[-1] - 1) < TOLERANCE
    return [
        Claim(
            "the wider the net, the closer its residual to the linear one",
            f"{where}largest difference {_listed(gaps)}, as k^{_slope(widths, gaps):.2f}",
            "falls with each width",
            gaps == sorted(gaps, reverse=True),
        ),
        Claim(
            "the wider the net, the less its weights move beside the first ones",
            f"{where}{_listed(moves)} of their norm, as k^{_slope(widths, moves):.2f}",
            "falls about as 1/√k: a power between −0.6 and −0.4",
            POWERS[0] <= _slope(widths, moves) <= POWERS[1],
        ),
        Claim(
            "the weights move as far as the linear model's",
            f"{where}{_listed(last)} of it",
            "within 5 % for the widest net",
            is_as_far,
            ""
            if is_as_far
            else "The net fits noise more slowly than the linear model does, and this difference vanishes slowly: the rectifiers that "
            "change sign are about a share 1/√k of all, and the smaller the first weights the more they are.",
        ),
    ]


def _about_bounds(measured: Measured) -> Claim:
    share, distance_share = (max(row[key] for row in measured.rows) for key in ("residual_share", "distance_share"))
    vacuous = ", ".join(map(str, measured.by_width(WEIGHT_SHARE, "first_vacuous")))
    return Claim(
        "residual and weights stay within bounds made of the Jacobian's change",
        f"at most {share:.2f} of the bound on the residual and {distance_share:.2f} of the bound on the weights",
        "never more",
        max(share, distance_share) <= 1,
        f"The bounds are far from what happens: the one on the residual exceeds the measurement's own norm after {vacuous} steps.",
    )


def _fit(problem: Problem, n_channels: int, share: float) -> tuple[dict[str, Any], Paths, Vector]:
    """Fit a net; return the differences from its linear model, its paths, and the bound on the difference of the residuals."""
    start = Start.make(problem, n_channels, share)
    first_norm = float(start.generator.weights.detach().norm())
    paths = _run(problem, start)
    rate, norm, change = step_size(problem.kernel), spectral_norm(problem.kernel), max(paths.jacobian_changes)
    bounds = residual_gap_bounds(paths.residuals, rate, norm, change)
    distance_bounds = distance_gap_bounds(paths.residuals, rate, norm, change)
    row = {
        "residual_gap": float(max(paths.residual_gaps)),
        "residual_share": float((paths.residual_gaps[1:] / bounds[1:]).max()),
        "distance": float(paths.distances[-1]),
        "distance_gap": float(max(paths.distance_gaps)),
        "distance_share": float((paths.distance_gaps[1:] / distance_bounds[1:]).max()),
        "distance_ratio": float(paths.distances[-1]) / float(paths.linear_distances[-1]),
        "relative_distance": float(paths.distances[-1]) / first_norm,
        "jacobian_change": float(change / norm),
        "first_vacuous": int(np.argmax(np.append(bounds > np.linalg.norm(problem.measurement), True))),
    }
    return row, paths, bounds


def _run(problem: Problem, start: Start) -> Paths:
    """Fit a net from its start, beside its linear model."""
    rate, rows, steps = step_size(problem.kernel), circulant(problem.kernel), np.arange(N_STEPS + 1)
    generator, first = start.generator, start.generator.weights.detach().clone()
    first_active, coefficients = active(rows, generator), start.coefficients
    residuals, residual_gaps, lengths, length_gaps, changes = [], [], [], [], []
    for step, image in zip(steps, descend(generator, problem.measurement, rate, N_STEPS), strict=True):
        decay = (1 - rate * start.weights) ** step
        residual = image - problem.measurement
        residuals.append(float(np.linalg.norm(residual)))
        residual_gaps.append(float(np.linalg.norm(residual - start.vectors @ (decay * coefficients))))
        moved = (generator.weights.detach() - first)[0].numpy()
        lengths.append(float(np.linalg.norm(moved)))
        length_gaps.append(float(np.linalg.norm(moved - linear_move(problem.kernel, start, first_active, decay))))
        change = gram(rows, active(rows, generator) - first_active, generator)
        changes.append(float(np.sqrt(np.linalg.eigvalsh(change)[-1])))
    return Paths(
        residuals=np.array(residuals),
        distances=np.array(lengths),
        linear_residuals=residual_norms(start.weights, rate, coefficients, steps),
        linear_distances=distances(start.weights, rate, coefficients, steps),
        residual_gaps=np.array(residual_gaps),
        distance_gaps=np.array(length_gaps),
        jacobian_changes=np.array(changes),
    )


def linear_move(kernel: Vector, start: Start, derivatives: Matrix, decay: Vector) -> Matrix:
    """Return how far the linear model's weights are from the start: the sum of the gradients of all steps.

    Parameters
    ----------
    kernel
        Kernel of the convolution.
    start
        Net before its first step.
    derivatives
        Derivatives of the rectifiers at the start.
    decay
        Factor by which each coefficient of the residual has shrunk.
    """
    fitted = np.divide(1 - decay, start.weights, out=np.zeros_like(decay), where=start.weights > 0)
    image = start.vectors @ (fitted * start.coefficients)
    move: Matrix = -circulant(kernel).T @ (image[:, None] * derivatives * start.generator.output_weights.numpy())
    return move


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _slope(widths: Sequence[int], values: Sequence[float]) -> float:
    """Return the power of the width that fits the values best."""
    return float(np.polyfit(np.log(widths), np.log(values), 1)[0])


def _plot(title: str, paths: Paths, bounds: Vector) -> Plot:
    shown = [
        ("residual", paths.residuals, paths.linear_residuals),
        ("distance", paths.distances, paths.linear_distances),
    ]
    return paths_plot(
        title, shown, [("difference of the residuals", paths.residual_gaps), ("bound on the difference", bounds)]
    )
