"""Residual and way of gradient descent on the two-layer generator and on its linear model: theorems 4 and 5.

The nets are small: they are fitted in double precision on the CPU, whatever the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_convgen.core.generators.two_layer import TwoLayer
from napari_convgen.core.spectra.jacobian import module_jacobian
from napari_convgen.core.theory.dual_kernel import squared_weights
from napari_convgen.core.theory.kernels import normalized, spectral_norm, step_size, triangular
from napari_convgen.core.theory.residuals import distance_gap_bounds, distances, residual_gap_bounds, residual_norms
from napari_convgen.figures.panel import Curve, Plot
from napari_convgen.reproduction.study import Claim, Findings, Setting
from napari_convgen.reproduction.two_layer import WEIGHT_SHARE, descend, signal_and_noise, two_layer

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

N, HALF_WIDTH, DIMENSION, NOISE_NORM = 128, 12, 5, 0.5
"""Samples, the triangle's half-width, dimension of the signal's space, and the noise's norm beside the signal's of one."""

QUICK_WIDTHS, FULL_WIDTHS = (256, 1024, 4096), (256, 1024, 4096, 16384)
"""Channels: as many as a net has parameters for each sample."""

SHARES = (WEIGHT_SHARE, 1.0)
"""Standard deviations of the first weights, over the measurement's root mean square, in theorem 5."""

N_STEPS = 100
EXACT = 1e-10


@dataclass(frozen=True, eq=False)
class Start:
    """A net before its first step.

    Attributes
    ----------
    generator
        The net.
    residual
        Image less measurement.
    weights
        Squared singular values of its Jacobian, rising.
    vectors
        Left singular vectors, as columns.
    """

    generator: TwoLayer
    residual: Vector
    weights: Vector
    vectors: Matrix


def theorem4(setting: Setting) -> Findings:
    """Run descent on the linear model of nets of growing width beside the closed form, and beside that of infinite width."""
    kernel = normalized(triangular((N,), HALF_WIDTH))
    rate, steps = step_size(kernel), np.arange(N_STEPS + 1)
    signal, noise = signal_and_noise(N, DIMENSION, NOISE_NORM, 0)
    measurement = signal + noise
    rows, panels = [], []
    widths = FULL_WIDTHS if setting.is_full else QUICK_WIDTHS
    for i, width in enumerate(widths):
        setting.tell(f"{width} channels", i / len(widths))
        start = _start(kernel, measurement, width)
        norms, ways = _linear_descent(start, rate)
        coefficients = start.vectors.T @ start.residual
        closed = residual_norms(start.weights, rate, coefficients, steps)
        closed_ways = distances(start.weights, rate, coefficients, steps)
        spectrum = _spectrum(start.residual)
        wide = residual_norms(squared_weights(kernel), rate, spectrum, steps)
        wide_ways = distances(squared_weights(kernel), rate, spectrum, steps)
        rows.append(
            {
                "n_channels": width,
                "residual_gap": _gap(norms, closed),
                "distance_gap": _gap(ways, closed_ways),
                "residual_gap_infinite": _gap(norms, wide),
                "distance_gap_infinite": _gap(ways, wide_ways),
            }
        )
        if width == widths[0]:
            paths = [("residual", norms, closed), ("distance", ways, closed_ways)]
            infinite_paths = [("residual, infinite width", wide), ("distance, infinite width", wide_ways)]
            panels.append(_plot(f"Linear model of {width} channels", paths, infinite_paths))
    keys = {"residual": "residual_gap_infinite", "distance": "distance_gap_infinite"}
    curves = [Curve(name, list(widths), [row[key] for row in rows]) for name, key in keys.items()]
    title = "Difference from infinite width"
    panels.append(Plot(title, "channels", "largest, over the largest value", curves, "log", "log"))
    exact = max(max(row["residual_gap"], row["distance_gap"]) for row in rows)
    infinite = [row["residual_gap_infinite"] for row in rows]
    parts = {"signal": signal, "noise": noise / np.linalg.norm(noise)}
    cost = {name: _cost(squared_weights(kernel), rate, _spectrum(part)) for name, part in parts.items()}
    claims = [
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
            "drawing noise takes the weights a longer way than drawing a signal",
            f"squared distance for each unit of squared norm drawn: {cost['noise']:.2f} for noise, {cost['signal']:.2f} for the signal",
            "more than twice",
            cost["noise"] > 2 * cost["signal"],
        ),
    ]
    numbers = {"n": N, "half_width": HALF_WIDTH, "n_steps": N_STEPS, "rows": rows, "cost": cost}
    return Findings(claims, panels, numbers, NOTES)


def theorem5(setting: Setting) -> Findings:
    """Fit nets of growing width beside their linear models, and set bounds beside what is between them."""
    kernel = normalized(triangular((N,), HALF_WIDTH))
    signal, noise = signal_and_noise(N, DIMENSION, NOISE_NORM, 0)
    measurement = signal + noise
    widths = FULL_WIDTHS if setting.is_full else QUICK_WIDTHS
    rows: list[dict[str, Any]] = []
    panels = []
    for share in SHARES:
        for width in widths:
            setting.tell(f"{width} channels", len(rows) / (len(SHARES) * len(widths)))
            row, panel = _nonlinear(kernel, measurement, width, share)
            rows.append(row)
            panels += [panel] if share == WEIGHT_SHARE else []
    claims = []
    for share in SHARES:
        group = [row for row in rows if row["share"] == share]
        gaps, moves, last = (
            [row[key] for row in group] for key in ("residual_gap", "relative_distance", "distance_ratio")
        )
        where = (
            f"first weights of {share:g} of the measurement's size, {', '.join(f'{w:,}' for w in widths)} channels: "
        )
        claims += [
            Claim(
                "the wider the net, the closer its residual follows the linear one",
                f"{where}largest difference {_listed(gaps)}, as k^{_slope(widths, gaps):.2f}",
                "falls with each width",
                gaps == sorted(gaps, reverse=True),
            ),
            Claim(
                "the wider the net, the less its weights move beside the first ones",
                f"{where}{_listed(moves)} of their norm, as k^{_slope(widths, moves):.2f}",
                "falls about as 1/√k: a power between −0.6 and −0.4",
                -0.6 <= _slope(widths, moves) <= -0.4,
            ),
            Claim(
                "the weights move as far as the linear model's",
                f"{where}{_listed(last)} of it",
                "within 5 % for the widest net",
                abs(last[-1] - 1) < 0.05,
                "Noise is drawn more slowly than by the linear model, and this vanishes slowly: the rectifiers that change sign are about "
                "a share 1/√k of all, and the smaller the first weights the more they are."
                if abs(last[-1] - 1) >= 0.05
                else "",
            ),
        ]
    share = max(row["residual_share"] for row in rows)
    way_share = max(row["distance_share"] for row in rows)
    vacuous = [row["first_vacuous"] for row in rows if row["share"] == WEIGHT_SHARE]
    claims.append(
        Claim(
            "residual and weights stay within bounds made of the Jacobian's change",
            f"at most {share:.2f} of the bound on the residual and {way_share:.2f} of the bound on the weights",
            "never more",
            max(share, way_share) <= 1,
            "The bounds are far from what happens: the one on the residual exceeds the measurement's own norm after "
            f"{', '.join(map(str, vacuous))} steps.",
        )
    )
    panels += [
        Plot(
            title,
            "channels",
            label,
            [
                Curve(f"first weights × {share:g}", list(widths), [row[key] for row in rows if row["share"] == share])
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
    ]
    numbers = {"n": N, "half_width": HALF_WIDTH, "n_steps": N_STEPS, "rows": rows}
    notes = [*NOTES, "The Jacobian's change is measured after each step; between two steps it could be larger."]
    return Findings(claims, panels, numbers, notes)


NOTES = [
    "The statements are derived from the linear dynamics; the paper bounds the same quantities by constants of its own, for "
    "widths beyond any machine. What is measured here is how the differences fall with the width."
]


def _start(kernel: Vector, measurement: Vector, n_channels: int, share: float = WEIGHT_SHARE) -> Start:
    generator = two_layer(kernel, measurement, n_channels, 0, share)
    with torch.no_grad():
        residual = generator()[0, 0].numpy() - measurement
    rows = _operator(kernel)
    weights, vectors = np.linalg.eigh(_gram(rows, _signs(rows, generator), generator))
    return Start(generator, residual, np.maximum(weights, 0), vectors)


def _linear_descent(start: Start, rate: float) -> tuple[Vector, Vector]:
    """Norms of the residual and distances from the start, at each step of descent on the linear model."""
    jacobian = module_jacobian(start.generator)
    first = torch.from_numpy(start.residual)
    moved = torch.zeros(jacobian.in_shape, dtype=first.dtype)
    norms, ways = [], []
    for _ in range(N_STEPS + 1):
        residual = first + jacobian.apply(moved).flatten()
        norms.append(float(residual.norm()))
        ways.append(float(moved.norm()))
        moved = moved - rate * jacobian.adjoint(residual.view(jacobian.out_shape))
    return np.array(norms), np.array(ways)


def _nonlinear(kernel: Vector, measurement: Vector, n_channels: int, share: float) -> tuple[dict[str, Any], Plot]:
    """Fit a net; return what lies between it and its linear model, and both paths."""
    rate, steps = step_size(kernel), np.arange(N_STEPS + 1)
    start = _start(kernel, measurement, n_channels, share)
    rows = _operator(kernel)
    generator, first = start.generator, start.generator.weights.detach().clone()
    first_signs = _signs(rows, generator)
    coefficients = start.vectors.T @ start.residual
    gaps, norms, ways, way_gaps, changes = [], [], [], [], []
    for step, image in zip(steps, descend(generator, measurement, rate, N_STEPS), strict=True):
        decay = (1 - rate * start.weights) ** step
        residual = image - measurement
        norms.append(float(np.linalg.norm(residual)))
        gaps.append(float(np.linalg.norm(residual - start.vectors @ (decay * coefficients))))
        moved = (generator.weights.detach() - first)[0].numpy()
        ways.append(float(np.linalg.norm(moved)))
        way_gaps.append(float(np.linalg.norm(moved - _linear_way(kernel, start, first_signs, decay, coefficients))))
        signs = _signs(rows, generator)
        changes.append(float(np.sqrt(np.linalg.eigvalsh(_gram(rows, signs - first_signs, generator))[-1])))
    path = np.array(norms)
    norm, change = spectral_norm(kernel), max(changes)
    bounds = residual_gap_bounds(path, rate, norm, change)
    way_bounds = distance_gap_bounds(path, rate, norm, change)
    linear = residual_norms(start.weights, rate, coefficients, steps)
    linear_ways = distances(start.weights, rate, coefficients, steps)
    row = {
        "n_channels": n_channels,
        "share": share,
        "residual_gap": max(gaps),
        "residual_share": float((np.array(gaps[1:]) / bounds[1:]).max()),
        "distance": ways[-1],
        "distance_gap": max(way_gaps),
        "distance_share": float((np.array(way_gaps[1:]) / way_bounds[1:]).max()),
        "distance_ratio": ways[-1] / float(linear_ways[-1]),
        "relative_distance": ways[-1] / float(first.norm()),
        "jacobian_change": change / norm,
        "first_vacuous": int(np.argmax(bounds > np.linalg.norm(measurement))),
    }
    shown = [("residual", path, linear), ("distance", np.array(ways), linear_ways)]
    curves = [("difference of the residuals", np.array(gaps)), ("bound on the difference", bounds)]
    return row, _plot(f"Net of {n_channels} channels", shown, curves)


def _linear_way(kernel: Vector, start: Start, signs: Matrix, decay: Vector, coefficients: Vector) -> Matrix:
    """How far the linear model's parameters are from the start: the sum of all steps' gradients."""
    drawn = np.divide(1 - decay, start.weights, out=np.zeros_like(decay), where=start.weights > 0)
    image = start.vectors @ (drawn * coefficients)
    way: Matrix = -_operator(kernel).T @ (image[:, None] * signs * start.generator.output_weights.numpy())
    return way


def _operator(kernel: Vector) -> Matrix:
    """U, a shifted kernel in each column."""
    return np.stack([np.roll(kernel, i) for i in range(len(kernel))], 1)


def _signs(operator: Matrix, generator: TwoLayer) -> Matrix:
    """Where each channel is active."""
    signs: Matrix = (operator @ generator.weights.detach()[0].numpy() > 0).astype(np.float64)
    return signs


def _gram(operator: Matrix, signs: Matrix, generator: TwoLayer) -> Matrix:
    """JJ' of the Jacobian with these derivatives of the rectifier."""
    gram: Matrix = (operator @ operator.T) * ((signs * generator.output_weights.numpy() ** 2) @ signs.T)
    return gram


def _cost(weights: Vector, rate: float, coefficients: Vector) -> float:
    """The squared distance after the last step, over the squared norm that is drawn by then."""
    end = np.array([N_STEPS])
    way, left = distances(weights, rate, coefficients, end)[0], residual_norms(weights, rate, coefficients, end)[0]
    return float(way**2 / (np.sum(coefficients**2) - left**2))


def _spectrum(image: Vector) -> Vector:
    """The size of each Fourier coefficient."""
    sizes: Vector = np.abs(np.fft.fft(image)) / np.sqrt(len(image))
    return sizes


def _gap(values: Vector, others: Vector) -> float:
    """The largest difference, over the largest value."""
    return float(np.abs(values - others).max() / values.max())


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _slope(widths: Sequence[int], values: Sequence[float]) -> float:
    """The power of the width that the values follow."""
    return float(np.polyfit(np.log(widths), np.log(values), 1)[0])


def _plot(title: str, paths: Sequence[tuple[str, Vector, Vector]], others: Sequence[tuple[str, Vector]]) -> Plot:
    """Measured paths, the closed forms beside them, and others."""
    steps = np.arange(1, N_STEPS + 1)
    curves = [Curve(name, steps, path[1:]) for name, path, _ in paths]
    curves += [Curve(f"{name}, closed form", steps, closed[1:], "dashes") for name, _, closed in paths]
    curves += [Curve(name, steps, other[1:]) for name, other in others]
    return Plot(title, "step", "Euclidean norm (signal: 1)", curves, "log", "log")
