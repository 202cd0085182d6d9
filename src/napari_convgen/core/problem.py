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
class PixelWorth:
    """What errors of an image count in the user's units, and the noise they are to be told from.

    Where the noise was stabilized, one of the generator's units is not worth the same everywhere.

    Attributes
    ----------
    weights
        Of squares in the generator's units; 0 where a value is missing. Their sum is 1.
    unit
        Of the user's units squared: the weighted mean of squares, times this, is the mean square in the user's units. 0 if the image is
        background alone.
    noise_variance
        In the generator's units; NaN if it is not known.
    """

    weights: Float[Tensor, "c *spatial"]
    unit: float
    noise_variance: Float[Tensor, "c *spatial"]

    def mean(self, squares: Float[Tensor, "c *spatial"]) -> float:
        """Return the weighted mean of squares in the generator's units."""
        return float((self.weights * squares).sum())


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
    worth
        Of the pixels of an image; ``None`` if the user's units are the generator's.
    """

    measurement: Float[Tensor, "c *spatial"]
    weights: Float[Tensor, "c *spatial"]
    noise_level: Float[Tensor, "c"] | None = None
    correlation_length: int = 1
    noise_spectrum: Float[np.ndarray, "a b"] | None = None
    counts: Float[Tensor, "c *spatial"] | None = None
    from_counts: Callable[[Tensor, float], Tensor] | None = None
    worth: Callable[[Tensor], PixelWorth] | None = None

    @classmethod
    def of(cls, image: ImageTensor, device: torch.device, dtype: torch.dtype = torch.float32) -> Self:
        """Put an image on a device."""

        def tensor(values: NDArray[Any]) -> Tensor:
            return torch.as_tensor(values, dtype=dtype).to(device)

        def worth(values: Tensor) -> PixelWorth:
            drawn = values.cpu().numpy()
            squares = image.slope(drawn) ** 2 * image.is_observed
            weights = squares if squares.any() else image.is_observed.astype(np.float64)
            return PixelWorth(
                tensor(weights / weights.sum()),
                float(squares.sum() / image.is_observed.sum()),
                tensor(image.noise_variance(drawn)),
            )

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
            worth,
        )

    def worth_at(self, image: Float[Tensor, "c *spatial"]) -> PixelWorth:
        """Return what the pixels are worth, if ``image`` is the clean one; if it is near that, to first order."""
        if self.worth is not None:
            return self.worth(image)
        variance = torch.full_like(image, torch.nan)
        if self.noise_level is not None:
            variance = (self.noise_level.to(image).view(-1, *(1,) * (image.ndim - 1)) ** 2).expand_as(image)
        return PixelWorth(self.weights / self.weights.sum(), 1.0, variance)

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
