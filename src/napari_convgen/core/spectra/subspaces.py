"""What a subspace holds of an image, and how two subspaces lie to each other."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.spectra.jacobian import remove_mean
from napari_convgen.core.spectra.pace import Paced


def energy_shares(vectors: Float[Tensor, "n r"], image: Float[Tensor, "n"]) -> Float[Tensor, "r"]:
    """Return the share of an image's energy, its squared length, in the first 1, 2, … vectors.

    Parameters
    ----------
    vectors
        Orthonormal columns.
    image
        Not zero.
    """
    return (vectors.T @ image).square().cumsum(0) / image.square().sum()


def principal_angles(a: Float[Tensor, "n p"], b: Float[Tensor, "n q"]) -> Float[Tensor, "r"]:
    """Return the angles between two subspaces, rising, in radians; as many as the smaller one has dimensions.

    Parameters
    ----------
    a, b
        Orthonormal columns.

    References
    ----------
    Björck and Golub, "Numerical methods for computing angles between linear subspaces", Math. Comp. 27 (1973): small angles are
    told by their sines, large ones by their cosines.
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
    weights: Float[Tensor, "c *spatial"],
    n_draws: int,
    rng: torch.Generator,
) -> Paced[tuple[float, Float[Tensor, "d"]]]:
    """Compare the length of J'y for an image with that for white noise of the same length, means taken out.

    It is how fast descent starts to draw the one and the other.

    Parameters
    ----------
    linear_map
        J, to images ``(1, c, *spatial)``.
    image, weights
        The image, and 1 where its values are observed.
    n_draws
        Of the noise.
    rng
        On the CPU.

    Returns
    -------
    image, noise
        The length for the image, and for each draw.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, figure 12, where the means are in.
    """
    image = remove_mean(image, weights)
    lengths = [float(linear_map.adjoint(image.view(linear_map.out_shape)).norm())]
    yield
    for _ in range(n_draws):
        noise = remove_mean(torch.randn(image.shape, generator=rng).to(image), weights)
        noise *= image.norm() / noise.norm()
        lengths.append(float(linear_map.adjoint(noise.view(linear_map.out_shape)).norm()))
        yield
    return lengths[0], torch.tensor(lengths[1:], dtype=torch.float64)
