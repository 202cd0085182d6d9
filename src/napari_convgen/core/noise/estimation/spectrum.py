"""The power of correlated noise at each frequency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.fft import dct, dctn
from scipy.ndimage import map_coordinates

from napari_convgen.core.noise.estimation.blocks import cut

SIDE = 8
"""Side of the blocks in pixels, and the number of frequencies along an axis: as in `napari_convgen.core.noise.estimation.blocks`."""

FLAT_SHARE = 0.05
"""Share of the blocks, the flattest, that the noise is read from. Chosen on the tuning images of benchmarks/noise.py."""

N_ROUNDS = 5
"""Rounds of the Richardson-Lucy iteration for the spectrum that gives blocks the energy they have.
Chosen on the tuning images of benchmarks/noise.py."""

LOWEST, NEXT = 2, 6
"""Last of the lowest frequencies, of both axes together, and of those that they are predicted from. Blocks are chosen by the lowest ones,
where structure shows first, so that the chosen blocks have too little there. Chosen on the tuning images of benchmarks/noise.py."""

N_WAVES = 64
"""Waves in each interval between frequencies that the leakage is averaged over; enough for its integral."""


def noise_spectrum(
    image: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
) -> Float[np.ndarray, "a b"] | None:
    """Estimate the power of the noise at each frequency along the last two axes, as the mean over the channels.

    It is the mean energy of the cosine transforms of the small blocks that have the least of it in the very lowest frequencies. At
    these the power is predicted from the next ones, as that of noise with a Gaussian blur.

    Parameters
    ----------
    image
        Noisy values, channels first, with noise that is the same everywhere.
    is_observed
        False where a value is missing.

    Returns
    -------
    spectrum
        Power at 0, 1/16, 2/16, … 7/16 cycles a pixel along each of the last two axes, with a mean of 1; a single row where there is but
        one axis, or it is shorter than a block. ``None`` where there are too few blocks that are complete and not constant.
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
    energy = np.mean(spectra, axis=0)
    rows, columns = (_leakage(n) for n in shape)
    share = np.multiply.outer(rows.sum(0), columns.sum(0))
    spectrum = _predict_lowest(energy, is_low)
    for _ in range(N_ROUNDS):
        ratio = np.where(is_low, 1, energy / (rows @ spectrum @ columns.T))
        spectrum = _predict_lowest(spectrum * (rows.T @ ratio @ columns) / share, is_low)
    return np.asarray(spectrum / spectrum.mean())


def _leakage(n: int) -> Float[np.ndarray, "n n"]:
    """Return the share of noise around each frequency in the energy of each cosine coefficient of ``n`` pixels; rows add up to 1.

    A block's cosines are short waves: each contains the frequencies beside its own, and a little of all others.
    """
    frequency = (np.arange(N_WAVES * n) + 0.5) / (2 * N_WAVES * n)
    waves = np.exp(2j * np.pi * np.outer(np.arange(n), frequency))
    energy = np.abs(dct(waves, axis=0, norm="ortho")) ** 2
    position = np.minimum(2 * n * frequency, n - 1)
    near = np.maximum(0, 1 - np.abs(position[:, np.newaxis] - np.arange(n)))
    return np.asarray(energy @ near / len(frequency))


def _predict_lowest(spectrum: Float[np.ndarray, "a b"], is_low: Bool[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
    """Replace the power at the lowest frequencies by that of noise with a Gaussian blur, fitted to the next frequencies."""
    rows, columns = (np.arange(n) for n in spectrum.shape)
    is_next = ~is_low & (np.add.outer(rows, columns) <= NEXT)
    squares = np.add.outer(rows**2, columns**2)
    known = np.maximum(spectrum[is_next], np.finfo(float).tiny)
    slope, height = np.polyfit(squares[is_next], np.log(known), 1)
    return np.where(is_low, np.exp(min(slope, 0) * squares + height), spectrum)


def shaping_filter(spectrum: Float[np.ndarray, "a b"], size: Sequence[int]) -> Float[np.ndarray, "h w"]:
    """Return the gain, at each frequency of `numpy.fft.rfft2`, that gives white noise a spectrum and leaves its variance.

    Parameters
    ----------
    spectrum
        Power of the noise at each frequency, see `noise_spectrum`.
    size
        Pixels of the noise along the two axes of the spectrum.
    """
    rows, columns = (2 * n * np.abs(np.fft.fftfreq(m)) for n, m in zip(spectrum.shape, size, strict=True))
    power = map_coordinates(spectrum, np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest")
    return np.asarray(np.sqrt(power / power.mean())[:, : size[-1] // 2 + 1])
