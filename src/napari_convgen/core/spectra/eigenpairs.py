"""The largest eigenvalues of a symmetric operator that is known by its products."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

OVERSAMPLING = 10
"""Vectors that are followed beyond those that are asked for."""


def largest_eigenpairs(
    apply: Callable[[Tensor], Tensor], like: Float[Tensor, "n"], rank: int, n_passes: int, rng: torch.Generator
) -> tuple[Float[Tensor, "r"], Float[Tensor, "n r"]]:
    """Return the largest eigenvalues of a symmetric operator without negative ones, falling, and their vectors as columns.

    Randomized subspace iteration with a Rayleigh-Ritz step; it takes ``(rank + OVERSAMPLING) (n_passes + 1)`` products.

    Parameters
    ----------
    apply
        The operator, on vectors.
    like
        A vector of the operator's size, dtype and device.
    rank
        Eigenpairs wanted.
    n_passes
        At least 1; each brings the subspace nearer by the ratio of the eigenvalues beyond it to those within.
    rng
        On the CPU.

    References
    ----------
    Halko, Martinsson and Tropp, "Finding structure with randomness", SIAM Review 53 (2011), algorithms 4.4 and 5.3.
    """
    n = len(like)
    vectors = torch.randn((n, min(rank + OVERSAMPLING, n)), generator=rng).to(like)
    for _ in range(n_passes):
        vectors = torch.linalg.qr(_apply_to_columns(apply, vectors))[0]
    projected = vectors.T @ _apply_to_columns(apply, vectors)
    values, rotation = torch.linalg.eigh((projected + projected.T) / 2)
    order = torch.arange(len(values) - 1, len(values) - 1 - min(rank, n), -1, device=like.device)
    return values[order].clamp_min(0), vectors @ rotation[:, order]


def _apply_to_columns(apply: Callable[[Tensor], Tensor], vectors: Tensor) -> Tensor:
    return torch.stack([apply(vector) for vector in vectors.T.contiguous()], 1)
