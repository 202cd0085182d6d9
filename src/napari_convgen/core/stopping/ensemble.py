"""What several members of a fit say together: how much they differ, pixel by pixel."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

WINDOW = 5
"""Side in pixels of the square over which the members' variance is averaged: a few members alone give a noisy one."""


def variance_between(images: Float[Tensor, "m c *spatial"]) -> Float[Tensor, "c *spatial"]:
    """Return the unbiased variance between members, pixel by pixel.

    Whole images are added up: PyTorch's own variance along a first axis goes through memory pixel by pixel, ten times slower.

    Parameters
    ----------
    images
        Of 2 members at least.
    """
    mean, *others = images.unbind()
    for image in others:
        mean = mean + image
    mean = mean / len(images)
    total = (images[0] - mean) ** 2
    for image in others:
        total += (image - mean) ** 2
    return total / (len(images) - 1)


def local_variance(images: Float[Tensor, "m c *spatial"]) -> Float[Tensor, "c *spatial"]:
    """Return the unbiased variance between members, averaged over squares of `WINDOW` pixels (less at the borders).

    Parameters
    ----------
    images
        Of 2 members at least.
    """
    variance = variance_between(images)
    n_axes = variance.ndim - 1
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[n_axes - 1]
    window = [min(WINDOW, n - (n + 1) % 2) for n in variance.shape[1:]]
    padding = [n // 2 for n in window]
    smoothed: Tensor = pool(variance[None], window, 1, padding, count_include_pad=False)[0]
    return smoothed
