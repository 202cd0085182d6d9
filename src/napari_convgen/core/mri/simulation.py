"""Simulated scans: a head, the sensitivities of coils around it, and where k-space is sampled; all by formula."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from scipy import ndimage

from napari_convgen.core.operators.fourier import centered_fft


@dataclass(frozen=True, eq=False)
class Scan:
    """A simulated scan and what it is of.

    Attributes
    ----------
    kspace
        Measurement, 0 where it was not sampled, its origin in the middle.
    image
        Image that it is of.
    coil_maps
        Sensitivities of the coils.
    is_sampled
        True where k-space was sampled.
    """

    kspace: Complex[np.ndarray, "coils y x"]
    image: Complex[np.ndarray, "y x"]
    coil_maps: Complex[np.ndarray, "coils y x"]
    is_sampled: Bool[np.ndarray, "y x"]


def scan(
    image: Complex[np.ndarray, "y x"],
    is_sampled: Bool[np.ndarray, "y x"],
    *,
    n_coils: int = 8,
    noise: float = 0.0,
    seed: int = 0,
) -> Scan:
    """Return the scan of an image.

    Parameters
    ----------
    image
        The image.
    is_sampled
        True where k-space is sampled.
    n_coils
        Number of coils around the image; default 8.
    noise
        Standard deviation of the real and of the imaginary part of each coil's noise, relative to the largest magnitude of the image;
        default 0.
    seed
        Seed of the noise.
    """
    rng, maps = np.random.default_rng(seed), ring_of_coils(image.shape, n_coils)
    spectrum = centered_fft(torch.from_numpy(maps * image), (1, 2)).numpy()
    draws = rng.standard_normal((2, *maps.shape))
    noisy = spectrum + noise * np.abs(image).max() * (draws[0] + 1j * draws[1])
    return Scan((noisy * is_sampled).astype(np.complex64), image, maps, is_sampled)


def head(size: tuple[int, int], seed: int = 0) -> Complex[np.ndarray, "y x"]:
    """Return an axial slice of a head: scalp, skull, fluid, gray and white matter with folds, ventricles, nuclei, lesions and vessels.

    Parameters
    ----------
    size
        Number of pixels along both axes.
    seed
        Seed of its anatomy, its texture, its shading and its phase, which varies slowly by about 2 radians.
    """
    rng = np.random.default_rng([1946, seed])
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    mean_side = math.sqrt(size[0] * size[1])

    def smooth(width: float) -> np.ndarray:
        return _smooth(size, width, rng)

    width, height = rng.uniform(0.68, 0.76), rng.uniform(0.84, 0.92)
    radius = np.hypot(x / width, y / height)
    radius = radius + 0.02 * smooth(0.05) * radius.clip(0, 1)
    folds, depth = smooth(0.0175), (0.86 - radius) / 0.86
    brain = depth > 0
    gray = brain & ((depth < 0.05) | ((depth < 0.30) & (np.abs(folds) < 0.42)))
    sulci = brain & (depth < 0.24) & (np.abs(folds) < 0.12)
    apart, long = rng.uniform(0.08, 0.13), rng.uniform(0.2, 0.3)
    ventricles = np.hypot((np.abs(x) - apart) / 0.07, (y + 0.05) / long) < 1
    nuclei = np.hypot((np.abs(x) - 0.25) / 0.09, (y - 0.02) / 0.17) < 1
    signal = np.zeros(size)
    for where, value in (
        (radius < 1.0, 0.9),  # fat of the scalp
        (radius < 0.955, 0.08),  # skull
        (radius < 0.885, 0.25),  # fluid
        (brain, 0.75),  # white matter
        (nuclei & brain, 0.6),
        (gray, 0.5),
        (sulci, 0.25),
        (ventricles & brain, 0.2),
    ):
        signal[where] = value
    for _ in range(6):  # lesions
        cy, cx, r = *rng.uniform(-0.45, 0.45, 2), rng.uniform(0.02, 0.06)
        signal[np.hypot(x - cx, y - cy) < r] += rng.uniform(-0.15, 0.2)
    for _ in range(12):  # vessels
        cy, cx = rng.uniform(-0.6, 0.6, 2)
        signal += 0.3 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) * (mean_side / 2) ** 2 / 2) * brain
    signal *= 1 + 0.04 * smooth(0.012) * brain
    signal = ndimage.gaussian_filter(signal, 0.5).clip(0) * (1 + 0.08 * smooth(0.3))
    return np.asarray(signal * slow_phase(size, rng), np.complex128)


def slow_phase(size: tuple[int, int], rng: np.random.Generator) -> Complex[np.ndarray, "y x"]:
    """Return phase factors as images of a scanner have them: they vary slowly, by about 2 radians.

    Parameters
    ----------
    size
        Number of pixels along both axes.
    rng
        Source of chance.
    """
    return np.asarray(np.exp(1j * (0.7 * _smooth(size, 0.2, rng) + rng.uniform(0, 2 * np.pi))), np.complex128)


def _smooth(size: tuple[int, int], width: float, rng: np.random.Generator) -> Float[np.ndarray, "y x"]:
    """Return noise of a width relative to the mean side of the image, and of unit standard deviation."""
    field = ndimage.gaussian_filter(rng.standard_normal(size), width * math.sqrt(size[0] * size[1]))
    return np.asarray(field / field.std())


def ring_of_coils(size: tuple[int, ...], n_coils: int = 8) -> Complex[np.ndarray, "coils y x"]:
    """Return the sensitivities of coils on a ring around the image, as of straight wires along its third axis; their squares sum to 1.

    Parameters
    ----------
    size
        Number of pixels along both axes.
    n_coils
        Number of coils; default 8.
    """
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    angles = 2 * np.pi * np.arange(n_coils)[:, None, None] / n_coils
    distance = (x - 1.5 * np.cos(angles)) + 1j * (y - 1.5 * np.sin(angles))
    maps = np.exp(1j * angles) / distance
    return np.asarray(maps / np.sqrt((np.abs(maps) ** 2).sum(0)), np.complex128)


def equispaced(
    size: tuple[int, int], acceleration: int, n_calibration: int = 24, offset: int = 0
) -> Bool[np.ndarray, "y x"]:
    """Return where k-space is sampled: one row in each ``acceleration``, and all rows in the middle.

    Parameters
    ----------
    size
        Number of points along both axes.
    acceleration
        Distance of the sampled rows.
    n_calibration
        Number of rows in the middle; default 24.
    offset
        Number of the first sampled row, from the middle; default 0.
    """
    n = size[0]
    rows = (np.arange(n) - n // 2 - offset) % acceleration == 0
    n_calibration = min(n_calibration, n)
    rows[n // 2 - n_calibration // 2 :][:n_calibration] = True
    return np.repeat(rows[:, None], size[1], 1)


def poisson_disc(
    size: tuple[int, int], acceleration: float, n_calibration: int = 24, seed: int = 0
) -> Bool[np.ndarray, "y x"]:
    """Return where k-space is sampled: single points that keep a distance, which grows outwards, and all in a square in the middle.

    Points are drawn one after the other and kept if no point is nearer than that distance. The distance is scaled so that their number is
    that of the acceleration.

    Parameters
    ----------
    size
        Number of points along both axes.
    acceleration
        Number of all points over that of the sampled ones.
    n_calibration
        Side of the square; default 24.
    seed
        Seed of the points.
    """
    y, x = np.meshgrid(*((np.arange(n) - n // 2) / (n / 2) for n in size), indexing="ij")
    growth = 0.5 + np.hypot(y, x)
    order = np.random.default_rng(seed).permutation(y.size)
    low, high, wanted = 0.5, 8 * math.sqrt(acceleration), y.size / acceleration
    is_sampled = np.zeros(size, bool)
    for _ in range(12):
        middle = (low + high) / 2
        is_sampled = _thinned(order, middle * growth)
        is_sampled[
            tuple(slice(max(0, n // 2 - n_calibration // 2), n // 2 + (n_calibration + 1) // 2) for n in size)
        ] = True
        low, high = (middle, high) if is_sampled.sum() > wanted else (low, middle)
    return is_sampled


def _thinned(order: np.ndarray, distances: np.ndarray) -> Bool[np.ndarray, "y x"]:
    """Keep points, in an order, that no point kept before is nearer to than their distance."""
    size = distances.shape
    is_free, is_kept = np.ones(size, bool), np.zeros(size, bool)
    for place in order:
        row, column = divmod(int(place), size[1])
        if not is_free[row, column]:
            continue
        is_kept[row, column] = True
        r = math.floor(distances[row, column])
        rows, columns = np.ogrid[-r : r + 1, -r : r + 1]
        top, left = max(0, row - r), max(0, column - r)
        disc = np.hypot(rows, columns) < distances[row, column]
        part = is_free[top : row + r + 1, left : column + r + 1]
        part &= ~disc[top - row + r :, left - column + r :][: part.shape[0], : part.shape[1]]
    return is_kept
