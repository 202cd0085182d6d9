"""The sensitivity of each pixel to the parameters, and the eigenvalues beyond the leading ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.pace import Paced
from napari_convgen.core.spectra.eigenpairs import Eigenpairs
from napari_convgen.core.spectra.quadrature import paced_quadrature


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Estimates of the diagonal and the trace of K = JJ', unbiased but for the limit at 0.

    Attributes
    ----------
    values
        Diagonal of K, 0 or more: the sum of the squared derivatives of each output with respect to all parameters.
    errors
        Standard error of each value.
    trace, trace_error
        Sum of the diagonal, which equals the sum of all eigenvalues, and its standard error.
    """

    values: Float[Tensor, "n"]
    errors: Float[Tensor, "n"]
    trace: float
    trace_error: float


def paced_sensitivity(
    linear_map: LinearMap, pairs: Eigenpairs, n_probes: int, rng: torch.Generator
) -> Paced[Sensitivity]:
    r"""Estimate the diagonal of K = JJ'; the part that the leading eigenpairs give exactly is subtracted first.

    Let :math:`P = U U^\top` project on the vectors of the pairs, and let :math:`r_i` be their residuals. Then K is the sum of
    :math:`P K + K P - P K P`, whose diagonal :math:`\sum_i \lambda_i u_i^2 + 2 u_i r_i` is exact for pairs of any accuracy, and of
    :math:`(1 - P) K (1 - P)`. The diagonal of the latter is the mean of :math:`((1 - P) J g)^2` over vectors g of random signs, one sign
    for each parameter. Hutchinson's estimator, with one sign for each pixel, would need the adjoint too, and its variance would be far
    larger: it is the sum of the squared off-diagonal values in a row of K, and these are large because neighboring pixels are correlated.

    Parameters
    ----------
    linear_map
        Jacobian J.
    pairs
        Leading eigenpairs of K.
    n_probes
        Number n of products with J (none with its adjoint), 2 or more. The standard error is about :math:`\sqrt{2 / n}` of the unknown
        part at most.
    rng
        Random generator on the CPU.

    References
    ----------
    Subtraction of known parts: Meyer, Musco, Musco and Woodruff, "Hutch++", SOSA 2021; for the diagonal, Baston and Nakatsukasa,
    "Stochastic diagonal estimation", 2022.
    """
    known = pairs.vectors**2 @ pairs.values + 2 * (pairs.vectors * pairs.residuals).sum(1)
    total, squares, sums = torch.zeros_like(known), torch.zeros_like(known), []
    for _ in range(n_probes):
        signs = 2.0 * torch.randint(2, linear_map.in_shape, generator=rng).to(known) - 1
        sample = pairs.remove(linear_map.apply(signs).flatten()) ** 2
        total += sample
        squares += sample**2
        sums.append(sample.cpu().sum(dtype=torch.float64))
        yield
    mean = total / n_probes
    variance = (squares / n_probes - mean**2).clamp_min(0) / (n_probes - 1)
    traces = torch.stack(sums)
    trace = max(0.0, float(known.cpu().sum(dtype=torch.float64) + traces.mean()))
    # Where an output depends on no parameter, rounding and the residuals leave small values of either sign.
    values = (known + mean).clamp_min(0)
    return Sensitivity(values, variance.sqrt(), trace, float(traces.std()) / n_probes**0.5)


@dataclass(frozen=True, eq=False)
class Tail:
    """The eigenvalues beyond the leading ones, with estimated ranks.

    Attributes
    ----------
    ranks
        Estimated number of larger eigenvalues for each value, rising from the number of leading pairs; not an integer.
    values
        Eigenvalues, in falling order.
    """

    ranks: Float[Tensor, "t"]
    values: Float[Tensor, "t"]


def paced_tail(
    gram: Callable[[Tensor], Tensor], pairs: Eigenpairs, n_products: int, n_probes: int, rng: torch.Generator
) -> Paced[Tail]:
    """Estimate the eigenvalues beyond the leading ones and their ranks, by stochastic Lanczos quadrature.

    Parameters
    ----------
    gram
        Function that multiplies a vector by K.
    pairs
        Leading eigenpairs of K, whose span is left out.
    n_products
        Number of products with K for each vector of random signs; as many values are resolved.
    n_probes
        Number of vectors of random signs.
    rng
        Random generator on the CPU.

    References
    ----------
    Ubaru, Chen and Saad, "Fast estimation of tr(f(A)) via stochastic Lanczos quadrature", SIAM J. Matrix Anal. Appl. 38 (2017).
    """
    n, rank = pairs.vectors.shape
    nodes, weights = [torch.empty(0, dtype=torch.float64)], [torch.empty(0, dtype=torch.float64)]
    for _ in range(n_probes if n > rank else 0):
        signs = 2.0 * torch.randint(2, (n,), generator=rng).to(pairs.values) - 1
        quadrature = yield from paced_quadrature(lambda v: pairs.remove(gram(v)), pairs.remove(signs), n_products)
        nodes.append(quadrature[0])
        weights.append(quadrature[1] / n_probes)
    values, order = torch.cat(nodes).sort(descending=True)
    share = torch.cat(weights)[order]
    return Tail(rank + share.cumsum(0) - share / 2, values.clamp_min(0))
