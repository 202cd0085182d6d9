"""A checkerboard: an offset of every other pixel, in rows and columns alike, as two amplifiers or two lattices of pixels add it."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.columns import as_column
from napari_convgen.core.noise.estimation.impulses import MAD_TO_SIGMA

N_TILES, LEAST_SIDE = 4, 12
"""Number of tiles along each axis in which the offset is measured, and their least side in pixels: 36 pixels of each of four kinds.
Our choice, no benchmark."""

SIGNIFICANCE = 8.0
"""Least mean of the tiles' offsets, in its standard errors. Chosen with benchmarks/noise.py, so that no image is wrongly taken for one
with a checkerboard."""

MOST_SPREAD = 0.5
"""Largest standard deviation of the tiles' offsets, relative to their mean: a texture covers a part of the image. Our choice."""

LEAST = 0.1
"""Least offset relative to the noise of single pixels: a smaller one is 1 % of the noise's variance."""

ROUGHNESS = math.sqrt(1.25)
"""Standard deviation of the distance of a pixel from the mean of its four neighbors, where the noise of single pixels is 1."""

OVER_TILE = (0, 2, 5)
"""Axes of the pixels of a kind in a tile, see `_offset`."""


def measure_checkerboard(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
) -> tuple[float, ...]:
    """Return the offset of every other pixel from the mean of all, one a channel, in the unit of ``values``; empty if no channel has any.

    It is half of the distance of pixels of one kind from the means of their four neighbors, which are of the other kind. There is a
    checkerboard where all parts of a channel have about the same offset.

    Parameters
    ----------
    values
        Noisy values, channels first; there is no checkerboard along a single axis.
    is_observed
        False where a value is missing.
    """
    if values.ndim < 3 or min(values.shape[-2:]) < N_TILES * LEAST_SIDE:
        return ()
    offsets = tuple(_offset(np.where(seen, x, np.nan)) for x, seen in zip(values, is_observed, strict=True))
    return offsets if any(offsets) else ()


def without_checkerboard(
    values: Float[np.ndarray, "c *spatial"], offsets: tuple[float, ...]
) -> Float[np.ndarray, "c *spatial"]:
    """Return the values less the offset of every other pixel.

    Parameters
    ----------
    values
        Noisy values, channels first.
    offsets
        Offset of each channel; empty to take nothing away.
    """
    if not offsets:
        return values
    rows, columns = (np.arange(n) for n in values.shape[-2:])
    signs = 1 - 2 * (np.add.outer(rows, columns) % 2)
    return np.asarray(values - as_column(np.array(offsets), values.ndim) * signs)


def _offset(image: Float[np.ndarray, "*spatial"]) -> float:
    """Return the offset in one channel, missing values of which are NaN."""
    planes = image.reshape(-1, *image.shape[-2:])
    around = (planes[:, :-2, 1:-1] + planes[:, 2:, 1:-1] + planes[:, 1:-1, :-2] + planes[:, 1:-1, 2:]) / 4
    distance = planes[:, 1:-1, 1:-1] - around
    sides = [n // (2 * N_TILES) * 2 for n in distance.shape[1:]]
    tiles = distance[:, : N_TILES * sides[0], : N_TILES * sides[1]]
    # Axes: plane; tile, pair of rows and row in the pair; the same of columns. So there are four kinds of pixels in a tile.
    tiles = tiles.reshape(len(tiles), N_TILES, sides[0] // 2, 2, N_TILES, sides[1] // 2, 2)
    if np.isfinite(tiles).sum(OVER_TILE).min() < LEAST_SIDE:
        return 0.0
    kinds = np.nanmedian(tiles, OVER_TILE, keepdims=True)
    offsets = (kinds[..., 0, :, :, 0] + kinds[..., 1, :, :, 1] - kinds[..., 0, :, :, 1] - kinds[..., 1, :, :, 0]) / 8
    noise = MAD_TO_SIGMA * np.nanmedian(np.abs(tiles - kinds)) / ROUGHNESS
    mean, spread = offsets.mean(), offsets.std()
    is_found = abs(mean) > max(LEAST * noise, SIGNIFICANCE * spread / N_TILES) and spread < MOST_SPREAD * abs(mean)
    return float(mean) if is_found else 0.0
