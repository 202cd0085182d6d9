"""What is fitted: the measured image, which of its pixels count, and what is known of its noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.core.image import ImageTensor
from napari_convgen.core.noise import correlation_length, noise_spectrum


@dataclass(frozen=True, eq=False)
class Local:
    """What is known of each pixel.

    Attributes
    ----------
    weights
        Of squares in the generator's units: their weighted sum is the mean square in the user's. Where the noise was stabilized, a unit is
        not worth the same everywhere. 0 where a value is missing.
    noise_variance
        In the generator's units; NaN if it is not known.
    """

    weights: Float[Tensor, "c *spatial"]
    noise_variance: Float[Tensor, "c *spatial"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A measurement in the generator's units.

    Attributes
    ----------
    measurement
        The noisy image.
    weights
        1 where a value is observed, 0 where it is missing.
    noise_level
        Standard deviation of the noise in each channel, over the whole image; ``None`` if it is not known.
    correlation_length
        Distance in pixels from which on the noise of two pixels is independent; 1 for white noise.
    noise_spectrum
        Power of the noise at each frequency along the last two axes, as of `napari_convgen.core.noise.noise_spectrum`; ``None`` for white
        noise.
    counts
        The image in detected events, where the noise is that of counting them.
    from_counts
        Brings such an image, of which only a share of the events was kept, into the generator's units.
    user_units
        Given an image, says how many of the user's units one of the generator's is at each pixel, and the variance of the noise there.
    """

    measurement: Float[Tensor, "c *spatial"]
    weights: Float[Tensor, "c *spatial"]
    noise_level: Float[Tensor, "c"] | None = None
    correlation_length: int = 1
    noise_spectrum: Float[np.ndarray, "a b"] | None = None
    counts: Float[Tensor, "c *spatial"] | None = None
    from_counts: Callable[[Tensor, float], Tensor] | None = None
    user_units: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None

    @classmethod
    def of(cls, image: ImageTensor, device: torch.device, dtype: torch.dtype = torch.float32) -> Self:
        """Put an image on a device."""

        def tensor(values: NDArray[Any]) -> Tensor:
            return torch.as_tensor(values, dtype=dtype).to(device)

        def user_units(values: Tensor) -> tuple[Tensor, Tensor]:
            drawn = values.cpu().numpy()
            return tensor(image.slope(drawn)), tensor(image.noise_variance(drawn))

        noise, level = image.noise, image.mean_noise_level
        length = correlation_length(image.values, image.is_observed) if noise is None else noise.correlation_length
        is_counted = noise is not None and noise.kind == "poisson-gaussian" and min(noise.gain) > 0
        return cls(
            tensor(image.values),
            tensor(image.is_observed),
            tensor(level) if (level > 0).all() else None,
            length,
            None if length == 1 else noise_spectrum(image.values, image.is_observed),
            tensor(image.counts) if is_counted else None,
            (lambda counts, share: tensor(image.from_counts(counts.cpu().numpy(), share))) if is_counted else None,
            user_units,
        )

    def at(self, image: Float[Tensor, "c *spatial"]) -> Local:
        """Return what is known of each pixel, if ``image`` is the clean one."""
        if self.user_units is not None:
            slope, variance = self.user_units(image)
        else:
            slope, variance = torch.ones_like(image), torch.full_like(image, torch.nan)
            if self.noise_level is not None:
                variance = (self.noise_level.view(-1, *(1,) * (image.ndim - 1)) ** 2).expand_as(image)
        return Local(self.weights * slope**2 / self.weights.sum(), variance)

    def low_pass_error(self, grid: Sequence[int]) -> float:
        """Return the mean squared error of the image made of ``grid`` constant blocks.

        A healthy fit gets below that of a coarse grid soon; a collapsed one stays far above.
        """
        total, count = self.weights * self.measurement, self.weights
        for axis, n in enumerate(grid, start=1):
            total, count = (_add_blocks(x, axis, n) for x in (total, count))
        blocks = total / count.clamp_min(1)
        for axis, size in enumerate(self.measurement.shape[1:], start=1):
            blocks = blocks.index_select(axis, _block_of(size, grid[axis - 1], blocks.device))
        return float((self.weights * (blocks - self.measurement) ** 2).sum() / self.weights.sum())


def _block_of(size: int, n: int, device: torch.device) -> Tensor:
    """Number of the block, of ``n``, that each of ``size`` pixels lies in."""
    return torch.arange(size, device=device) * n // size


def _add_blocks(x: Tensor, axis: int, n: int) -> Tensor:
    shape = list(x.shape)
    shape[axis] = n
    return x.new_zeros(shape).index_add_(axis, _block_of(x.shape[axis], n, x.device), x)
