"""How much noise a stabilized image has, as measured: in theory its variance is 1, but less where there are few events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.estimation.blocks import Blocks
from napari_convgen.core.noise.estimation.curve import Curve
from napari_convgen.core.noise.stabilizer import Stabilizer, StableNoise, Unchanged

MOST_STABLE = 1.04
"""Largest variance of stabilized noise, if theory does not allow more; a measured variance above has structure in it. It is the largest
one that the stabilizers of this package leave in theory, except at a few events a pixel."""


def measure_stable(
    stabilizers: Sequence[Stabilizer],
    stable: Sequence[Float[np.ndarray, "*spatial"]],
    is_observed: Bool[np.ndarray, "c *spatial"],
    spacing: int,
) -> tuple[StableNoise, ...] | None:
    """Measure the noise of each channel once it is stabilized; ``None`` if a channel shows none.

    Parameters
    ----------
    stabilizers
        Transform of each channel.
    stable
        Noisy values of each channel after it.
    is_observed
        False where a value is missing.
    spacing
        Distance in pixels from which on the noise of two pixels is independent.
    """
    channels = []
    for each, x, seen in zip(stabilizers, stable, is_observed, strict=True):
        if isinstance(each, Unchanged):
            channels.append(StableNoise((0.0,), (each.noise_level**2,), each.noise_level))
            continue
        blocks = Blocks.of(x, seen, spacing)
        if not len(blocks):
            return None
        curve = Curve.of(blocks)
        variance = np.minimum(curve.variance, np.maximum(MOST_STABLE, each.noise_variance(curve.mean)))
        level = float(np.sqrt(np.interp(blocks.mean, curve.mean, variance).mean()))
        if not level > 0:
            return None
        channels.append(StableNoise(tuple(curve.mean.tolist()), tuple(variance.tolist()), level))
    return tuple(channels)
