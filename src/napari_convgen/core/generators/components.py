"""The principal components of the channels of images."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def principal_basis(images: Float[Tensor, "*b c *spatial"], n_axes: int) -> Float[Tensor, "c c"]:
    """Return the principal components of channels as orthonormal rows, that of the largest variance first.

    The weight of the largest magnitude is positive in each.

    Parameters
    ----------
    images
        Images with ``n_axes`` spatial axes, channels before them.
    n_axes
        Number of spatial axes.
    """
    channels = images.movedim(-n_axes - 1, 0).flatten(1).double().cpu()
    rows: Tensor = torch.linalg.eigh(channels.cov(correction=0))[1].T.flip(0)
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    return (rows * largest.sign()).to(images)


def combined(
    weights: Float[Tensor, "d c"], images: Float[Tensor, "*b c *spatial"], n_axes: int
) -> Float[Tensor, "*b d *spatial"]:
    """Return weighted sums of the channels of images with ``n_axes`` spatial axes, channels before them."""
    sums: Tensor = torch.tensordot(weights, images, ([1], [images.ndim - n_axes - 1]))
    return sums.movedim(0, -n_axes - 1)
