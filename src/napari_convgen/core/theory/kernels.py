"""Convolution kernels with periodic boundaries, and their circulant operators.

A kernel is an array of the shape of the signal or image, with its origin at the first sample; taps left of the origin
are at the end. Kernels on several axes are products of kernels on one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from jaxtyping import Float

from napari_convgen.errors import InputError

BILINEAR_TAPS = (0.25, 0.75, 0.75, 0.25)
"""Taps of bilinear upsampling by two, (1, 3, 3, 1)/4: linear interpolation a quarter of a sample to either side."""


def triangular(size: Sequence[int], half_width: int) -> Float[np.ndarray, "*spatial"]:
    """Return the triangle that falls to zero at ``half_width`` samples from the origin; a half-width of 1 is the identity.

    Parameters
    ----------
    size
        Spatial shape.
    half_width
        Half-width in samples, 1 to half the shortest side; p in figure 6 of the paper.

    Raises
    ------
    InputError
        The triangle does not fit.
    """
    if half_width < 1:
        raise InputError(f"A triangle's half-width must be 1 sample or more, got {half_width}. Give a whole number.")
    return custom(1 - np.abs(np.arange(1 - half_width, half_width)) / half_width, size)


def gaussian(size: Sequence[int], width: float) -> Float[np.ndarray, "*spatial"]:
    r"""Return :math:`\exp(-q^2 / (sn)^2)` at q samples from the origin, for n samples along an axis.

    Parameters
    ----------
    size
        Spatial shape.
    width
        Width as a share s of each side, more than 0; s in figure 6 of the paper. The standard deviation is :math:`sn/\sqrt 2` samples.

    Raises
    ------
    InputError
        The width is not positive.
    """
    if not width > 0:
        raise InputError(f"A Gaussian's width must be positive, got {width}. Give a share of the side, such as 0.01.")

    def line(n: int) -> Float[np.ndarray, "n"]:
        q = (np.arange(n) + n // 2) % n - n // 2
        values: np.ndarray = np.exp(-((q / (width * n)) ** 2))
        return values

    return product(size, line)


def bilinear(size: Sequence[int]) -> Float[np.ndarray, "*spatial"]:
    """Return the kernel (1, 3, 3, 1)/4 that bilinear upsampling by two applies to samples with zeros between them.

    Raises
    ------
    InputError
        A side is shorter than 4 samples.
    """
    return custom(np.array(BILINEAR_TAPS), size)


def custom(taps: Float[np.ndarray, "*taps"], size: Sequence[int]) -> Float[np.ndarray, "*spatial"]:
    """Return a kernel with the given taps, centered at the origin; for an even number of taps, the left one of the middle two is there.

    Parameters
    ----------
    taps
        Values of the kernel, on as many axes as ``size``, or on one axis to use the same along each.
    size
        Spatial shape; no side is shorter than the taps.

    Raises
    ------
    InputError
        The taps do not fit, have a wrong number of axes, or are all zero or not finite.
    """
    if taps.ndim not in (1, len(size)):
        raise InputError(
            f"Taps must have 1 axis or as many as the image: expected 1 or {len(size)}, got {taps.ndim}. Give one or the other."
        )
    if not (np.isfinite(taps).all() and taps.any()):
        raise InputError("Taps of a kernel must be finite and not all zero. Give other values.")
    lengths = taps.shape if taps.ndim == len(size) else taps.shape * len(size)
    if any(length > n for length, n in zip(lengths, size, strict=True)):
        raise InputError(
            f"A kernel must fit the image: expected at most {tuple(size)} taps, got {lengths}. Give fewer taps or a larger image."
        )
    if taps.ndim == len(size):
        return _placed(taps, size)
    return product(size, lambda n: _placed(taps, (n,)))


def product(size: Sequence[int], line: Callable[[int], Float[np.ndarray, "n"]]) -> Float[np.ndarray, "*spatial"]:
    """Return the product of one kernel along each axis.

    Parameters
    ----------
    size
        Spatial shape.
    line
        Function that returns the kernel along an axis of that many samples.

    Raises
    ------
    InputError
        There is no axis, or one without samples.
    """
    if not size or math.prod(size) < 1:
        raise InputError(f"A kernel needs one axis or more, each of 1 sample or more, got {tuple(size)}.")
    kernel: np.ndarray = reduce(np.multiply.outer, map(line, size))
    return kernel


def normalized(kernel: Float[np.ndarray, "*spatial"]) -> Float[np.ndarray, "*spatial"]:
    """Return the kernel with a Euclidean norm of one, as in figure 6."""
    scaled: np.ndarray = kernel / np.linalg.norm(kernel)
    return scaled


def convolve(
    kernel: Float[np.ndarray, "*spatial"], image: Float[np.ndarray, "*spatial"]
) -> Float[np.ndarray, "*spatial"]:
    """Apply the circulant operator U of the kernel: the circular convolution with it."""
    product: np.ndarray = np.fft.irfftn(np.fft.rfftn(kernel) * np.fft.rfftn(image), image.shape, range(image.ndim))
    return product


def spectral_norm(kernel: Float[np.ndarray, "*spatial"]) -> float:
    r"""Return the largest singular value of U, :math:`\|Fu\|_\infty`."""
    return float(np.abs(np.fft.rfftn(kernel)).max())


def step_size(kernel: Float[np.ndarray, "*spatial"]) -> float:
    r"""Return the step size of the theory, on half the squared residual: :math:`\eta = 1 / \|Fu\|_\infty^2`.

    No Jacobian of the two-layer generator has a singular value above :math:`\|U\|`, so the descent cannot diverge. At the
    start the largest is about :math:`0.63 \|U\|`, so a step 2.5 times as long would be safe there.
    """
    return 1 / spectral_norm(kernel) ** 2


def _placed(taps: Float[np.ndarray, "*taps"], size: Sequence[int]) -> Float[np.ndarray, "*spatial"]:
    kernel = np.zeros(size)
    kernel[tuple(slice(n) for n in taps.shape)] = taps
    return np.roll(kernel, [-((n - 1) // 2) for n in taps.shape], range(taps.ndim))
