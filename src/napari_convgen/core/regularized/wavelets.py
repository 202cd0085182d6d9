"""Sparse wavelet coefficients of an image, its channels together."""

from __future__ import annotations

import pywt
import torch
from jaxtyping import Float
from torch import Tensor

WAVELET, MOST_LEVELS = "db4", 4
"""Daubechies' orthogonal wavelet with four vanishing moments, and levels of the transform at most: what programs for MRI take."""


class Wavelets:
    """Shrinkage of wavelet coefficients, the coarsest left out, averaged over all shifts of the image (cycle spinning).

    The average over all shifts is computed at once, by a transform without downsampling, with the image repeated beyond its edges.

    References
    ----------
    M. Lustig, D. Donoho, J. Pauly, "Sparse MRI", Magn. Reson. Med. 58(6), 2007.
    M. Figueiredo, R. Nowak, "An EM algorithm for wavelet-based image restoration", IEEE TIP 12(8), 2003, on shifts.
    """

    def __init__(self) -> None:
        self._filters = [torch.tensor(taps, dtype=torch.float64) for taps in pywt.Wavelet(WAVELET).filter_bank[2:]]

    def __call__(self, image: Float[Tensor, "c *spatial"], weight: float) -> Float[Tensor, "c *spatial"]:
        """Return the image near ``image`` whose wavelet coefficients, times the weight, are small."""
        return self._shrunk(image, weight, 0, min(MOST_LEVELS, pywt.dwtn_max_level(image.shape[1:], WAVELET)))

    def _shrunk(self, image: Tensor, weight: float, level: int, n_levels: int) -> Tensor:
        if level == n_levels:
            return image
        bands = [image]
        for axis in range(1, image.ndim):
            bands = [_filtered(band, taps, axis, 2**level) for band in bands for taps in self._filters]
        low, *details = bands
        shrunk = [self._shrunk(low, weight, level + 1, n_levels), *(_soft(detail, weight) for detail in details)]
        for axis in reversed(range(1, image.ndim)):
            spacing, (low_taps, high_taps) = -(2**level), (taps / 2 for taps in self._filters)
            shrunk = [
                _filtered(low, low_taps, axis, spacing) + _filtered(high, high_taps, axis, spacing)
                for low, high in zip(shrunk[::2], shrunk[1::2], strict=True)
            ]
        return shrunk[0]


def _filtered(image: Tensor, taps: Tensor, axis: int, spacing: int) -> Tensor:
    """Return the circular correlation along an axis with a filter whose taps are that far apart."""
    result = torch.zeros_like(image)
    for place, tap in enumerate(taps.tolist()):
        result.add_(image.roll(-place * spacing, axis), alpha=tap)
    return result


def _soft(detail: Tensor, weight: float) -> Tensor:
    """Shorten the vectors of all channels by the weight."""
    size = detail.square().sum(0).sqrt()
    return detail * ((size - weight).clamp_min(0) / size.clamp_min(torch.finfo(size.dtype).tiny))
