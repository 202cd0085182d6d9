"""The variance of noise, from the fine parts of blocks of which most have some structure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import nnls

from napari_convgen.core.noise.estimation.blocks import Blocks

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
"""Shares of the blocks, the flattest first, that are tried as flat; classes end there too. About doubled each time; chosen on the tuning
images of benchmarks/noise.py."""

N_LEAST, N_IN_CLASS, N_CLASSES = 8, 30, 5
"""Least number of independent flat blocks, of independent blocks in a class, and of classes that tell noise and structure apart.
Chosen on the tuning images of benchmarks/noise.py: with three classes the noise of images of 65 to 110 pixels is 1 to 2 % too low."""

DECAYS = np.linspace(0.1, 0.8, 8)
"""Decays that are tried for the logarithm of a structure's energy, from one frequency of a block to the next.
Chosen on the tuning images of benchmarks/noise.py."""

MOST_STRUCTURE = 0.1
"""Largest share of structure in the fine energy of flat blocks: noise whose energy falls with the frequency is not taken for structure.
Chosen on the tuning images of benchmarks/noise.py."""

MISFIT = 0.5
"""Standard deviation of a structure's energy about the exponential, relative to it. Chosen on the tuning images of benchmarks/noise.py."""

MIN_FREQUENCIES = 7
"""Number of upper frequencies of a block of 8 × 8 pixels; smaller blocks have too few to tell noise and structure apart."""

LEAST = 1e-9
"""Least energy that is fitted, relative to the largest: a bound against division by zero."""

N_ROUNDS = 8
"""Rounds of the fit whose weights depend on its result; enough for them to settle."""


def flat_variance(blocks: Blocks, shares: Sequence[float] = SHARES) -> tuple[float, Int[np.ndarray, "k"]]:
    """Return the variance of the noise, from the fine parts of the flattest blocks, and which they are.

    As many blocks are taken as agree with the fewer flatter ones, by their intervals of one standard error (O. V. Lepskii,
    "On a problem of adaptive estimation in Gaussian white noise", 1990).

    Parameters
    ----------
    blocks
        Blocks of all intensities, at least one.
    shares
        Shares of the blocks, from 0 to 1 and rising, that are tried as flat.
    """
    order = np.argsort(blocks.smooth, kind="stable")
    sums = np.cumsum(blocks.fine[order])
    low, high = -np.inf, np.inf
    variance, n = float("nan"), 0
    for share in shares:
        k = max(1, int(share * len(order)))
        if k * blocks.weight < N_LEAST and share < shares[-1]:
            continue
        mean = float(sums[k - 1]) / k
        if not low <= mean <= high:
            break
        variance, n = mean, k
        error = mean * np.sqrt(2 / (blocks.n_fine.sum() * max(1.0, k * blocks.weight)))
        low, high = max(low, mean - error), min(high, mean + error)
    return variance, order[:n]


def noise_variance(blocks: Blocks) -> float:
    """Return the variance of noise that is the same in all blocks.

    Blocks are put in classes by the energy of their smooth parts. Of the upper frequencies ``f = 0, 1, …`` a class has the mean energy
    ``v + a exp(-d f)``: that of white noise, and that of structure, whose amount ``a >= 0`` is the class's own. Weighted least squares give
    ``v`` and all ``a``, the greatest likelihood gives ``d``. So blocks with structure tell of the noise too. At most a tenth of the energy
    in the flattest blocks is taken for structure. If there are too few blocks, blocks smaller than 8 × 8 pixels, or blocks of pixels that
    lie apart, whose noise is not quite white, the variance is that of `flat_variance`.

    Parameters
    ----------
    blocks
        Blocks of all intensities, at least one.
    """
    flat, _ = flat_variance(blocks)
    order = np.argsort(blocks.smooth, kind="stable")
    ends = [0]
    for share in (*SHARES, 1.0):
        if ((end := int(share * len(order))) - ends[-1]) * blocks.weight >= N_IN_CLASS:
            ends.append(end)
    is_enough = len(ends) > N_CLASSES and len(blocks.n_fine) >= MIN_FREQUENCIES
    if not is_enough or blocks.spacing > 1 or not blocks.spectrum.any():
        return flat
    classes = [order[start:end] for start, end in pairwise(ends)]
    energy = np.concatenate([blocks.spectrum[each].mean(0) for each in classes])
    n = np.concatenate([len(each) * blocks.weight * blocks.n_fine for each in classes])
    scale = energy.max()
    _, variance = min(_fit(energy / scale, n, len(classes), decay) for decay in DECAYS)
    return max(float(scale * variance), (1 - MOST_STRUCTURE) * flat) if variance > LEAST else flat


def _fit(
    energy: Float[np.ndarray, "n"], n: Float[np.ndarray, "n"], n_classes: int, decay: float
) -> tuple[float, float]:
    """Return twice the negative log likelihood, and the variance of the noise.

    Parameters
    ----------
    energy
        Mean energy at each frequency of one class after another, relative to the largest.
    n
        Number of independent coefficients in each mean.
    n_classes
        Number of classes.
    decay
        Decay of the logarithm of a structure's energy from one frequency to the next.
    """
    shape = np.exp(-decay * np.arange(len(energy) // n_classes))
    columns = np.hstack([np.ones((len(energy), 1)), np.kron(np.eye(n_classes), shape[:, np.newaxis])])
    fitted = np.full_like(energy, max(energy[: len(shape)].mean(), LEAST))
    structure = np.maximum(energy - fitted, 0)
    for _ in range(N_ROUNDS):
        spread = np.sqrt(2 * fitted**2 / n + (MISFIT * structure) ** 2)
        answer, _ = nnls(columns / spread[:, np.newaxis], energy / spread)
        fitted = np.maximum(columns @ answer, LEAST)
        structure = fitted - answer[0]
    spread = np.sqrt(2 * fitted**2 / n + (MISFIT * structure) ** 2)
    return float((((energy - fitted) / spread) ** 2 + 2 * np.log(spread)).sum()), float(answer[0])
