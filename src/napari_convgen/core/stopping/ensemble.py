"""The variance between the members of an ensemble at each pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

WINDOW = 5
"""Side, in pixels, of the square over which the variance is averaged.

Chosen so that the average has 25 pixels: the variance of a few members at a single pixel is noisy."""

LARGEST_RATIO = 8.0
"""Largest variance of a pixel that counts, relative to the mean of the others in its window.

Chosen so that a line of the window's length is no single pixel, and the average loses little: 2 % with two members whose differences
are white and Gaussian, which is when the variance at a pixel varies most, as the chi-squared distribution of one degree of freedom."""

LARGEST_SHARE = 1 / 3
"""Largest variance of a pixel that counts, relative to the sum of the others in its window, where `LARGEST_RATIO` allows less: in a
volume. It is that of `LARGEST_RATIO` in an image, so that lines of the window's length are no single pixels in a volume either."""

N_PASSES = 3
"""Number of times that pixels beyond the limit are looked for: each finds weaker ones beside those that it leaves out."""


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

    A single pixel can differ between members far more than all around it: noise far out in its tail, which one member has seen and
    another has not. It says nothing of its neighbors, and would raise the average of a whole square. So it counts at most as
    `LARGEST_RATIO` says.

    Parameters
    ----------
    images
        Images of at least 2 members.
    """
    variance = variance_between(images)
    reach = [min(WINDOW, n - (n + 1) % 2) // 2 for n in variance.shape[1:]]
    return _window_sum(_limited(variance, reach), reach) / _window_sum(torch.ones_like(variance), reach)


def _limited(variance: Float[Tensor, "c *spatial"], reach: Sequence[int]) -> Float[Tensor, "c *spatial"]:
    """Return variances of which each is limited by the mean of the others in its window; others beyond that limit do not count there."""
    n_others = math.prod(2 * r + 1 for r in reach) - 1
    ratio = max(LARGEST_RATIO, LARGEST_SHARE * n_others)
    counted = torch.ones_like(variance)
    limit = torch.full_like(variance, math.inf)
    for _ in range(N_PASSES if n_others else 0):
        others = _window_sum(counted * variance, reach) - counted * variance
        limit = ratio * others.clamp_min(0) / (_window_sum(counted, reach) - counted).clamp_min(1)
        counted = (variance <= limit).to(variance.dtype)
    return torch.minimum(variance, limit)


def _window_sum(values: Float[Tensor, "c *spatial"], reach: Sequence[int]) -> Float[Tensor, "c *spatial"]:
    """Return the sum over the pixels around each that are no further away along any axis than ``reach`` says.

    It is added up axis by axis from shifted images, four to ten times as fast as PyTorch's pooling on the CPU.
    """
    for axis, (n, r) in enumerate(zip(values.shape[1:], reach, strict=True), 1):
        total = values.clone()
        for shift in range(1, r + 1):
            total.narrow(axis, 0, n - shift).add_(values.narrow(axis, shift, n - shift))
            total.narrow(axis, shift, n - shift).add_(values.narrow(axis, 0, n - shift))
        values = total
    return values
