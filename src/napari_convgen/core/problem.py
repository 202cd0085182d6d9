"""The problem that is solved: a measurement, the operator that predicts it from an image, and what is known of its noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.core.columns import as_column
from napari_convgen.core.image import ImageTensor
from napari_convgen.core.noise import correlation_length
from napari_convgen.core.operators.forward_model import ForwardModel
from napari_convgen.core.operators.identity import identity


@dataclass(frozen=True, eq=False)
class ErrorWeights:
    """The weight of each pixel's squared error in the user's units, and the variance of the noise there.

    Where the noise was stabilized, one of the generator's units is not the same in the user's units everywhere.

    Attributes
    ----------
    weights
        Weight of each square in the generator's units, with a sum of 1; 0 where a value is missing.
    unit
        Factor from the weighted mean of squares to the mean square in the user's units; 0 if the image is background alone.
    noise_variance
        Variance of the noise at each pixel, in the generator's units squared; NaN if it is not known.
    signal_share
        Probability that there is any signal at each pixel; 1, the default, unless the image has magnitudes at their noise floor.
    """

    weights: Float[Tensor, "c *spatial"]
    unit: float
    noise_variance: Float[Tensor, "c *spatial"]
    signal_share: Float[Tensor, "c *spatial"] | float = 1.0

    def mean(self, squares: Float[Tensor, "c *spatial"]) -> float:
        """Return the weighted mean of squares in the generator's units."""
        return float((self.weights * squares).sum())


@dataclass(frozen=True, eq=False)
class Problem:
    """A measurement y in the generator's units, and the operator A that predicts it from an image x.

    Attributes
    ----------
    measurement
        The noisy measurement, shape ``operator.out_shape``.
    weights
        1 where a value is observed, 0 where it is missing; in the measurement's shape. Where the noise depends on the signal and is not
        stabilized, its inverse variance relative to that of ``noise_level``, 1 on average.
    noise_level
        Standard deviation of the noise in each channel of the measurement, averaged over it; ``None`` if it is not known.
    correlation_length
        Noise correlation length in pixels: the noise of two pixels at least that far apart is independent; 1 for white noise.
    noise_spectrum
        Power of the noise at each frequency along the last two axes, see `napari_convgen.core.noise.noise_spectrum`; ``None`` for white
        noise.
    counts
        The measurement in detected events, for noise that comes from counting them; else ``None``.
    from_counts
        Function that brings such counts, when only a share of the events was kept, into the generator's units.
    error_weights
        Function from an image to its `ErrorWeights`; ``None`` if the user's units are the generator's.
    operator
        Map from an image to a prediction of the measurement; ``None``, the default, is the identity, which is denoising.
    is_level_given
        True if a user gave the noise level; default False: it was estimated.
    bright_noise_level
        Standard deviation of the noise where pixels are bright enough for their stabilized noise to be even; in dark pixels it is lower.
        ``None``, the default, if the noise level is not known.
    """

    measurement: Shaped[Tensor, "c *entries"]
    weights: Float[Tensor, "c *entries"]
    noise_level: Float[Tensor, "c"] | None = None
    correlation_length: int = 1
    noise_spectrum: Float[np.ndarray, "a b"] | None = None
    counts: Float[Tensor, "c *entries"] | None = None
    from_counts: Callable[[Tensor, float], Tensor] | None = None
    error_weights: Callable[[Tensor], ErrorWeights] | None = None
    operator: ForwardModel | None = None
    is_level_given: bool = False
    bright_noise_level: Float[Tensor, "c"] | None = None

    @classmethod
    def of(
        cls,
        image: ImageTensor,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        operator: ForwardModel | None = None,
    ) -> Self:
        """Put a scaled measurement on a device.

        Parameters
        ----------
        image
            The measurement in the generator's units.
        device, dtype
            Device and floating point type of the tensors.
        operator
            Map from an image to a prediction of the measurement; the identity if ``None``.
        """

        def tensor(values: NDArray[Any]) -> Tensor:
            return torch.as_tensor(values, dtype=dtype).to(device)

        def error_weights(values: Tensor) -> ErrorWeights:
            estimate = values.cpu().numpy()
            squares = image.slope(estimate) ** 2 * image.is_observed
            weights = squares if squares.any() else image.is_observed.astype(np.float64)
            return ErrorWeights(
                tensor(weights / weights.sum()),
                float(squares.sum() / image.is_observed.sum()),
                tensor(image.noise_variance(estimate)),
                tensor(image.signal_share(estimate)),
            )

        noise, level = image.noise, image.mean_noise_level
        length = correlation_length(image.values, image.is_observed) if noise is None else noise.correlation_length
        is_counted = image.has_counts
        return cls(
            tensor(image.values),
            tensor(image.is_observed if image.weights is None else image.weights * image.is_observed),
            tensor(level) if (level > 0).all() else None,
            length,
            image.noise_spectrum,
            tensor(image.counts) if is_counted else None,
            (lambda counts, share: tensor(image.from_counts(counts.cpu().numpy(), share))) if is_counted else None,
            error_weights,
            operator,
            noise is not None and noise.is_given,
            tensor(image.noise_level) if (level > 0).all() else None,
        )

    @property
    def forward_model(self) -> ForwardModel:
        """The operator: the identity on the measurement's shape where none was given."""
        return identity(self.measurement.shape) if self.operator is None else self.operator

    @property
    def is_denoising(self) -> bool:
        """True if the operator is the identity."""
        return self.operator is None or self.operator.is_identity

    @property
    def image_weights(self) -> Float[Tensor, "c *spatial"]:
        """1 where a pixel of the image counts, 0 where it does not: only denoising can say that a pixel was not observed."""
        return self.weights if self.is_denoising else self.weights.new_ones(self.forward_model.in_shape)

    def predict(self, images: Float[Tensor, "*m_c_spatial"]) -> Shaped[Tensor, "*m_c_entries"]:
        """Return A(x), for one image or for a stack of them along a first axis."""
        if self.is_denoising:
            return images
        model = self.forward_model
        if images.ndim == len(model.in_shape):
            return model.apply(images)
        return torch.stack([model.apply(image) for image in images])

    def residual(
        self, images: Float[Tensor, "*m_c_spatial"], measurements: Shaped[Tensor, "*m_c_entries"] | None = None
    ) -> Shaped[Tensor, "*m_c_entries"]:
        """Return A(x) - y: the only place where a measurement is taken from an image.

        Parameters
        ----------
        images
            One image, or a stack of them along a first axis.
        measurements
            Measurements in the place of y, one for all images or one for each; y itself if ``None``.
        """
        return self.predict(images) - (self.measurement if measurements is None else measurements)

    def error_weights_at(self, image: Float[Tensor, "c *spatial"]) -> ErrorWeights:
        """Return the error weights if ``image`` is the clean one; near it they are right to first order. Of denoising only."""
        if self.error_weights is not None:
            return self.error_weights(image)
        variance = torch.full_like(image, torch.nan)
        if self.noise_level is not None:
            variance = as_column(self.noise_level.to(image) ** 2, image.ndim).expand_as(image)
        return ErrorWeights(self.weights / self.weights.sum(), 1.0, variance)

    def low_pass_error(self, grid: Sequence[int]) -> float:
        """Return the mean squared error of the measurement's approximation by constant blocks.

        A healthy fit gets below the error of a coarse grid soon; a collapsed fit stays far above.

        Parameters
        ----------
        grid
            Number of blocks along each axis after the first.
        """
        total, count = self.weights * self.measurement, self.weights
        for axis, n in enumerate(grid, start=1):
            total, count = (_add_blocks(x, axis, n) for x in (total, count))
        blocks = torch.where(count > 0, total / count.clamp_min(torch.finfo(count.dtype).tiny), 0.0)
        for axis, size in enumerate(self.measurement.shape[1:], start=1):
            blocks = blocks.index_select(axis, _block_of(size, grid[axis - 1], blocks.device))
        return float((self.weights * squared(blocks - self.measurement)).sum() / self.weights.sum())


def squared(residual: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the squared absolute values of real or complex numbers."""
    return residual.real**2 + residual.imag**2 if residual.is_complex() else residual**2


def _block_of(size: int, n: int, device: torch.device) -> Tensor:
    """Return the number of the block, of ``n``, that each of ``size`` pixels lies in."""
    return torch.arange(size, device=device) * n // size


def _add_blocks(x: Tensor, axis: int, n: int) -> Tensor:
    shape = list(x.shape)
    shape[axis] = n
    return x.new_zeros(shape).index_add_(axis, _block_of(x.shape[axis], n, x.device), x)
