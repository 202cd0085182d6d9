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

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.fft import dctn

SIDES = (8, 4, 2)
"""Sides of the blocks that are tried, until there are enough without a missing value."""

N_ENOUGH, N_MOST = 100, 40_000
"""So many blocks are wanted, and so many are looked at."""

OVERLAP = 1.5
"""Blocks that overlap are worth this many times as much as those that lie side by side."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of the last one or two axes of a channel.

    Attributes
    ----------
    mean
        Of each block.
    slow, middle, smooth
        Mean energy of the coefficients of the very lowest frequencies, of those above, and of the lower half (with both); white noise of
        variance 1 has 1 in each.
    spectrum
        Mean energy of the coefficients of each frequency in the upper half, from the lowest.
    at_low, at_high
        Share of each block's values at the channel's minimum and maximum.
    n_fine
        Coefficients of each frequency in the upper half.
    weight
        Independent blocks that each one is worth.
    spacing
        Of a block's pixels.
    """

    mean: Float[np.ndarray, "n"]
    slow: Float[np.ndarray, "n"]
    middle: Float[np.ndarray, "n"]
    smooth: Float[np.ndarray, "n"]
    spectrum: Float[np.ndarray, "n f"]
    at_low: Float[np.ndarray, "n"]
    at_high: Float[np.ndarray, "n"]
    n_fine: Int[np.ndarray, "f"]
    weight: float
    spacing: int

    @classmethod
    def of(
        cls, image: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"], spacing: int = 1
    ) -> Self:
        """Cut a channel into blocks.

        Parameters
        ----------
        image
            One channel.
        is_observed
            False where a value is missing.
        spacing
            Of a block's pixels; beyond the reach of correlated noise its pixels are independent.
        """
        values = np.where(is_observed, image, np.nan)
        planes = values.reshape(-1, *values.shape[-2:]) if values.ndim > 1 else values[np.newaxis, np.newaxis]
        for side in SIDES:
            shape = [side if n >= side * spacing else 1 for n in planes.shape[1:]]
            if max(shape) == 1:
                continue
            blocks = cut(planes, shape, spacing)
            n_all = len(blocks)
            blocks = blocks[np.isfinite(blocks).all((1, 2))]
            if len(blocks) >= min(N_ENOUGH, 0.1 * n_all):
                break
        else:
            blocks, shape = np.zeros((0, 1, 2)), [1, 2]
        energy = dctn(blocks, axes=(1, 2), norm="ortho") ** 2
        highest = sum(shape) - 2
        frequency = np.add.outer(*(np.arange(n) for n in shape))
        fine = [frequency == i for i in range(highest // 2 + 1, highest + 1)]
        is_smooth = (frequency > 0) & (2 * frequency <= highest)
        is_slow = (frequency > 0) & (7 * frequency <= highest)
        is_middle = (7 * frequency > highest) & (14 * frequency <= 5 * highest)
        low, high = np.min(values[is_observed], initial=np.inf), np.max(values[is_observed], initial=-np.inf)
        n_disjoint = np.isfinite(values).sum() / np.prod(shape)
        return cls(
            mean=blocks.mean((1, 2)),
            slow=_mean(energy, is_slow),
            middle=_mean(energy, is_middle),
            smooth=_mean(energy, is_smooth),
            spectrum=np.stack([_mean(energy, chosen) for chosen in fine], 1),
            at_low=(blocks == low).mean((1, 2)),
            at_high=(blocks == high).mean((1, 2)),
            n_fine=np.array([chosen.sum() for chosen in fine]),
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
            at_low=self.at_low[chosen],
            at_high=self.at_high[chosen],
        )


def _mean(energy: Float[np.ndarray, "n h w"], chosen: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "n"]:
    return energy[:, chosen].mean(1) if chosen.any() else np.zeros(len(energy))


def cut(planes: Float[np.ndarray, "n h w"], shape: Sequence[int], spacing: int = 1) -> Float[np.ndarray, "k a b"]:
    """All blocks, or as many on a coarser grid as are looked at."""
    reach = [spacing * (n - 1) + 1 for n in shape]
    views = np.lib.stride_tricks.sliding_window_view(planes, reach, axis=(1, 2))[..., ::spacing, ::spacing]
    counts = np.array(views.shape[:3])
    step = np.ones(3, int)
    while np.prod(-(-counts // step)) > N_MOST:
        # Between slices of a stack first where blocks would come to lie side by side.
        step[0 if step[1] >= max(shape) and step[0] < counts[0] else slice(1, 3)] += 1
    return views[:: step[0], :: step[1], :: step[2]].reshape(-1, *shape)
