"""The share of an image in a subspace, and the angles between two subspaces."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.pace import Paced
from napari_convgen.core.spectra.centering import Centering


def energy_shares(vectors: Float[Tensor, "n r"], image: Float[Tensor, "n"]) -> Float[Tensor, "r"]:
    """Return the share of an image's energy, its squared length, in the first 1, 2, … vectors.

    Parameters
    ----------
    vectors
        Basis of the subspace, as orthonormal columns.
    image
        Flattened image with at least one value that is not zero.
    """
    return (vectors.T @ image).square().cumsum(0) / image.square().sum()


def principal_angles(a: Float[Tensor, "n p"], b: Float[Tensor, "n q"]) -> Float[Tensor, "r"]:
    """Return the angles between two subspaces, in radians and rising order; the smaller subspace has as many dimensions.

    Parameters
    ----------
    a, b
        Bases of both subspaces, as orthonormal columns.

    References
    ----------
    Björck and Golub, "Numerical methods for computing angles between linear subspaces", Math. Comp. 27 (1973): small angles are
    computed from their sines, large ones from their cosines.
    """
    if a.shape[1] < b.shape[1]:
        a, b = b, a
    common = a.T @ b
    cosines = torch.linalg.svdvals(common).clamp_max(1)
    sines = torch.linalg.svdvals(b - a @ common).flip(0).clamp_max(1)
    return torch.where(cosines**2 < 0.5, cosines.arccos(), sines.arcsin())


def paced_alignment(
    linear_map: LinearMap,
    image: Float[Tensor, "c *spatial"],
    centered: Centering,
    n_draws: int,
    rng: torch.Generator,
) -> Paced[tuple[float, Float[Tensor, "d"]]]:
    """Compare the length of J'y for an image y with that for white noise of the same length, means removed.

    The lengths say how fast descent begins to fit the image and the noise.

    Parameters
    ----------
    linear_map
        Jacobian J, to images ``(1, c, *spatial)``.
    image, centered
        Image, and the projection onto what was observed and has structure.
    n_draws
        Number of random draws of the noise.
    rng
        Random generator on the CPU.

    Returns
    -------
    image, noise
        Length for the image, and length for each draw of the noise.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, figure 12, which does not remove the means.
    """
    image = centered(image)
    lengths = [float(linear_map.adjoint(image.view(linear_map.out_shape)).norm())]
    yield
    for _ in range(n_draws):
        noise = centered(torch.randn(image.shape, generator=rng).to(image))
        noise *= image.norm() / noise.norm()
        lengths.append(float(linear_map.adjoint(noise.view(linear_map.out_shape)).norm()))
        yield
    return lengths[0], torch.tensor(lengths[1:], dtype=torch.float64)
