"""Which frequencies the noise is made of, where that of neighbors is alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.fft import dctn
from scipy.ndimage import map_coordinates

from napari_convgen.core.noise.blocks import cut

SIDE = 8
"""Of the blocks, in pixels: as many frequencies are told apart along an axis."""

FLAT_SHARE = 0.05
"""Of the blocks, the flattest, that the noise is read from."""

LOWEST, NEXT = 2, 6
"""Frequencies, of both axes together, by which blocks are chosen: structure shows there first, and what the chosen blocks have there is
too little. And the last of those that it is foretold from."""


def noise_spectrum(
    image: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
) -> Float[np.ndarray, "a b"] | None:
    """Estimate the power of the noise at each frequency along the last two axes, as the mean over the channels.

    It is the mean energy of the cosine transforms of small blocks, of those that have the least of it in the very lowest frequencies. At
    these it is foretold from the next ones, as that of noise with a Gaussian blur.

    Parameters
    ----------
    image
        Channels first, with noise that is the same everywhere.
    is_observed
        False where a value is missing.

    Returns
    -------
    spectrum
        At 0, 1/16, 2/16, … 7/16 cycles a pixel along each of the last two axes; a single row where there is but one axis, or it is
        shorter than a block. Its mean is 1. ``None`` where there are too few blocks that are complete and not constant.
    """
    values = np.where(is_observed, image, np.nan)
    values = values.reshape(len(values), -1, *(values.shape[-2:] if values.ndim > 2 else (1, values.shape[-1])))
    shape = [SIDE if n >= SIDE else 1 for n in values.shape[-2:]]
    frequency = np.add.outer(*(np.arange(n) for n in shape))
    is_low = frequency <= LOWEST
    spectra = []
    for planes in values if not is_low.all() else ():
        blocks = cut(planes, shape)
        is_noisy = np.isfinite(blocks).all((1, 2)) & (np.ptp(blocks, (1, 2)) > 0)
        energy = dctn(blocks[is_noisy], axes=(1, 2), norm="ortho") ** 2
        slow = energy[:, is_low & (frequency > 0)].sum(1)
        energy = energy[np.argsort(slow)[: int(FLAT_SHARE * len(slow))]]
        if len(energy):
            spectra.append(energy.mean(0) / energy[:, ~is_low].mean())
    if not spectra:
        return None
    spectrum = np.mean(spectra, axis=0)
    squares = np.add.outer(*(np.arange(n) ** 2 for n in shape))
    is_next = ~is_low & (frequency <= NEXT)
    known = np.maximum(spectrum[is_next], np.finfo(float).tiny)
    slope, height = np.polyfit(squares[is_next], np.log(known), 1)
    spectrum[is_low] = np.exp(min(slope, 0) * squares[is_low] + height)
    return np.asarray(spectrum / spectrum.mean())


def shaping_filter(spectrum: Float[np.ndarray, "a b"], size: Sequence[int]) -> Float[np.ndarray, "h w"]:
    """Return the gain, at each frequency of `numpy.fft.rfft2`, that gives white noise that spectrum and leaves it its variance.

    Parameters
    ----------
    spectrum
        As of `noise_spectrum`.
    size
        Of the noise, along the two axes of the spectrum.
    """
    rows, columns = (2 * n * np.abs(np.fft.fftfreq(m)) for n, m in zip(spectrum.shape, size, strict=True))
    power = map_coordinates(spectrum, np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest")
    return np.asarray(np.sqrt(power / power.mean())[:, : size[-1] // 2 + 1])
