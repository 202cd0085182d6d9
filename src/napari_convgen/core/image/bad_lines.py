"""Bad lines: single rows or columns of a camera that have an offset, no signal, or much more noise than all others."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from napari_convgen.core.noise.estimation.impulses import MAD_TO_SIGMA

LEAST_LENGTH, LEAST_LINES = 64, 32
"""Least number of pixels in a line, and of lines, with which a bad one can be told. Our choice, no benchmark."""

WIDTHS = (1, 2)
"""Numbers of bad lines side by side."""

FEW = 0.02
"""Largest share of the lines of a plane that are bad: more are stripes or structure. Our choice, no benchmark."""

NOISIER = 1.3
"""Least mean difference of a bad line from both lines beside it, relative to that of these two from each other: here that of noise twice
as strong, less the uncertainty. Structure goes on from line to line, so that lines further apart differ more. Chosen with
benchmarks/noise.py."""

SUSPICIOUS, SIGNIFICANCE = 4.0, 8.0
"""Least offset of a bad line, in standard deviations of those of all lines, measured by means, and then by medians and in their standard
errors too. The second was chosen with benchmarks/noise.py."""

BESIDE = 0.15
"""Largest offset of the lines beside bad ones from those further away, relative to theirs: optics draws no line with so sharp borders."""

N_PARTS, MOST_PARTS = 8, 7
"""Number of parts of a line, and of those in which a bad line is bad: structure seldom reaches through the image so straight."""

MEDIAN_ERROR = 1.2533
"""Standard error of a median over that of a mean, of Gaussian noise."""


def find_bad_lines(
    values: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"]
) -> Bool[np.ndarray, "*spatial"]:
    """Return the pixels in bad rows and columns of each plane of a channel; none along a single axis.

    Parameters
    ----------
    values
        Values of one channel, in any units.
    is_observed
        False where a value is missing.
    """
    found = np.zeros_like(is_observed)
    if values.ndim < 2:
        return found
    planes = np.where(is_observed, values, np.nan).reshape(-1, *values.shape[-2:])
    for plane, bad in zip(planes, found.reshape(planes.shape), strict=True):
        bad[_bad_rows(plane)] = True
        bad[:, _bad_rows(plane.T)] = True
    return np.asarray(found & is_observed)


def _bad_rows(plane: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h"]:
    """Return True for rows that are bad."""
    bad = np.zeros(len(plane), bool)
    if len(plane) < LEAST_LINES or plane.shape[1] < LEAST_LENGTH:
        return bad
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of lines without any value
        for width in WIDTHS:
            noisy, off = _suspicious(plane, width)
            starts = [i for i in noisy if _is_noisy(plane, i, width)]
            if off:
                usual = MAD_TO_SIGMA * float(np.nanmedian(np.abs(np.nanmedian(np.diff(plane, axis=0), 1))))
                starts += [i for i in off if _has_offset(plane, i, width, usual)]
            for start in starts:
                bad[start : start + width] = True
    bad &= ~ndimage.binary_opening(bad, np.ones(max(WIDTHS) + 1, bool))
    return bad if bad.sum() <= max(WIDTHS[-1], FEW * len(plane)) else np.zeros_like(bad)


def _suspicious(plane: Float[np.ndarray, "h w"], width: int) -> tuple[list[int], list[int]]:
    """Return the first rows of groups that seem noisier, and that seem to have an offset, between two rows before and two behind."""
    n = len(plane) - width - 3
    first, last = slice(1, 1 + n), slice(2 + width, 2 + width + n)
    pairs = [(slice(2 + i, 2 + i + n), beside) for i in range(width) for beside in (first, last)]
    means = np.nanmean(plane, 1)
    steps = np.stack([means[row] - means[beside] for row, beside in pairs])
    usual = MAD_TO_SIGMA * np.nanmedian(np.abs(np.diff(means)))
    is_off = (np.abs(np.sign(steps).sum(0)) == len(steps)) & (np.abs(steps).min(0) > SUSPICIOUS * usual)
    sizes = [np.nanmean(np.abs(plane[row] - plane[beside]), 1) for row, beside in pairs]
    is_noisy = np.min(sizes, 0) > NOISIER * np.nanmean(np.abs(plane[last] - plane[first]), 1)
    return [2 + int(i) for i in np.flatnonzero(is_noisy)], [2 + int(i) for i in np.flatnonzero(is_off)]


def _is_noisy(plane: Float[np.ndarray, "h w"], start: int, width: int) -> bool:
    """Return True if rows differ more from those beside them than these do from each other, offsets apart, in nearly all parts."""
    first, last = plane[start - 1], plane[start + width]
    group = plane[start : start + width]
    before, behind, across = (_by_part(each, _mean_deviation) for each in (group - first, group - last, last - first))
    return bool((np.minimum(before, behind).min(1) > NOISIER * across).sum() >= MOST_PARTS)


def _has_offset(plane: Float[np.ndarray, "h w"], start: int, width: int, usual: float) -> bool:
    """Return True if a group of rows lies above or below the rows beside it, and these do not, in nearly all parts.

    ``usual`` is the standard deviation of the median differences of rows from the next.
    """
    first, last = plane[start - 1], plane[start + width]
    group = plane[start : start + width]
    sides = np.stack([group - first, group - last])
    offsets = np.nanmedian(sides, -1)
    noise = MEDIAN_ERROR * np.nanmean(np.abs(last - first)) / np.sqrt(max(1, np.isfinite(last - first).sum()))
    beside = np.abs(np.nanmedian([first - plane[start - 2], last - plane[start + width + 1]], -1)).max()
    least = float(np.abs(offsets).min())
    if not (least > SIGNIFICANCE * max(usual, noise) and beside < BESIDE * least + 2 * noise):
        return False
    steps, across = _by_part(sides, np.nanmedian), np.abs(_by_part(last - first, np.nanmedian))
    is_bad = (np.sign(steps) == np.sign(offsets[0, 0])).all((1, 2)) & (np.abs(steps).min((1, 2)) > across)
    return bool(is_bad.sum() >= MOST_PARTS)


def _by_part(values: Float[np.ndarray, "... w"], function: Callable[..., np.ndarray]) -> Float[np.ndarray, "p ..."]:
    """Return a mean or median over each of `N_PARTS` parts of lines."""
    return np.stack([function(part, axis=-1) for part in np.array_split(values, N_PARTS, axis=-1)])


def _mean_deviation(values: Float[np.ndarray, "... w"], axis: int) -> Float[np.ndarray, "..."]:
    return np.asarray(np.nanmean(np.abs(values - np.nanmedian(values, axis=axis, keepdims=True)), axis=axis))
