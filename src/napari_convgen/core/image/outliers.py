"""Pixels far outside the range of all others, without relation to their neighbors: hot pixels, cosmic rays, values for missing data."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from napari_convgen.core.image.fill import LARGE

QUANTILES = (0.05, 0.005)
"""Share of the pixels below and above the range from which distances are measured; the second where the first leaves no range, as in an
image of few photons. Our choice, no benchmark."""

REACH = 2.0
"""Distance from that range, in its own lengths, from which on a pixel is looked at: 8 standard deviations of an image that is noise."""

BEYOND = 0.5
"""Distance of an outlier from the range of all other pixels, in that range's lengths: from there on it sets the scale of the image.
Our choice, no benchmark."""

FEW = 0.02
"""Largest share of the pixels that are outliers: more are structure, or impulses of the noise. Our choice, no benchmark."""

MOST_MARKS = 3
"""Largest number of different values for missing data at either end. Our choice, no benchmark."""

LEAST_OTHERS = 64
"""Least number of other pixels for their range to be known: that of fewer is chance. Our choice, no benchmark."""

INSIDE = 0.2
"""Share of marks with marks on all sides from which they are objects. Of marks by chance, in half of the pixels, 6 % are so. Our choice, no
benchmark."""

CLUSTER = 9
"""Largest number of pixels of a cluster of different values: 3 × 3."""

FLAT = 0.5
"""Least height in a cluster, relative to its greatest: a point that optics has drawn is less flat, where it is as wide. Our choice, no
benchmark."""

ALONE = 0.12
"""Largest mean height of the pixels at the edges of a cluster, relative to the cluster: optics draws more around a point. Our choice, no
benchmark."""


def find_outliers(
    values: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"]
) -> Bool[np.ndarray, "*spatial"]:
    """Return the single pixels and clusters of a channel that lie far outside the range of all others and rise abruptly.

    A cluster has up to `CLUSTER` pixels, or up to `LARGE` of one exact value; of a value that is far from all others there may be any
    number. Points that optics has drawn, such as beads and stars, are not among them: they have a slope.

    Parameters
    ----------
    values
        Values of one channel, in any units.
    is_observed
        False where a value is missing.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of clusters without surroundings
        marks = _find_marks(values, is_observed)
        is_rest = is_observed & ~marks
        low, high = _usual_range(values[is_rest])
        far = is_rest & ((values < low) | (values > high))
        if not far.any() or far.sum() > FEW * is_rest.sum():
            return marks
        found = _is_abrupt(values, is_rest, far)
        rest = values[is_rest & ~found]
        margin = BEYOND * (rest.max() - rest.min())
        return np.asarray(marks | found & ((values < rest.min() - margin) | (values > rest.max() + margin)))


def _find_marks(
    values: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"]
) -> Bool[np.ndarray, "*spatial"]:
    """Return the pixels that have the largest value, or the smallest, or one of the next few, far from all others: marks of missing data.

    There are more of them than `FEW`, anywhere in the image, but not as large objects; fewer are found by their neighbors.
    """
    marks = np.zeros_like(is_observed)
    for sign in (1, -1):
        signed = sign * values
        known = signed[is_observed & ~marks]
        for value in np.unique(known)[: -1 - MOST_MARKS : -1]:
            rest = known[known < value]
            n = len(known) - len(rest)
            is_frequent = max(CLUSTER, FEW * len(known)) < n < len(rest)
            is_known = len(rest) >= LEAST_OTHERS
            if is_known and is_frequent and value - rest.max() > REACH * (rest.max() - rest.min()) > 0:
                marks |= _without_objects(is_observed & (signed >= value))
                break
    return marks


def _without_objects(marks: Bool[np.ndarray, "*spatial"]) -> Bool[np.ndarray, "*spatial"]:
    """Return marks without those that are large objects, such as overexposed ones: most of their pixels have such neighbors only."""
    inside = ndimage.binary_erosion(marks, _cross(marks.ndim))
    if inside.sum() < INSIDE * marks.sum():
        return marks
    clusters, _ = ndimage.label(marks)
    return np.asarray(marks & (np.bincount(clusters.ravel())[clusters] < LARGE))


def _usual_range(values: Float[np.ndarray, "n"]) -> tuple[float, float]:
    """Return the limits beyond which a pixel may be an outlier; all values lie between them if no range can be told."""
    for share in QUANTILES if values.size else ():
        low, high = np.quantile(values, (share, 1 - share), method="nearest")
        if high > low:
            return low - REACH * (high - low), high + REACH * (high - low)
    return -np.inf, np.inf


def _is_abrupt(
    values: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"], far: Bool[np.ndarray, "*spatial"]
) -> Bool[np.ndarray, "*spatial"]:
    """Return the clusters of ``far`` whose pixels are all high and whose neighbors are not."""
    around = np.ones((3,) * values.ndim)
    clusters, n = ndimage.label(far, around)
    numbers = np.arange(n + 1)
    is_near = is_observed & ~far
    rings = [
        ndimage.maximum_filter(clusters, footprint=each) for each in (_cross(values.ndim), np.ones((7,) * values.ndim))
    ]
    edge, surroundings = (np.where(is_near, ring, 0) for ring in rings)
    surroundings[edge > 0] = 0
    level, beside = (ndimage.mean(values, ring, numbers) for ring in (surroundings, edge))
    height = np.abs(values - level[clusters])
    highest, lowest = (each(height, clusters, numbers) for each in (ndimage.maximum, ndimage.minimum))
    is_exact = ndimage.maximum(values, clusters, numbers) == ndimage.minimum(values, clusters, numbers)
    sizes = np.bincount(clusters.ravel(), minlength=n + 1)
    is_small = (sizes <= CLUSTER) & (lowest >= FLAT * highest) | is_exact & (sizes < LARGE)
    is_abrupt = is_small & (np.abs(beside - level) < ALONE * highest)
    is_abrupt[0] = False
    return np.asarray(is_abrupt[clusters])


def _cross(n_axes: int) -> Bool[np.ndarray, "..."]:
    return np.asarray(ndimage.generate_binary_structure(n_axes, 1))
