"""Colors that TIFF files store in other ways than as red, green and blue: as numbers of a color map, or as inks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_convgen.errors import FileError

PHOTOMETRIC = tifffile.PHOTOMETRIC

UNREAD = (PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB, PHOTOMETRIC.ITULAB, PHOTOMETRIC.LOGL, PHOTOMETRIC.LOGLUV)
"""Color spaces in which equal steps of the values are no equal steps of light."""

LUMINANCE = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the luminance (CCIR 601)."""

CMYK = 1
"""Value of the tag ``InkSet`` for cyan, magenta, yellow and black."""

STEP = 16 / 255
"""Largest step of a color between two neighbors of a smooth map, as a share of the full range: twice those of ImageJ's map *Fire*."""

N_JUMPS = 2
"""Largest number of larger steps in a smooth map: those to the colors of the least and the largest number in ImageJ's map *HiLo*."""


def is_scale(colormap: NDArray[np.uint16], *, is_for_display: bool) -> bool:
    """Return True if the numbers of a color map are values, which the map only shows in color.

    So it is where red, green and blue all are straight lines of the number (gray, inverted gray, shades of one color): the mean of
    two numbers then has the mean color. Of programs that color measured values for display, a smooth curve is enough.

    Parameters
    ----------
    colormap
        Red, green and blue of each number, of shape (3, n).
    is_for_display
        True if the file is by a program that uses color maps to display measured values: ImageJ, or one that writes OME-TIFF.
    """
    colors = colormap.astype(np.float64) / max(int(colormap.max()), 1)
    n = colors.shape[1]
    lines = colors[:, :1] + (colors[:, -1:] - colors[:, :1]) * np.linspace(0, 1, n)
    is_straight = np.abs(colors - lines).max() <= 1 / 255
    is_smooth = (np.abs(np.diff(colors)).max(axis=0) > STEP).sum() <= N_JUMPS
    return bool(colormap.any() and (is_straight or (is_for_display and is_smooth)))


def look_up(numbers: NDArray[Any], colormap: NDArray[np.uint16]) -> NDArray[Any]:
    """Return the colors of numbers, as a last axis of red, green and blue; gray, without that axis, if the map is gray.

    Parameters
    ----------
    numbers
        Whole numbers, of any shape.
    colormap
        Red, green and blue of each number, 0 to 65,535, of shape (3, n). Values become 8-bit if no bit is lost by it, which includes
        files by programs that write 8 bits where there should be 16.
    """
    high = colormap >> 8
    colors: NDArray[Any]
    if colormap.max() < 256:
        colors = colormap.astype(np.uint8)
    elif ((colormap == 257 * high) | (colormap == 256 * high)).all():
        colors = high.astype(np.uint8)
    else:
        colors = colormap
    if numbers.size and int(numbers.max()) >= colors.shape[1]:
        raise ValueError(f"it has the color number {numbers.max()}, and a map of {colors.shape[1]} colors")
    if (colors == colors[:1]).all():
        grays: NDArray[Any] = colors[0][numbers.astype(np.intp)]
        return grays
    looked_up: NDArray[Any] = colors.T[numbers.astype(np.intp)]
    return looked_up


def from_inks(data: NDArray[Any], axis: int) -> NDArray[Any]:
    """Return red, green and blue of cyan, magenta, yellow and black, along the same axis; further samples stay.

    Parameters
    ----------
    data
        Whole numbers from 0, no ink, to the largest of their type.
    axis
        Position of the samples.

    References
    ----------
    TIFF 6.0, section 16: each ink takes its part of the light away.
    """
    full = int(np.iinfo(data.dtype).max)
    exact = np.uint32 if data.dtype.itemsize <= 2 else np.uint64  # holds the product of two values, and half of one
    inks = np.moveaxis(data, axis, 0)
    colors = np.empty((3, *inks.shape[1:]), data.dtype)
    for color, ink in zip(colors, inks[:3], strict=True):  # one by one, for the memory
        light = (full - ink).astype(exact)
        light *= full - inks[3]
        light += exact(full // 2)
        color[...] = light // exact(full)
    return np.ascontiguousarray(np.moveaxis(colors, 0, axis))


def from_luminance(
    data: NDArray[Any],
    axis: int,
    coefficients: Sequence[float] = LUMINANCE,
    black_and_white: Sequence[float] | None = None,
) -> NDArray[Any]:
    """Return red, green and blue of luminance and chrominance (YCbCr), along the same axis; further samples stay.

    Parameters
    ----------
    data
        Whole numbers.
    axis
        Position of the samples.
    coefficients
        Shares of red, green and blue in the luminance; by default those of CCIR 601.
    black_and_white
        Numbers of black and of white for the luminance and for either chrominance, for which black means none; ``None``, the default, for
        the full range.

    References
    ----------
    TIFF 6.0, sections 20 and 21: ``YCbCrCoefficients``, ``ReferenceBlackWhite``.
    """
    full, middle = float(np.iinfo(data.dtype).max), (np.iinfo(data.dtype).max + 1) // 2
    samples = np.moveaxis(data, axis, 0)
    ends = np.reshape((0, full, middle, full, middle, full) if black_and_white is None else black_and_white, (3, 2))
    ranges = full, full - middle, full - middle
    luminance, blue, red = (
        (sample.astype(np.float64) - black) * reach / (white - black)
        for sample, (black, white), reach in zip(samples, ends, ranges, strict=False)
    )
    share_r, share_g, share_b = coefficients
    r, b = luminance + (2 - 2 * share_r) * red, luminance + (2 - 2 * share_b) * blue
    g = (luminance - share_r * r - share_b * b) / share_g
    colors = np.rint(np.clip([r, g, b], 0, full)).astype(data.dtype)
    return np.ascontiguousarray(np.moveaxis(np.concatenate([colors, samples[3:]]), 0, axis))


def has_inks(page: tifffile.TiffPage) -> bool:
    """Return True for colors of the four inks that are read."""
    return bool(
        page.samplesperpixel == 4 and page.tags.valueof("InkSet", 1) == CMYK and np.dtype(page.dtype).kind == "u"
    )


def refuse_unread(path: Any, page: tifffile.TiffPage) -> None:
    """Refuse colors that are not read.

    Raises
    ------
    FileError
        The file has colors in a space or of inks that are not read, color numbers with transparency, or one color for each pixel.
    """
    if page.photometric in UNREAD or (page.photometric == PHOTOMETRIC.YCBCR and np.dtype(page.dtype).kind != "u"):
        name = f"{np.dtype(page.dtype)} " * (page.photometric not in UNREAD) + PHOTOMETRIC(page.photometric).name
        raise FileError(f"{path} has {name} colors, which are not read. Save it in red, green and blue.")
    if page.photometric == PHOTOMETRIC.CFA:
        raise FileError(
            f"{path} is a mosaic of colors, one for each pixel, as the sensor of a camera records it. Develop it to red, green and blue "
            "first, or save the pixels of each color as a channel."
        )
    if page.photometric == PHOTOMETRIC.SEPARATED and not has_inks(page):
        raise FileError(
            f"{path} has {page.samplesperpixel} inks; only cyan, magenta, yellow and black together are read, as whole numbers. "
            "Save it in red, green and blue."
        )
    if page.photometric == PHOTOMETRIC.PALETTE and page.samplesperpixel > 1:
        raise FileError(f"{path} has indexed colors with transparency. Save it in red, green and blue.")
