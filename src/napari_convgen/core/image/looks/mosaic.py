"""A color camera's mosaic, given as gray: every pixel has one of three colors, in a pattern that repeats every two rows and columns."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.image.looks.planes import middle_plane

SIDE = 16
"""Side of the blocks, in pixels, in which rows and columns are compared. Our choice, no benchmark."""

LEAST_BLOCKS = 9
"""Least number of blocks of an image that is looked at."""

LEAST_RELATION = 0.8
"""Least correlation of the steps between rows with those between columns: both are a quarter of the difference of red and blue.
Checked with benchmarks/notes.py."""

LEAST_STEP = 3.0
"""Least size of these steps, in their standard errors. Our choice, no benchmark."""

NOTE = (
    "The image looks like the mosaic of a color camera (Bayer pattern): every other row and column has another brightness. It cannot be "
    "denoised as it is. Split it into the four images of its colors, image[0::2, 0::2], image[0::2, 1::2], image[1::2, 0::2] and "
    "image[1::2, 1::2], as four channels."
)
"""Advice for such an image."""


def mosaic_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a gray frame whose rows and columns alternate as those of a mosaic; empty for others.

    Arguments are those of `notes_on_looks`.
    """
    plane = middle_plane(values, is_observed)
    if len(values) > 1 or min(plane.shape) < SIDE:
        return ""
    smooth = _smoothed(_smoothed(plane).T).T
    fine = _in_pairs(plane[1:-1, 1:-1] - smooth)
    (a, b), (c, d) = fine.transpose(2, 5, 0, 3, 1, 4)
    of_rows, of_columns, of_both = (each / 4 for each in (a + b - c - d, a + c - b - d, a + d - b - c))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of blocks without any value
        steps = [np.nanmean(each, (2, 3)) for each in (of_rows, of_columns, of_both)]
        error, mean = np.nanstd(of_rows, (2, 3)) * 2 / SIDE, np.nanmean(_in_pairs(smooth), (1, 2, 4, 5))
    is_seen = np.isfinite(error)
    if is_seen.sum() < LEAST_BLOCKS:
        return ""
    rows, columns, both, error, mean = (each[is_seen] for each in (*steps, error, mean))
    size = np.sqrt((rows**2).sum() * (columns**2).sum())
    has_colors = abs((rows * columns).sum()) > LEAST_RELATION * size > LEAST_RELATION * LEAST_STEP**2 * (error**2).sum()
    return NOTE if has_colors or _is_gain(both, mean, error) else ""


def _is_gain(both: Float[np.ndarray, "n"], mean: Float[np.ndarray, "n"], error: Float[np.ndarray, "n"]) -> bool:
    """Return True if every other pixel is brighter by a factor, as green is where red and blue are the same, and not by a constant."""
    power, of_mean = (both**2).sum(), (mean**2).sum()
    by_factor = of_mean * power - (both * mean).sum() ** 2
    by_constant = of_mean * (power - both.sum() ** 2 / both.size)
    return bool(power > LEAST_STEP**2 * (error**2).sum() and by_factor < min(0.2 * of_mean * power, 0.5 * by_constant))


def _smoothed(lines: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "m w"]:
    """Return means of three neighboring lines, in which nothing alternates; a slope stays as it is."""
    return np.asarray((lines[:-2] + 2 * lines[1:-1] + lines[2:]) / 4)


def _in_pairs(plane: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "rows half 2 columns half 2"]:
    """Return the pixels of blocks by their pair of rows and of columns."""
    n_rows, n_columns = (n // SIDE for n in plane.shape)
    return plane[: n_rows * SIDE, : n_columns * SIDE].reshape(n_rows, SIDE // 2, 2, n_columns, SIDE // 2, 2)
