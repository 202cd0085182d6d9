"""How far each pixel moves with the parameters, and what lies beyond the leading eigenvalues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.spectra.eigenpairs import Eigenpairs
from napari_convgen.core.spectra.pace import Paced
from napari_convgen.core.spectra.quadrature import paced_quadrature


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """The diagonal and the trace of K = JJ', estimated without bias.

    Attributes
    ----------
    values
        The diagonal: each output's squared change with a step of length 1, summed over the directions of all parameters.
    errors
        Standard error of each.
    trace, trace_error
        Sum of the diagonal, which is that of all eigenvalues, and its standard error.
    """

    values: Float[Tensor, "n"]
    errors: Float[Tensor, "n"]
    trace: float
    trace_error: float


def paced_sensitivity(
    linear_map: LinearMap, pairs: Eigenpairs, n_probes: int, rng: torch.Generator
) -> Paced[Sensitivity]:
    r"""Estimate the diagonal of K = JJ', the part that is known taken out first.

    With :math:`P = U U^\top` of the pairs and :math:`r` their residuals, K is :math:`P K + K P - P K P`, whose diagonal
    :math:`\sum_i \lambda_i u_i^2 + 2 u_i r_i` is known however good the pairs are, and :math:`(1 - P) K (1 - P)`. The latter's is the
    mean of :math:`((1 - P) J g)^2` over vectors g of random signs, one for each parameter. Signs for each pixel, as Hutchinson has
    them, would take the adjoint besides and leave a far larger variance, that of the rest of the row, since neighbors are alike.

    Parameters
    ----------
    linear_map
        J.
    pairs
        Of K, the first ones.
    n_probes
        Products with J, without its adjoint; at least 2. The standard error is at most :math:`\sqrt{2 / n}` of the unknown part, or so.
    rng
        On the CPU.

    References
    ----------
    Known parts taken out: Meyer, Musco, Musco and Woodruff, "Hutch++", SOSA 2021; of the diagonal, Baston and Nakatsukasa,
    "Stochastic diagonal estimation", 2022.
    """
    known = pairs.vectors**2 @ pairs.values + 2 * (pairs.vectors * pairs.residuals).sum(1)
    total, squares, sums = torch.zeros_like(known), torch.zeros_like(known), []
    for _ in range(n_probes):
        signs = 2.0 * torch.randint(2, linear_map.in_shape, generator=rng).to(known) - 1
        sample = pairs.remove(linear_map.apply(signs).flatten()) ** 2
        total += sample
        squares += sample**2
        sums.append(sample.sum(dtype=torch.float64))
        yield
    mean = total / n_probes
    variance = (squares / n_probes - mean**2).clamp_min(0) / (n_probes - 1)
    traces = torch.stack(sums)
    trace = float(known.sum(dtype=torch.float64) + traces.mean())
    return Sensitivity(known + mean, variance.sqrt(), trace, float(traces.std()) / n_probes**0.5)


@dataclass(frozen=True, eq=False)
class Tail:
    """The eigenvalues beyond the leading ones, by their number.

    Attributes
    ----------
    ranks
        Rising, from the number of pairs on; estimates, so not whole.
    values
        Falling: about so many eigenvalues as the rank says are larger.
    """

    ranks: Float[Tensor, "t"]
    values: Float[Tensor, "t"]


def paced_tail(
    gram: Callable[[Tensor], Tensor], pairs: Eigenpairs, n_products: int, n_probes: int, rng: torch.Generator
) -> Paced[Tail]:
    """Estimate how many eigenvalues are larger than others beyond the leading ones, by stochastic Lanczos quadrature.

    Parameters
    ----------
    gram
        K on vectors.
    pairs
        The first ones; what they span is taken out.
    n_products, n_probes
        Products with each vector of random signs, which are as many as the values that are told apart; and their number.
    rng
        On the CPU.

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
