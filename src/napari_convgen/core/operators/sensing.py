"""Operators of compressive sensing: each entry of the measurement is a random sum of all pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.constant import Constant
from napari_convgen.errors import ConfigError

MAX_PIXELS = 64**2
"""Largest number of pixels for which a Gaussian matrix is kept: it is up to as many rows, 64 MB in single precision."""


def cosine_sensing(shape: Sequence[int], n_measurements: int, rng: torch.Generator) -> LinearMap:
    r"""Return the map :math:`y = R C D x`: random signs D, the orthonormal cosine transform C, and random rows R of it.

    The signs spread each pixel over all frequencies. The rows are orthonormal, so the norm is 1.

    Parameters
    ----------
    shape
        Shape of the image: channels first, then space. The measurement has ``(shape[0], n_measurements)`` entries.
    n_measurements
        Number of entries of each channel, from 1 to the number of pixels.
    rng
        Source of chance on the CPU: the same one gives the same map.

    Raises
    ------
    ConfigError
        Fewer entries than 1, or more than pixels.

    References
    ----------
    Do, Gan, Nguyen and Tran, "Fast and efficient compressive sensing using structurally random matrices", IEEE Trans.
    Signal Process. 60, 2012.
    """
    size = tuple(shape[1:])
    n_pixels = _check_count(n_measurements, size)
    signs = Constant(2 * torch.randint(2, size, generator=rng).double() - 1)
    rows = Constant(torch.randperm(n_pixels, generator=rng)[:n_measurements].sort().values)
    axes = tuple(range(1, len(shape)))

    def apply(x: Tensor) -> Tensor:
        spectrum = x * signs.like(x)
        for axis in axes:
            spectrum = _cosine_transform(spectrum, axis)
        return spectrum.flatten(1)[:, rows.like(x)]

    def adjoint(y: Tensor) -> Tensor:
        spectrum = y.new_zeros(len(y), n_pixels).index_copy(1, rows.like(y), y).view(len(y), *size)
        for axis in axes:
            spectrum = _inverse_cosine_transform(spectrum, axis)
        return spectrum * signs.like(y)

    return LinearMap(apply, tuple(shape), (shape[0], n_measurements), adjoint)


def gaussian_sensing(shape: Sequence[int], n_measurements: int, rng: torch.Generator) -> LinearMap:
    r"""Return a matrix of independent normal numbers with the variance 1 / ``n_measurements``, for small images.

    Parameters
    ----------
    shape, n_measurements, rng
        As for `cosine_sensing`; at most `MAX_PIXELS` pixels.

    Raises
    ------
    ConfigError
        Too many pixels, or a number of entries as for `cosine_sensing`.

    References
    ----------
    Heckel and Soltanolkotabi, "Compressive sensing with un-trained neural networks", ICML 2020, section 2.
    """
    return pattern_sensing(shape[0], gaussian_patterns(shape[1:], n_measurements, rng))


def gaussian_patterns(size: Sequence[int], n_measurements: int, rng: torch.Generator) -> Float[Tensor, "n *spatial"]:
    """Return the rows of that matrix as patterns over the image; parameters and errors are those of `gaussian_sensing`."""
    n_pixels = _check_count(n_measurements, size)
    if n_pixels > MAX_PIXELS:
        raise ConfigError(
            f"A Gaussian matrix is for images of at most {MAX_PIXELS} pixels, got {n_pixels}. Choose random signs and cosines, or a "
            "smaller image."
        )
    return torch.randn((n_measurements, *size), generator=rng) / math.sqrt(n_measurements)


def pattern_sensing(n_channels: int, patterns: Float[Tensor, "n *spatial"]) -> LinearMap:
    """Return the map to the sums of all pixels under some patterns of weights, such as those of a camera of one pixel.

    Parameters
    ----------
    n_channels
        Number of channels of the image.
    patterns
        Weights of the pixels in each entry of the measurement.
    """
    matrix, size = Constant(patterns.flatten(1)), tuple(patterns.shape[1:])
    return LinearMap(
        lambda x: x.flatten(1) @ matrix.like(x).T,
        (n_channels, *size),
        (n_channels, len(patterns)),
        lambda y: (y @ matrix.like(y)).view(len(y), *size),
    )


def _check_count(n_measurements: int, size: Sequence[int]) -> int:
    n_pixels = math.prod(size)
    if not 1 <= n_measurements <= n_pixels:
        raise ConfigError(f"The number of measurements must be from 1 to the {n_pixels} pixels, got {n_measurements}.")
    return n_pixels


def _phases(n: int, like: Tensor) -> Tensor:
    """Return :math:`w_k e^{-i π k / 2 n}`, with the weights w that make the cosine transform orthonormal."""
    turns = -math.pi / (2 * n) * torch.arange(n, dtype=torch.float64)
    weights = torch.full((n,), math.sqrt(2 / n), dtype=torch.float64)
    weights[0] = math.sqrt(1 / n)
    return torch.polar(weights, turns).to(like.dtype.to_complex()).to(like.device)


def _cosine_transform(x: Float[Tensor, "*shape"], axis: int) -> Float[Tensor, "*shape"]:
    """Return the orthonormal cosine transform (DCT-II) along an axis, by one Fourier transform of its length.

    References
    ----------
    Makhoul, "A fast cosine transform in one and two dimensions", IEEE Trans. Acoust. Speech Signal Process. 28, 1980.
    """
    x = x.movedim(axis, -1)
    reordered = torch.cat((x[..., ::2], x[..., 1::2].flip(-1)), -1)
    transform: Tensor = (torch.fft.fft(reordered) * _phases(x.shape[-1], x)).real
    return transform.movedim(-1, axis)


def _inverse_cosine_transform(y: Float[Tensor, "*shape"], axis: int) -> Float[Tensor, "*shape"]:
    """Return the inverse, which is the adjoint, of `_cosine_transform`."""
    y = y.movedim(axis, -1)
    n = y.shape[-1]
    reordered = torch.fft.fft(y * _phases(n, y)).real
    x = torch.empty_like(reordered)
    x[..., ::2], x[..., 1::2] = reordered[..., : (n + 1) // 2], reordered[..., (n + 1) // 2 :].flip(-1)
    return x.movedim(-1, axis)
