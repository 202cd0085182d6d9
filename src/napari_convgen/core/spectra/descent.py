"""Gradient descent as predicted by the linearized generator, for all steps at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.pace import Paced, finish
from napari_convgen.core.spectra.quadrature import paced_quadrature

POINTS_PER_DECADE = 40
"""Number of steps per factor of ten for which a descent is predicted: they are 6 % apart, closely enough to find the lowest risk."""


@dataclass(frozen=True, eq=False)
class Descent:
    """The predicted course of gradient descent.

    Attributes
    ----------
    steps
        Numbers of steps, rising, about evenly spaced in their logarithm.
    loss
        Mean squared residual at each step, in squared image units.
    freedom
        Degrees of freedom at each step, 0 to n: the number of values of the measurement that the image reproduces, each
        weighted by the variance of its noise.
    risk
        Stein's unbiased estimate of the mean squared error of the image at each step, in squared image units.
    rate
        Step size, on half the squared residual.
    noise_variance
        Mean variance of the noise of a value, in squared image units.
    """

    steps: Float[Tensor, "t"]
    loss: Float[Tensor, "t"]
    freedom: Float[Tensor, "t"]
    risk: Float[Tensor, "t"]
    rate: float
    noise_variance: float

    @property
    def best(self) -> int:
        """Position of the lowest risk."""
        return int(self.risk.argmin())

    def near_best(self, tolerance: float) -> tuple[int, int]:
        """Return the first and last position of the range around the best in which the risk is at most ``tolerance`` above the lowest.

        If the risk does not rise above it, the range extends to the last predicted step.
        """
        is_near = (self.risk <= self.risk[self.best] + tolerance).tolist()
        first = last = self.best
        while first > 0 and is_near[first - 1]:
            first -= 1
        while last + 1 < len(is_near) and is_near[last + 1]:
            last += 1
        return first, last


def predict_descent(
    gram: Callable[[Tensor], Tensor],
    residual: Float[Tensor, "n"],
    noise_level: Float[Tensor, "n"],
    rng: torch.Generator,
    n_products: int = 100,
    n_probes: int = 1,
    rate: float | None = None,
) -> Descent:
    r"""Predict loss, degrees of freedom and risk of gradient descent with a linear model.

    With a constant Jacobian J and :math:`K = J J^\top`, descent on half the squared residual gives the residual
    :math:`r_t = (1 - \eta K)^t r_0` and with it the loss. The image depends on the data through :math:`1 - (1 - \eta K)^t`, whose trace is
    the number of degrees of freedom. Both are functions of K and are computed by Lanczos quadrature, which starts from the residual for
    the loss and from random signs for the trace.

    Parameters
    ----------
    gram
        Function that multiplies a vector by K.
    residual
        Output minus measurement at the start, in image units.
    noise_level
        Standard deviation of the noise of each value, in image units.
    rng
        Random generator on the CPU.
    n_products
        Number of products with K for each quadrature. Its square is the last predicted step. The quadrature keeps one vector of n
        values for each product.
    n_probes
        Number of vectors of random signs. With one, f degrees of freedom have a standard error of about :math:`\sqrt{2f}`.
    rate
        Step size :math:`\eta`; by default one over the largest eigenvalue. It only scales the steps.

    References
    ----------
    The dynamics: Heckel and Soltanolkotabi, ICLR 2020, theorem 2 and its proof. The trace: Ubaru, Chen and Saad (2017).
    """
    return finish(paced_descent(gram, residual, noise_level, rng, n_products, n_probes, rate))


def paced_descent(
    gram: Callable[[Tensor], Tensor],
    residual: Float[Tensor, "n"],
    noise_level: Float[Tensor, "n"],
    rng: torch.Generator,
    n_products: int = 100,
    n_probes: int = 1,
    rate: float | None = None,
) -> Paced[Descent]:
    """Predict as `predict_descent` does, with a pause after each of ``n_products (1 + n_probes)`` products."""
    n = len(residual)
    fit = yield from paced_quadrature(gram, residual, n_products)
    signs = 2.0 * torch.randint(2, (n_probes, n), generator=rng).to(residual) - 1
    traces = []
    for probe in signs:
        trace = yield from paced_quadrature(gram, noise_level * probe, n_products)
        traces.append(trace)
    eta = 1 / max(float(nodes.max()) for nodes, _ in [fit, *traces]) if rate is None else rate
    decades = 2 * math.log10(n_products)
    steps = torch.logspace(0, decades, int(POINTS_PER_DECADE * decades) + 1, dtype=torch.float64).round().unique()

    def summed(quadrature: tuple[Tensor, Tensor], power: int) -> Tensor:
        nodes, weights = quadrature
        decay: Tensor = (1 - eta * nodes.clamp_min(0)) ** (power * steps[:, None])
        return decay @ weights

    variance = float((noise_level**2).mean())
    loss = summed(fit, 2) / n
    influence = sum((weights.sum() - summed((nodes, weights), 1) for nodes, weights in traces), torch.zeros_like(steps))
    influence = influence / (n * n_probes)
    return Descent(steps, loss, n * influence / variance, loss - variance + 2 * influence, eta, variance)
