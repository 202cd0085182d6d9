"""Noisy images by formula for the cases of unchanged.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

Values = np.ndarray
"""Array of pixel values."""


def clean_image(shape: Sequence[int], shift: float = 0.0) -> Values:
    """Draw waves, a disk and an edge, from 0 to 1; the last axes are columns, rows and depth."""
    axes = [np.linspace(0, 1, n) for n in shape]
    places = np.meshgrid(*axes, indexing="ij")
    x, y = places[-1], places[-2] if len(shape) > 1 else 0 * places[-1]
    z = places[-3] if len(shape) > 2 else 0.0
    waves = 0.25 * np.sin(7 * x + shift) * np.cos(5 * y - 2 * z)
    disk = np.hypot(x - 0.4 - 0.2 * shift, y - 0.55) < 0.25 + 0.1 * z
    return 0.35 + waves + 0.3 * disk + 0.1 * (x > 0.7)


def gaussian(shape: Sequence[int] = (32, 32), sigma: float = 0.08, seed: int = 0, shift: float = 0.0) -> Values:
    return clean_image(shape, shift) + sigma * np.random.default_rng(seed).standard_normal(shape)


def photons(shape: Sequence[int] = (40, 36), seed: int = 1) -> Values:
    rng = np.random.default_rng(seed)
    counts = 3 * rng.poisson(40 * clean_image(shape)) + 100 + 2 * rng.standard_normal(shape)
    return np.rint(counts.clip(0, 65535)).astype(np.uint16)


def magnitude(shape: Sequence[int] = (40, 40), seed: int = 2) -> Values:
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    inside = np.hypot(y - shape[0] / 2, x - shape[1] / 2) < min(shape) / 2.6
    signal = 600 * clean_image(shape) * inside
    return np.hypot(signal + 30 * rng.standard_normal(shape), 30 * rng.standard_normal(shape)).astype(np.float32)


def correlated(shape: Sequence[int] = (48, 48), seed: int = 3) -> Values:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.0, mode="wrap")
    return clean_image(shape) + 0.1 * noise / noise.std()


def color(seed: int = 4, is_shared: bool = False) -> Values:
    rng = np.random.default_rng(seed)
    clean = np.stack([clean_image((32, 32), shift) for shift in (0.0, 0.5, 1.0)], -1)
    noise = rng.standard_normal((32, 32, 1 if is_shared else 3))
    return clean + 0.08 * noise


def eight_bits(image: Values) -> Values:
    return np.rint(255 * image.clip(0, 1)).astype(np.uint8)


def with_holes(image: Values, seed: int = 5) -> Values:
    holes = np.random.default_rng(seed).random(image.shape) < 0.07
    return np.where(holes, np.nan, image)


def with_impulses(image: Values, seed: int = 6) -> Values:
    chance = np.random.default_rng(seed).random(image.shape)
    return np.where(chance < 0.03, 0, np.where(chance > 0.97, 255, image)).astype(image.dtype)
