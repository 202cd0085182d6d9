"""Areas of one exact value, such as masks, padding and the bars of information in electron micrographs: filled in, not measured."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from napari_convgen.core.noise.estimation.blocks import Blocks
from napari_convgen.core.noise.estimation.channel import MIN_INTERVALS
from napari_convgen.core.noise.estimation.curve import Curve, fit_line

LARGE_SHARE, LARGE = 1e-3, 100
"""Least size of an area: its share of the frame, and pixels. Where noise makes two neighbors equal half the time, 100 are so in one
of 10³⁰ places. Our choice, no benchmark."""

SMALL = 16
"""Least size, in pixels, of further areas with the value of a large one. Our choice, no benchmark."""

SHARP = 0.4
"""Largest share of an area's own value in the ring around it. Where noise was cut off at a limit, half or more of the ring has it: the
value becomes rare by and by. Our choice, no benchmark."""

DISTINCT = 2.5
"""Least mean difference between the ring and the area, in steps of the image's values: counts of few photons, and slopes that were
rounded, differ by about one. Our choice, no benchmark."""

SPECK, MOST_SPECKS = 4, 1e-3
"""Largest size of a speck, in pixels, and the number of specks in each pixel of the areas from which their other pixels are no fill but
have the same value by chance: photons are few, or noise was cut off. Our choice, no benchmark."""

RING = 2
"""Width of that ring, in pixels."""

STEEP = 0.8
"""Height of the step at the edge of an area at the maximum, relative to the area's height over the other pixels. Optics blurs the edge of
an overexposed area; what was filled in has none. Our choice, no benchmark."""

BOX = 0.95
"""Least share of its bounding box that an area at the maximum fills, unless it touches the image's border: bars, labels and padding do.
Others are overexposed objects with sharp edges. Our choice, no benchmark."""

VANISHED = 0.25
"""Largest variance of the noise at the lowest value, relative to a typical one, that counts as none: that of the estimate of the noise,
see `napari_convgen.core.noise.estimation.channel.CUT_VARIANCE`."""

GAIN = 2.0
"""Factor between the slope of the variance and the step between levels, at most, where photons are counted. Our choice, no benchmark."""

STEP_QUANTILE = 0.25
"""Quantile of the differences of sorted levels that stands for their step: bright levels are rare, and rounding makes tiny differences."""

MOST_COMPARED = 10_000
"""Number of pixels, about, whose values are compared to find the steps between them: enough for all 256 gray levels."""

LARGEST = 1e150
"""Largest absolute value of an image: the sum of the squares of 10⁶ of these is a number in double precision."""

LEAST_RANGE = 1e-70
"""Least difference of the largest and the least value of an image: the fourth power of noise 1000 times weaker is a number in double
precision, as what is fitted to measured variances needs."""

MOST_VALUES = 4
"""Largest number of different values that areas are filled with: an image with more of them is a drawing, without noise."""

RARE = 0.15
"""Largest share of the other pixels that has the value of an area: where it is more frequent, noise makes it. Our choice, no benchmark."""


def find_fill(
    values: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"]
) -> Bool[np.ndarray, "*spatial"]:
    """Return where a channel has large connected areas of one exact value that end abruptly, and of a volume the planes of one value.

    Noise cannot make them. Where the noise was cut off at a limit, or photons are few, pixels with other values come to lie between, more
    and more towards the border; such areas are not among them, nor are overexposed ones: their border is blurred, or they are
    objects inside of the image.

    Parameters
    ----------
    values
        Values of one channel, in any units.
    is_observed
        False where a value is missing.
    """
    planes = _constant_planes(values, is_observed)
    return np.asarray(planes | _find_areas(values, is_observed & ~planes))


def _constant_planes(
    values: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"]
) -> Bool[np.ndarray, "*spatial"]:
    """Return the planes of a volume, such as lost slices, that have one value each, if others vary."""
    found = np.zeros_like(is_observed)
    for axis in range(values.ndim if values.ndim > 2 else 0):
        across = tuple(each for each in range(values.ndim) if each != axis)
        highest = np.max(values, across, where=is_observed, initial=-np.inf, keepdims=True)
        lowest = np.min(values, across, where=is_observed, initial=np.inf, keepdims=True)
        if (highest > lowest).any():
            found |= is_observed & (highest == lowest)
    return found


def _find_areas(
    values: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"]
) -> Bool[np.ndarray, "*spatial"]:
    """Return the large connected areas of one exact value that end abruptly."""
    none = np.zeros_like(is_observed)
    cores = _cores(values, is_observed)
    if not cores.any():
        return none
    areas = _grow(cores, 1)
    if areas.all():
        return none
    own = values.ravel()[np.unique(areas, return_index=True)[1]]
    sizes = np.bincount(areas.ravel(), minlength=len(own))
    is_fill = (sizes >= SMALL) & _is_abrupt(values, is_observed, areas, own)
    is_fill[0] = False
    fills = np.unique(own[is_fill & (sizes >= max(LARGE, LARGE_SHARE * values.size))])
    found = np.asarray((is_fill & np.isin(own, fills))[areas])
    is_left = is_observed & ~found
    n_specks = (np.bincount(ndimage.label(is_left)[0].ravel())[1:] <= SPECK).sum()
    is_frequent = any((values[is_left] == value).mean() > RARE for value in fills)
    if len(fills) > MOST_VALUES or is_frequent or n_specks > MOST_SPECKS * found.sum():
        return none
    least = values[is_observed].min()
    if least in fills and _counts_photons(values, is_left, least):
        return np.asarray(found & (values > least))
    return found


def _cores(
    values: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"]
) -> Int[np.ndarray, "*spatial"]:
    """Return numbers, from 1, of the connected areas whose pixels are equal to all their neighbors; 0 elsewhere."""
    filled = np.where(is_observed, values, np.inf)
    is_core = is_observed & (ndimage.maximum_filter(filled, 3) == ndimage.minimum_filter(filled, 3))
    return np.asarray(ndimage.label(is_core)[0])


def _grow(areas: Int[np.ndarray, "*spatial"], width: int) -> Int[np.ndarray, "*spatial"]:
    return np.asarray(ndimage.maximum_filter(areas, 2 * width + 1))


def _is_abrupt(
    values: Float[np.ndarray, "*spatial"],
    is_observed: Bool[np.ndarray, "*spatial"],
    areas: Int[np.ndarray, "*spatial"],
    own: Float[np.ndarray, "n"],
) -> Bool[np.ndarray, "n"]:
    """Return for each area whether its value ends at its border."""
    is_outside = is_observed & (areas == 0)
    ring = np.where(is_outside, _grow(areas, RING), 0)
    ring, beside = ring[ring > 0], values[ring > 0]
    if not beside.size:
        return np.zeros(len(own), bool)
    n = np.bincount(ring, minlength=len(own))
    with np.errstate(over="ignore", invalid="ignore"):
        share, step, distance = (
            np.bincount(ring, each, len(own)) / np.maximum(n, 1)
            for each in (beside == own[ring], own[ring] - beside, np.abs(own[ring] - beside))
        )
        outside = values[is_outside]
        is_steep = step > STEEP * (own - np.median(outside))
        is_distinct = distance > DISTINCT * _quantum(outside)
    is_lower = own < outside.max()
    is_abrupt = np.asarray((n > 0) & (share < SHARP) & is_distinct & (is_lower | is_steep))
    return is_abrupt & (is_lower | _are_drawn(areas)) if (is_abrupt & ~is_lower).any() else is_abrupt


def _are_drawn(areas: Int[np.ndarray, "*spatial"]) -> Bool[np.ndarray, "n"]:
    """Return for each area, from number 0, whether it touches the border of the image or is a box."""
    drawn = [False]
    for size, box in zip(np.bincount(areas.ravel())[1:], ndimage.find_objects(areas), strict=True):
        touches = any(side.start == 0 or side.stop == n for side, n in zip(box, areas.shape, strict=True))
        drawn.append(touches or size >= BOX * np.prod([side.stop - side.start for side in box]))
    return np.array(drawn)


def _quantum(values: Float[np.ndarray, "n"]) -> float:
    """Return the step between the levels that values take, about; infinity for a single level."""
    levels = np.unique(values[:: -(-values.size // MOST_COMPARED)])
    return float(np.quantile(np.diff(levels), STEP_QUANTILE)) if len(levels) > 1 else np.inf


def _counts_photons(values: Float[np.ndarray, "*spatial"], is_left: Bool[np.ndarray, "*spatial"], least: float) -> bool:
    """Return True if the noise is that of counts above a value: the variance is the distance from it times the step between levels.

    Then an area of this value is one without photons, and not filled in.
    """
    if not np.abs(values[is_left]).max() < LARGEST or np.ptp(values[is_left]) < LEAST_RANGE:
        return False
    blocks = Blocks.of(values, is_left)
    curve = Curve.of(blocks) if len(blocks) else None
    if curve is None or len(curve.mean) < MIN_INTERVALS:
        return False
    middle = np.median(curve.mean)
    at_least, typical = fit_line(curve).at(np.array([least, middle]))
    gain = typical / (middle - least)
    return bool(abs(at_least) < VANISHED * typical and 1 / GAIN < gain / _quantum(values[is_left]) < GAIN)
