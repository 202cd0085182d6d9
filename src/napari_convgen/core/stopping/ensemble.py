"""The variance between the members of an ensemble at each pixel."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

WINDOW = 5
"""Side, in pixels, of the square over which the variance is averaged.

Chosen so that the average has 25 pixels: the variance of a few members at a single pixel is noisy."""


def variance_between(images: Float[Tensor, "m c *spatial"]) -> Float[Tensor, "c *spatial"]:
    """Return the unbiased variance between members at each pixel.

    It is computed from sums of whole images: PyTorch's own variance along the first axis reads memory pixel by pixel, ten times slower.

    Parameters
    ----------
    images
        Images of at least 2 members.
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
    """Return the unbiased variance between members, averaged over squares of `WINDOW` pixels that are cut off at the borders.

    Parameters
    ----------
    images
        Images of at least 2 members.
    """
    variance = variance_between(images)
    n_axes = variance.ndim - 1
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[n_axes - 1]
    window = [min(WINDOW, n - (n + 1) % 2) for n in variance.shape[1:]]
    padding = [n // 2 for n in window]
    smoothed: Tensor = pool(variance[None], window, 1, padding, count_include_pad=False)[0]
    return smoothed
