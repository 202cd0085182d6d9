"""The largest eigenvalues of a symmetric operator, from its products with vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.pace import Paced

OVERSAMPLING = 10
"""Number of extra vectors in the iteration, as Halko, Martinsson and Tropp (2011) recommend: 5 or 10."""


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Approximate eigenvalues and eigenvectors of an operator K.

    Attributes
    ----------
    values
        Eigenvalues in falling order, 0 or more.
    vectors
        Eigenvectors, as orthonormal columns.
    residuals
        Residual ``K u - λ u`` of each pair, as columns.
    """

    values: Float[Tensor, "r"]
    vectors: Float[Tensor, "n r"]
    residuals: Float[Tensor, "n r"]

    @property
    def errors(self) -> Float[Tensor, "r"]:
        """Length of each residual: K has an eigenvalue at most this far from the value, and much nearer if eigenvalues lie well apart."""
        lengths: Tensor = torch.linalg.vector_norm(self.residuals, dim=0)
        return lengths

    @property
    def signs(self) -> Float[Tensor, "1 r"]:
        """Sign of the largest value of each vector; a vector times it is the same whatever sign it was found with."""
        largest = self.vectors.abs().argmax(0, keepdim=True)
        return self.vectors.gather(0, largest).sign()

    def remove(self, vector: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """Return the part of a vector that is orthogonal to all eigenvectors."""
        return vector - self.vectors @ (self.vectors.T @ vector)


def n_eigenpair_products(n: int, rank: int, n_passes: int) -> int:
    """Return the number of products that `paced_eigenpairs` needs with an operator on vectors of ``n`` values."""
    return min(rank + OVERSAMPLING, n) * (n_passes + 1)


def paced_eigenpairs(
    apply: Callable[[Tensor], Tensor], like: Float[Tensor, "n"], rank: int, n_passes: int, rng: torch.Generator
) -> Paced[Eigenpairs]:
    """Find the largest eigenvalues of a symmetric positive semidefinite operator, and their vectors.

    Randomized subspace iteration with a Rayleigh-Ritz step.

    Parameters
    ----------
    apply
        Function that multiplies a vector by the operator.
    like
        A vector of the operator's size, dtype and device.
    rank
        Number of eigenpairs to find, 1 or more; limited to n.
    n_passes
        Number of passes, 1 or more. Each reduces the error of the subspace by the ratio of the eigenvalues outside to those inside.
    rng
        Random generator on the CPU.

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
