"""Noise that neighboring frames of a stack share, as a running mean or an interpolation along the stack leaves it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from napari_convgen.core.noise.models.base import NoiseModel

SIDE = 8
"""Side of the blocks, in pixels, in which differences of frames are averaged: where something moves, these are large, and few blocks have
it. Our choice, no benchmark."""

SHARED, SAME, APART = 0.4, 0.9, 0.25
"""Correlations of the noise of neighbors between which it counts as shared, and largest one of frames that count as independent. A mean
of two frames leaves 0.5, one of three 0.67 and, at a distance of two, 0.33. Above, texture was taken for noise. Our choice,
checked with the noisy stacks of benchmarks/stacks.py, none of which has such noise."""


def independent_distance(frames: Sequence[Float[np.ndarray, "c h w"]], models: Sequence[NoiseModel | None]) -> int:
    """Return how far apart two frames are, at least, that share hardly any noise; 1, as of measured ones, if neighbors do not.

    It is also 1 if all frames share as much: noise that lies still is no sign of a mean, nor is a level that is too high.

    Parameters
    ----------
    frames
        Frames in the order of the stack, NaN where a value is missing.
    models
        Noise of each, as it was found in each alone; ``None`` where none was.
    """
    if not SHARED < _correlation(frames, models, 1) < SAME:
        return 1
    distances = range(2, len(frames) // 2 + 1)
    return next((each for each in distances if _correlation(frames, models, each) < APART), 1)


def _correlation(
    frames: Sequence[Float[np.ndarray, "c h w"]], models: Sequence[NoiseModel | None], distance: int
) -> float:
    """Return the median correlation of the noise of frames at a distance; 0 if there are none. Copies of frames do not count."""
    pairs = [
        (one, other, noise, noise_of_other)
        for one, other, noise, noise_of_other in zip(frames, frames[distance:], models, models[distance:], strict=False)
        if noise is not None and noise_of_other is not None and not np.array_equal(one, other, equal_nan=True)
    ]
    return float(np.median([_correlation_of_two(*pair) for pair in pairs])) if pairs else 0.0


def _correlation_of_two(
    one: Float[np.ndarray, "c h w"], other: Float[np.ndarray, "c h w"], noise: NoiseModel, noise_of_other: NoiseModel
) -> float:
    """Return how much less two frames differ than they would with independent noise; what moves or changes makes it smaller.

    Where noise is white, only what is fine in the difference is looked at, in which little of what moves is left.
    """
    middle, difference = (one + other) / 2, one - other
    expected = noise.variance_in(middle) + noise_of_other.variance_in(middle)
    if noise.correlation_length == noise_of_other.correlation_length == 1:
        expected, difference = expected[:, 1:, 1:], np.diff(np.diff(difference, axis=1), axis=2) / 2
    n_rows, n_columns = (n // SIDE * SIDE for n in difference.shape[1:])
    if not n_rows * n_columns:
        return 0.0
    squares = difference**2
    with np.errstate(invalid="ignore", divide="ignore"):
        found, predicted = (
            each[:, :n_rows, :n_columns].reshape(len(one), n_rows // SIDE, SIDE, -1, SIDE).mean((2, 4))
            for each in (squares, expected)
        )
        ratios = found / predicted
    ratios = ratios[np.isfinite(ratios)]
    return 1 - float(np.median(ratios)) if ratios.size else 0.0
