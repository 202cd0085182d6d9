r"""The linear algebra of a group of k similar patches with n pixels each, the rows of Y; all groups at once.

All is in standard deviations of the noise, and the mean of the group is left out of each patch and added again: combinations whose
weights add up to one leave it as it is, so that a row of :math:`\Theta` here is that of the published, affine one less 1/k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Invert = Callable[[Tensor], Tensor]

LEAST_NOISE = {torch.float32: 4e-6, torch.float64: 1e-14}
"""Least power of the noise relative to that of the patches, for a matrix of their products to have an inverse: some tens of roundings."""


@dataclass(frozen=True, eq=False)
class Mixed:
    """Denoised patches of each group, without the group's mean.

    Attributes
    ----------
    patches
        Denoised patches.
    noise
        Variance of the noise that is left in each patch, its mean's included, relative to the variance before; from 1/k to 1.
    """

    patches: Float[Tensor, "g k n"]
    noise: Float[Tensor, "g k"]


def mix_noisy(noisy: Float[Tensor, "g k n"], slack: float, invert: Invert) -> Mixed:
    r"""Combine noisy patches, without an estimate of the clean ones, by :math:`\Theta` of the least estimated risk.

    Stein's estimate of the risk of :math:`\Theta Y`, plus ``slack`` a times the noise that is left in it, is least for

    .. math:: \Theta = I - (1 + a) n (Y Y^T + a n I)^{-1}.

    Parameters
    ----------
    noisy
        Patches Y.
    slack
        The weight a, above 0; larger where the precision needs it, as patches differ by far more than the noise.
    invert
        Function that inverts symmetric positive definite matrices.
    """
    k, n = noisy.shape[1:]
    theta = noisy @ noisy.mT
    a = (LEAST_NOISE[theta.dtype] / n * theta.diagonal(dim1=1, dim2=2).sum(1)).clamp_min(slack)[:, None, None]
    theta.diagonal(dim1=1, dim2=2).add_(a[:, 0] * n)
    theta = invert(theta).mul_(-(1 + a) * n).add_((1 + a) / (a * k) - 1 / k)
    theta.diagonal(dim1=1, dim2=2).add_(1)
    return Mixed(theta @ noisy, (theta.square().sum(2) + 1 / k).clamp(1 / k, 1))


def mix_patches(
    pilot: Float[Tensor, "g k n"], noisy: Float[Tensor, "g k n"], level: Float[Tensor, "g"], invert: Invert
) -> Mixed:
    r"""Combine patches that have white noise by :math:`\Theta` of the least risk, were the clean patches those of the pilot.

    With P the pilot's patches and t the noise level it is a ridge regression,

    .. math:: \Theta = I - n t^2 (P P^T + n t^2 I)^{-1} = P (P^T P + n t^2 I)^{-1} P^T.

    Parameters
    ----------
    pilot, noisy
        Patches P and Y.
    level
        Noise level t of each group's patches, in standard deviations of the image's noise.
    invert
        Function that inverts symmetric positive definite matrices.
    """
    k, n = pilot.shape[1:]
    gram = pilot.mT @ pilot
    ridge = torch.maximum(n * level**2, LEAST_NOISE[gram.dtype] * gram.diagonal(dim1=1, dim2=2).sum(1))
    gram.diagonal(dim1=1, dim2=2).add_(ridge[:, None])
    left = pilot @ invert(gram)
    squares = (left * pilot).sum(2) - ridge[:, None] * left.square().sum(2)
    return Mixed(left @ (pilot.mT @ noisy), (squares + 1 / k).clamp(1 / k, 1))


def mix_pixels(
    pilot: Float[Tensor, "g k n"],
    noisy: Float[Tensor, "g k n"],
    level: Float[Tensor, "g"],
    covariance: Float[Tensor, "n n"],
    invert: Invert,
) -> Mixed:
    r"""Combine the pixels within each patch, for correlated noise: the Wiener filter of the group.

    With C the covariance of the pilot's patches and S that of the noise, it is :math:`Y (C + t^2 S)^{-1} C`. Combinations of patches would
    have the same weights for structures of all sizes; where the noise has more power in coarse structures, such weights suit none.

    Parameters
    ----------
    pilot, noisy, level, invert
        As for `mix_patches`.
    covariance
        Covariance S of the noise of a patch's pixels, 1 for a pixel with itself.

    References
    ----------
    M. Lebrun, A. Buades, J.-M. Morel, "A nonlocal Bayesian image denoising algorithm", SIAM Journal on Imaging Sciences 6(3), 2013.
    """
    k, n = pilot.shape[1:]
    clean = pilot.mT @ pilot / k
    both = clean + (level**2)[:, None, None] * covariance
    both.diagonal(dim1=1, dim2=2).add_(LEAST_NOISE[both.dtype] * both.diagonal(dim1=1, dim2=2).sum(1, keepdim=True))
    weights = invert(both) @ clean
    noise = (weights * (covariance @ weights)).sum((1, 2)) / n + 1 / k
    return Mixed(noisy @ weights, noise.clamp(1 / k, 1)[:, None].expand(-1, k))
