"""Gradient descent as the generator's linearization at its start foresees it, all steps at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.spectra.pace import Paced, finish
from napari_convgen.core.spectra.quadrature import paced_quadrature

POINTS_PER_DECADE = 40
"""Steps at which a descent is foreseen."""


@dataclass(frozen=True, eq=False)
class Descent:
    """The course of gradient descent.

    Attributes
    ----------
    steps
        Rising, about evenly spaced in their logarithm.
    loss
        Mean squared residual at each.
    freedom
        Degrees of freedom, of the n values: how many of the measurement's values the image follows. Each counts with the
        variance of its noise.
    risk
        Stein's unbiased estimate of the image's mean squared error.
    rate
        Step size, on half the squared residual.
    """

    steps: Float[Tensor, "t"]
    loss: Float[Tensor, "t"]
    freedom: Float[Tensor, "t"]
    risk: Float[Tensor, "t"]
    rate: float

    @property
    def best(self) -> int:
        """Position of the least risk."""
        return int(self.risk.argmin())

    def near_best(self, tolerance: float) -> tuple[int, int]:
        """Return the first and last position around the best whose risk exceeds the least by no more than ``tolerance``.

        The last is the end of what is foreseen if the risk does not rise by so much before.
        """
        is_near = (self.risk <= self.risk[self.best] + tolerance).tolist()
        first = last = self.best
        while first > 0 and is_near[first - 1]:
            first -= 1
        while last + 1 < len(is_near) and is_near[last + 1]:
            last += 1
        return first, last


def foresee_descent(
    gram: Callable[[Tensor], Tensor],
    residual: Float[Tensor, "n"],
    noise_level: Float[Tensor, "n"],
    rng: torch.Generator,
    n_products: int = 100,
    n_probes: int = 1,
    rate: float | None = None,
) -> Descent:
    r"""Foresee loss, degrees of freedom and risk of gradient descent with a linear model.

    With a constant Jacobian J, descent on half the squared residual moves the residual as :math:`r_t = (1 - \eta K)^t r_0`,
    :math:`K = J J^\top`, whence the loss; the image depends on the data by :math:`1 - (1 - \eta K)^t`, whose trace is the number of degrees
    of freedom. Both are functions of K, and come from Lanczos quadrature: of the residual for the loss, of random signs for the trace.

    Parameters
    ----------
    gram
        K on vectors.
    residual
        Output less measurement at the start.
    noise_level
        Of each value.
    rng
        On the CPU.
    n_products
        Products with K for each quadrature; it resolves the steps up to their number's square, which is the last one foreseen.
        As many vectors of n values are held.
    n_probes
        Vectors of random signs. One gives a number of degrees of freedom f within :math:`\sqrt{2f}` or so.
    rate
        :math:`\eta`; one over the largest eigenvalue by default. It does no more than to scale the steps.

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
    """Do the same, with a pause after each of ``n_products (1 + n_probes)`` products."""
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
    return Descent(steps, loss, n * influence / variance, loss - variance + 2 * influence, eta)
