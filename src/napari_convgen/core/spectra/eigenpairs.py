"""The largest eigenvalues of a symmetric operator that is known by its products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.spectra.pace import Paced

OVERSAMPLING = 10
"""Vectors that are followed beyond those that are asked for."""


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Approximate eigenvalues of an operator K and their vectors.

    Attributes
    ----------
    values
        Falling, not negative.
    vectors
        Orthonormal columns.
    residuals
        ``K u - λ u`` of each, as columns.
    """

    values: Float[Tensor, "r"]
    vectors: Float[Tensor, "n r"]
    residuals: Float[Tensor, "n r"]

    @property
    def errors(self) -> Float[Tensor, "r"]:
        """Length of each residual: so near to the value there is an eigenvalue of K. Where eigenvalues lie apart, it is far nearer."""
        lengths: Tensor = torch.linalg.vector_norm(self.residuals, dim=0)
        return lengths

    def remove(self, vector: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """Return what of a vector is orthogonal to all of theirs."""
        return vector - self.vectors @ (self.vectors.T @ vector)


def n_eigenpair_products(n: int, rank: int, n_passes: int) -> int:
    """Return how many products `paced_eigenpairs` takes with an operator on vectors of ``n`` values."""
    return min(rank + OVERSAMPLING, n) * (n_passes + 1)


def paced_eigenpairs(
    apply: Callable[[Tensor], Tensor], like: Float[Tensor, "n"], rank: int, n_passes: int, rng: torch.Generator
) -> Paced[Eigenpairs]:
    """Find the largest eigenvalues of a symmetric operator without negative ones, and their vectors.

    Randomized subspace iteration with a Rayleigh-Ritz step.

    Parameters
    ----------
    apply
        The operator, on vectors.
    like
        A vector of the operator's size, dtype and device.
    rank
        Eigenpairs wanted; as many as there are at most.
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
        images = yield from _apply_to_columns(apply, vectors)
        vectors = torch.linalg.qr(images)[0]
    images = yield from _apply_to_columns(apply, vectors)
    projected = vectors.T @ images
    values, rotation = torch.linalg.eigh((projected + projected.T) / 2)
    values, rotation = (x.flip(-1)[..., : min(rank, n)] for x in (values, rotation))
    values, vectors = values.clamp_min(0), vectors @ rotation
    return Eigenpairs(values, vectors, images @ rotation - vectors * values)


def _apply_to_columns(apply: Callable[[Tensor], Tensor], vectors: Tensor) -> Paced[Tensor]:
    images = torch.empty_like(vectors)
    for i in range(vectors.shape[1]):
        images[:, i] = apply(vectors[:, i].contiguous())
        yield
    return images
