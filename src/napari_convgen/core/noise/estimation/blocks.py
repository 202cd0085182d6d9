"""Small blocks of an image, each split into smooth and fine parts.

In a block without structure the fine part is noise alone. Where noise is white the smooth part says nothing about the fine
one, so blocks can be chosen by their smooth parts, the flattest, and the noise be read from their fine parts without bias.

References
----------
N. N. Ponomarenko, V. V. Lukin, M. S. Zriakhov, A. Kaarna, J. Astola, "An automatic approach to lossy compression of AVIRIS
images", IGARSS 2007. M. Colom, A. Buades, "Analysis and extension of the Ponomarenko et al. method, estimating a noise curve
from a single image", Image Processing On Line 3, 2013 (cosine transforms, blocks chosen by their low frequencies).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.fft import dctn, idctn

SIDES = (8, 4, 2)
"""Sides of the blocks in pixels, tried in this order until enough blocks have no missing value; 8 is that of Ponomarenko et al."""

N_ENOUGH, MIN_COMPLETE = 100, 0.1
"""Number and share of the blocks without a missing value, either of which is enough. Chosen on the tuning images of benchmarks/noise.py."""

N_MOST = 40_000
"""Largest number of blocks that are looked at, for speed: the standard error of a variance from all of them is far below 1 %."""

OVERLAP = 1.5
"""Information in overlapping blocks, relative to blocks side by side. Chosen on the tuning images of benchmarks/noise.py."""

N_FREQUENCIES = 14
"""Highest frequency, of both axes together, of a block of 8 × 8 pixels."""

SLOW_END, MIDDLE_END, SMOOTH_END = 2, 5, 7
"""Last of the lowest frequencies, of those above and of the lower half, in a block of 8 × 8 pixels; other blocks have them in proportion.
Chosen on the tuning images of benchmarks/noise.py."""

MIN_CUBES = 0.01
"""Sum of the cubes of the projection on the fine part, relative to the number of pixels, below which cubes say nothing: they cancel in
blocks of 2 × 2. A block of 8 × 8 has 0.18."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of the last one or two axes of a channel.

    Attributes
    ----------
    mean
        Mean value of each block.
    slow, middle, smooth
        Mean energy of the coefficients of the very lowest frequencies, of those above, and of the lower half (with both); white noise of
        variance 1 has 1 in each.
    spectrum
        Mean energy of the coefficients of each frequency in the upper half, from the lowest.
    third
        Estimate of the third cumulant of noise that is independent from pixel to pixel, from the upper half of each block's frequencies;
        0 if it was not asked for.
    at_low, at_high
        Share of each block's values at the channel's minimum and maximum.
    n_fine
        Number of coefficients of each frequency in the upper half.
    n_third
        Number of pixels without structure whose third central moment has the variance of ``third``; 0 if it was not or cannot be
        estimated.
    weight
        Number of independent blocks that one block counts as, 1 at most.
    spacing
        Distance in pixels between neighbors in a block.
    """

    mean: Float[np.ndarray, "n"]
    slow: Float[np.ndarray, "n"]
    middle: Float[np.ndarray, "n"]
    smooth: Float[np.ndarray, "n"]
    spectrum: Float[np.ndarray, "n f"]
    third: Float[np.ndarray, "n"]
    at_low: Float[np.ndarray, "n"]
    at_high: Float[np.ndarray, "n"]
    n_fine: Int[np.ndarray, "f"]
    n_third: float
    weight: float
    spacing: int

    @classmethod
    def of(
        cls,
        image: Float[np.ndarray, "*spatial"],
        is_observed: Bool[np.ndarray, "*spatial"],
        spacing: int = 1,
        *,
        has_third: bool = False,
    ) -> Self:
        """Cut a channel into blocks.

        Parameters
        ----------
        image
            Values of one channel, in any units.
        is_observed
            False where a value is missing.
        spacing
            Distance in pixels between neighbors in a block; from the correlation length of the noise on its pixels are independent.
        has_third
            True to estimate third cumulants, which takes longer than all else; False, the default, to leave them 0.
        """
        values = np.where(is_observed, image, np.nan)
        planes = values.reshape(-1, *values.shape[-2:]) if values.ndim > 1 else values[np.newaxis, np.newaxis]
        blocks, shape = _complete_blocks(planes, spacing)
        energy = dctn(blocks, axes=(1, 2), norm="ortho") ** 2
        highest = sum(shape) - 2
        frequency = np.add.outer(*(np.arange(n) for n in shape))
        fine = [frequency == i for i in range(highest // 2 + 1, highest + 1)]
        slow_end, middle_end, smooth_end = (end * highest for end in (SLOW_END, MIDDLE_END, SMOOTH_END))
        place = N_FREQUENCIES * frequency
        third, n_third = _third_cumulants(blocks) if has_third else (np.zeros(len(blocks)), 0.0)
        low, high = np.min(values[is_observed], initial=np.inf), np.max(values[is_observed], initial=-np.inf)
        n_disjoint = np.isfinite(values).sum() / np.prod(shape)
        return cls(
            mean=blocks.mean((1, 2)),
            slow=_mean(energy, (frequency > 0) & (place <= slow_end)),
            middle=_mean(energy, (place > slow_end) & (place <= middle_end)),
            smooth=_mean(energy, (frequency > 0) & (place <= smooth_end)),
            spectrum=np.stack([_mean(energy, chosen) for chosen in fine], 1),
            third=third,
            at_low=(blocks == low).mean((1, 2)),
            at_high=(blocks == high).mean((1, 2)),
            n_fine=np.array([chosen.sum() for chosen in fine]),
            n_third=n_third,
            weight=float(min(1, OVERLAP * n_disjoint / max(len(blocks), 1))),
            spacing=spacing,
        )

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.mean)

    @property
    def fine(self) -> Float[np.ndarray, "n"]:
        """Mean energy of the coefficients of the upper half."""
        return np.asarray(self.spectrum @ self.n_fine / self.n_fine.sum())

    def take(self, chosen: Bool[np.ndarray, "n"] | Int[np.ndarray, "k"]) -> Blocks:
        """Return some of the blocks."""
        return replace(
            self,
            mean=self.mean[chosen],
            slow=self.slow[chosen],
            middle=self.middle[chosen],
            smooth=self.smooth[chosen],
            spectrum=self.spectrum[chosen],
            third=self.third[chosen],
            at_low=self.at_low[chosen],
            at_high=self.at_high[chosen],
        )


def _complete_blocks(planes: Float[np.ndarray, "n h w"], spacing: int) -> tuple[Float[np.ndarray, "k a b"], list[int]]:
    """Return the blocks without a missing value, of the first side that leaves enough of them, and their shape."""
    for side in SIDES:
        shape = [side if n >= side * spacing else 1 for n in planes.shape[1:]]
        if max(shape) == 1:
            continue
        blocks = cut(planes, shape, spacing)
        n_all = len(blocks)
        blocks = blocks[np.isfinite(blocks).all((1, 2))]
        if len(blocks) >= min(N_ENOUGH, MIN_COMPLETE * n_all):
            return blocks, shape
    return np.zeros((0, 1, 2)), [1, 2]


def _mean(energy: Float[np.ndarray, "n h w"], chosen: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "n"]:
    return energy[:, chosen].mean(1) if chosen.any() else np.zeros(len(energy))


def _third_cumulants(blocks: Float[np.ndarray, "n h w"]) -> tuple[Float[np.ndarray, "n"], float]:
    """Return an estimate of the third cumulant of a pixel's noise from the fine part of each block, and the number of pixels in it.

    The fine part of independent noise w is P w, with a projection P. The sum of its cubes has the mean ``κ₃ Σ P³`` and, of Gaussian noise
    of variance 1, the variance ``6 Σ P³ + 9 pᵀP p``, where p is the diagonal of P.

    Returns
    -------
    cumulants, n_pixels
        Estimate for each block, in image units cubed, and the number of pixels without structure whose third central moment has the same
        variance; 0 if it cannot be estimated, as in blocks of 2 × 2 pixels.
    """
    n, *shape = blocks.shape
    frequency, pixels = np.add.outer(*map(np.arange, shape)), np.eye(math.prod(shape)).reshape(-1, *shape)
    fine = np.where(frequency > frequency.max() // 2, dctn(pixels, axes=(1, 2), norm="ortho"), 0.0)
    projection = idctn(fine, axes=(1, 2), norm="ortho").reshape(len(pixels), -1)
    cubes, own = float((projection**3).sum()), np.diag(projection)
    if cubes < MIN_CUBES * len(pixels):
        return np.zeros(n), 0.0
    noise = blocks.reshape(n, -1) @ projection
    return (noise * noise * noise).sum(1) / cubes, 6 * cubes**2 / (6 * cubes + 9 * float(own @ projection @ own))


def cut(planes: Float[np.ndarray, "n h w"], shape: Sequence[int], spacing: int = 1) -> Float[np.ndarray, "k a b"]:
    """Return all blocks, or those on a coarser grid where they are more than `N_MOST`.

    Parameters
    ----------
    planes
        Images to cut.
    shape
        Pixels of a block along each axis.
    spacing
        Distance in pixels between neighbors in a block.
    """
    reach = [spacing * (n - 1) + 1 for n in shape]
    views = np.lib.stride_tricks.sliding_window_view(planes, reach, axis=(1, 2))[..., ::spacing, ::spacing]
    counts = np.array(views.shape[:3])
    step = np.ones(3, int)
    while np.prod(-(-counts // step)) > N_MOST:
        # Between slices of a stack first where blocks would come to lie side by side.
        step[0 if step[1] >= max(shape) and step[0] < counts[0] else slice(1, 3)] += 1
    return views[:: step[0], :: step[1], :: step[2]].reshape(-1, *shape)
