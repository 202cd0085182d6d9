"""The two-layer generator beside its linear model: what theorems 4 and 5 have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_convgen.core.generators.two_layer import TwoLayer
from napari_convgen.core.theory.kernels import normalized, triangular
from napari_convgen.figures.panel import Curve, Plot
from napari_convgen.reproduction.two_layer import NOISE_NORM, WEIGHT_SHARE, Vector, signal_and_noise, two_layer

Matrix = NDArray[np.float64]

N, HALF_WIDTH, DIMENSION = 128, 12, 5
"""Samples, half-width of the triangle, dimension of the signal's space. Our choice."""

QUICK_WIDTHS, FULL_WIDTHS = (256, 1024, 4096), (256, 1024, 4096, 16384)
"""Channels of the nets, as many as parameters for each sample. Our choice."""

N_STEPS = 100
"""Steps of each fit. Our choice."""

NOTE = (
    "The statements are derived from the linear dynamics; the paper bounds the same quantities by constants of its own, for "
    "widths beyond any machine. What is measured here is how the differences fall with the width."
)


@dataclass(frozen=True, eq=False)
class Problem:
    """What is fitted.

    Attributes
    ----------
    kernel
        Kernel of the convolution, a triangle of norm 1.
    signal, noise
        Vectors whose sum is the measurement.
    """

    kernel: Vector
    signal: Vector
    noise: Vector

    @property
    def measurement(self) -> Vector:
        """Sum of signal and noise."""
        return self.signal + self.noise

    @classmethod
    def make(cls) -> Problem:
        """Return the problem of theorems 4 and 5."""
        return cls(normalized(triangular((N,), HALF_WIDTH)), *signal_and_noise(N, DIMENSION, NOISE_NORM, 0))


@dataclass(frozen=True, eq=False)
class Start:
    """A net before its first step.

    Attributes
    ----------
    generator
        Net at its start.
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

    @classmethod
    def make(cls, problem: Problem, n_channels: int, share: float = WEIGHT_SHARE) -> Start:
        """Return a net of some channels whose first weights have a standard deviation of this share of the measurement's size."""
        generator = two_layer(problem.kernel, problem.measurement, n_channels, 0, share)
        with torch.no_grad():
            residual = generator()[0, 0].numpy() - problem.measurement
        rows = circulant(problem.kernel)
        weights, vectors = np.linalg.eigh(gram(rows, active(rows, generator), generator))
        return cls(generator, residual, np.maximum(weights, 0), vectors)

    @property
    def coefficients(self) -> Vector:
        """Coefficients of the residual in the left singular vectors."""
        coefficients: Vector = self.vectors.T @ self.residual
        return coefficients


def circulant(kernel: Vector) -> Matrix:
    """Return U, a shifted kernel in each column."""
    return np.stack([np.roll(kernel, i) for i in range(len(kernel))], 1)


def active(operator: Matrix, generator: TwoLayer) -> Matrix:
    """Return the derivatives of the rectifiers, 1 where a channel is active, else 0: ``(samples, channels)``."""
    signs: Matrix = (operator @ generator.weights.detach()[0].numpy() > 0).astype(np.float64)
    return signs


def gram(operator: Matrix, derivatives: Matrix, generator: TwoLayer) -> Matrix:
    """Return JJ' of the Jacobian with these derivatives of the rectifiers."""
    products: Matrix = (operator @ operator.T) * ((derivatives * generator.output_weights.numpy() ** 2) @ derivatives.T)
    return products


def paths_plot(title: str, paths: Sequence[tuple[str, Vector, Vector]], others: Sequence[tuple[str, Vector]]) -> Plot:
    """Return a plot of paths over the steps.

    Parameters
    ----------
    title
        Title of the plot.
    paths
        Label, measured values and closed form of each path, from step 0.
    others
        Label and values of further curves, from step 0.
    """
    steps = np.arange(1, N_STEPS + 1)
    curves = [Curve(name, steps, path[1:]) for name, path, _ in paths]
    curves += [Curve(f"{name}, closed form", steps, closed[1:], "dashes") for name, _, closed in paths]
    curves += [Curve(name, steps, other[1:]) for name, other in others]
    return Plot(title, "step", "Euclidean norm (signal: 1)", curves, "log", "log")
