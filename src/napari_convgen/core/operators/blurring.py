"""The operator of deblurring: a convolution with the point spread function (PSF) of the instrument."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.constant import Constant
from napari_convgen.core.optics.point_spread import PointSpread, check_psf_size


def blurring(shape: Sequence[int], psf: PointSpread) -> LinearMap:
    r"""Return the convolution of images with a PSF, in 2-D or 3-D, with open borders.

    Light also comes from beyond the borders of a measurement. So the image is larger than it, by the size of the PSF minus one along each
    axis, and nothing wraps around: with the PSF h of k pixels along an axis,

    .. math:: y_i = \sum_{j = 0}^{k - 1} h_j \, x_{i + k - 1 - j}, \qquad 0 \le i < n.

    `PointSpread.field_of_view` cuts from the image the part that the measurement shows.

    Parameters
    ----------
    shape
        Shape of the measurement: channels first, then space.
    psf
        PSF over the spatial axes; the same for all channels.

    Raises
    ------
    InputError
        A PSF of other axes than the measurement's, or larger than it.
    """
    check_psf_size(psf.values.shape, shape[1:])
    axes = tuple(range(1, len(shape)))
    large = [n + k - 1 for n, k in zip(shape[1:], psf.values.shape, strict=True)]
    grid = [next_fast_len(n, real=True) for n in large]
    transfer = Constant(torch.fft.rfftn(torch.from_numpy(psf.values), s=grid))
    whole = (slice(None), *(slice(n) for n in large))
    valid = (slice(None), *(slice(k - 1, k - 1 + n) for n, k in zip(shape[1:], psf.values.shape, strict=True)))

    def apply(x: Tensor) -> Tensor:
        spectrum = torch.fft.rfftn(x, s=grid, dim=axes) * transfer.like(x)
        circular: Tensor = torch.fft.irfftn(spectrum, s=grid, dim=axes)
        return circular[valid]

    def adjoint(y: Tensor) -> Tensor:
        padded = y.new_zeros(len(y), *grid)
        padded[valid] = y
        spectrum = torch.fft.rfftn(padded, dim=axes) * transfer.like(y).conj()
        circular: Tensor = torch.fft.irfftn(spectrum, s=grid, dim=axes)
        return circular[whole]

    return LinearMap(apply, (shape[0], *large), tuple(shape), adjoint)
