"""Lanczos quadrature: functions of a symmetric operator, from its products with vectors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.pace import Paced


def paced_quadrature(
    apply: Callable[[Tensor], Tensor], start: Float[Tensor, "n"], n_products: int
) -> Paced[tuple[Tensor, Tensor]]:
    r"""Return nodes and weights with :math:`v^\top f(K) v \approx \sum_j w_j f(\theta_j)` for the vector ``v`` = ``start``.

    It is Gaussian quadrature over the spectrum of the operator, weighted by the vector. It is exact for polynomials of a degree below
    ``2 n_products``, and for every function if the Krylov space of the vector ends before, in which case it returns early. For a vector
    of random signs, the expectation of the sum is the trace of :math:`f(K)`. It pauses after each product.

    Parameters
    ----------
    apply
        Function that multiplies a vector by the symmetric operator.
    start
        Vector v with at least one value that is not zero.
    n_products
        Largest number of products with the operator, 1 or more.

    Returns
    -------
    nodes, weights
        Nodes in rising order, and their weights, which add up to the squared length of the vector; both float64 on the CPU.

    References
    ----------
    Golub and Meurant, "Matrices, Moments and Quadrature with Applications", 2010, chapter 6; Ubaru, Chen and Saad, "Fast estimation of
    tr(f(A)) via stochastic Lanczos quadrature", SIAM J. Matrix Anal. Appl. 38 (2017), algorithm 1.
    """
    basis = (start / start.norm())[:, None]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        image = apply(basis[:, -1])
        yield
        diagonal.append(float(image @ basis[:, -1]))
        for _ in range(2):  # twice, else rounding would create copies of large eigenvalues
            image = image - basis @ (basis.T @ image)
        length = float(image.norm())
        largest = max(abs(value) for value in diagonal)
        if len(diagonal) == n_products or length <= 10 * torch.finfo(start.dtype).eps * largest:
            break
        beside.append(length)
        basis = torch.cat((basis, (image / length)[:, None]), 1)
    off = torch.tensor(beside, dtype=torch.float64)
    tridiagonal = torch.diag(torch.tensor(diagonal, dtype=torch.float64)) + torch.diag(off, 1) + torch.diag(off, -1)
    nodes, vectors = torch.linalg.eigh(tridiagonal)
    return nodes, vectors[0] ** 2 * float(start.norm()) ** 2
