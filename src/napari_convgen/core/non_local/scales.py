"""Coarser grids: there the noise is weaker, and structure that is hidden on the finest grid can be told from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.fft import dct
from scipy.ndimage import map_coordinates
from torch import Tensor

N_SCALES = 3
"""Number of grids, each half as fine as the one before. Chosen on the tuning images of benchmarks/quality.py."""

LEAST_SIDE = 48
"""Least side, in pixels, of an axis that is halved: shorter ones would have few similar patches. Our choice, no benchmark."""

KEPT_BAND, FADE = 0.5, 0.25
"""Share of a coarser grid's frequencies that are taken from it, and the width of the transition relative to that.
Chosen on the tuning images of benchmarks/quality.py."""


def half_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of the next coarser grid; short axes stay as they are."""
    return tuple((n + 1) // 2 if n >= LEAST_SIDE else n for n in shape)


def halve(image: Float[Tensor, "c z y x"]) -> Float[Tensor, "c z2 y2 x2"]:
    """Return the lower half of the frequencies along each axis that is long enough, as an image with white noise as strong as before."""
    for axis, (n, half) in enumerate(zip(image.shape[1:], half_shape(image.shape[1:]), strict=True), start=1):
        if half < n:
            image = _along(cosines(half, image).mT @ cosines(n, image)[:half], image, axis)
    return image.contiguous()


def merge(fine: Float[Tensor, "c z y x"], coarse: Float[Tensor, "c z2 y2 x2"]) -> Float[Tensor, "c z y x"]:
    """Take the lowest frequencies from a coarse image, with a smooth transition.

    Parameters
    ----------
    fine
        Image.
    coarse
        Image on the next coarser grid, as `halve` makes it.
    """
    own, other = _frequencies(fine), _frequencies(coarse)
    radius = fine.new_zeros(())
    for axis, (n, half) in enumerate(zip(fine.shape[1:], coarse.shape[1:], strict=True)):
        if half < n:  # an axis that was not halved has all its frequencies on both grids
            place = torch.arange(half, device=fine.device, dtype=fine.dtype) / half
            radius = radius + place.square().view(*(-1 if i == axis else 1 for i in range(3)))
    position = ((radius.sqrt() - KEPT_BAND * (1 - FADE)) / (2 * KEPT_BAND * FADE)).clamp(0, 1)
    share = 0.5 + 0.5 * torch.cos(torch.pi * position)
    part = (slice(None), *(slice(n) for n in coarse.shape[1:]))
    own[part] = torch.lerp(own[part], other, share.expand_as(other))
    for axis, n in enumerate(fine.shape[1:], start=1):
        own = _along(cosines(n, fine).mT, own, axis)
    return own.contiguous()


def half_spectrum(spectrum: Float[np.ndarray, "a b"]) -> tuple[Float[np.ndarray, "a b"], float]:
    """Return the power of correlated noise on the next coarser grid, with a mean of 1, and its standard deviation relative to before.

    Parameters
    ----------
    spectrum
        Power of the noise at each frequency, see `napari_convgen.core.noise.noise_spectrum`.
    """
    rows, columns = (np.arange(n) / 2 for n in spectrum.shape)
    half = map_coordinates(spectrum, np.meshgrid(rows, columns, indexing="ij"), order=1)
    return half / half.mean(), float(np.sqrt(half.mean() / spectrum.mean()))


def cosines(n: int, like: Tensor) -> Float[Tensor, "n n"]:
    """Return the orthonormal cosine transform (DCT-II) of ``n`` pixels as a matrix."""
    return torch.from_numpy(dct(np.eye(n), axis=0, norm="ortho")).to(like)


def _frequencies(image: Float[Tensor, "c z y x"]) -> Float[Tensor, "c z y x"]:
    for axis, n in enumerate(image.shape[1:], start=1):
        image = _along(cosines(n, image), image, axis)
    return image


def _along(matrix: Float[Tensor, "a b"], image: Tensor, axis: int) -> Tensor:
    """Multiply all lines along an axis by a matrix."""
    return (image.movedim(axis, -1) @ matrix.mT).movedim(-1, axis)
