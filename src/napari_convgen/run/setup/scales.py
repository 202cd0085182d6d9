"""Number of scales of each kind of generator, and whether its settings suit the size of the image.

Each function takes the settings, the spatial shape of the image and the distances between its pixels, see
`napari_convgen.core.generators.grids`, and raises a `ConfigError` for settings that it does not allow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from napari_convgen.config import TwoLayerConfig
from napari_convgen.core.generators.grids import most_scales
from napari_convgen.errors import ConfigError, mismatch

Spacing = Sequence[float] | None

COARSEST_SIDE, MIN_SCALES = 16, 3
"""Pixels along the shorter side of a deep decoder's coarsest grid, and its least number of scales, with ``n_scales = "auto"``."""

HOURGLASS_SCALES = 4
"""Scales of a skip or guided network with ``n_scales = "auto"``."""


def no_scales(settings: Any, size: Sequence[int], spacing: Spacing) -> int:
    """Return 0, for a generator without scales that makes images of any size."""
    return 0


def decoder_scales(settings: Any, size: Sequence[int], spacing: Spacing) -> int:
    """Return how often a deep decoder doubles its grid."""
    if settings.n_scales != "auto":
        return _checked_halvings("n_scales", settings.n_scales, size, spacing)
    long_sides = [n for n in size if n >= 4 * COARSEST_SIDE] or [max(size)]  # a thin volume is thin at any scale
    wanted = round(math.log2(min(long_sides) / COARSEST_SIDE))
    return min(max(MIN_SCALES, wanted), most_scales(size, spacing))


def hourglass_scales(settings: Any, size: Sequence[int], spacing: Spacing) -> int:
    """Return how often a skip or guided network halves its grid."""
    if settings.n_scales != "auto":
        return _checked_halvings("n_scales", settings.n_scales, size, spacing)
    return min(HOURGLASS_SCALES, most_scales(size, spacing))


def convolutional_scales(settings: Any, size: Sequence[int], spacing: Spacing) -> int:
    """Return how often transposed convolutions double the grid; 0 for others, which leave it as it is."""
    return (
        _checked_halvings("n_layers", settings.n_layers, size, spacing) if settings.convolution == "transposed" else 0
    )


def two_layer_scales(settings: TwoLayerConfig, size: Sequence[int], spacing: Spacing) -> int:
    """Return 0, if the fixed kernel fits into the image."""
    if settings.blur == "triangular" and 2 * round(settings.blur_width) - 1 > min(size):
        raise ConfigError(
            mismatch(
                "generator.blur_width must be at most half the image's shorter side, rounded up",
                expected=f"1 to {(min(size) + 1) // 2} for {_format_size(size)} pixels",
                got=settings.blur_width,
                advice="Choose less, or another image.",
            )
        )
    return 0


def _checked_halvings(name: str, n: int, size: Sequence[int], spacing: Spacing) -> int:
    most = most_scales(size, spacing)
    if not 1 <= n <= most:
        advice = "Use 'auto' or a larger image." if name == "n_scales" else "Use fewer layers or a larger image."
        raise ConfigError(
            mismatch(
                f"generator.{name} must leave more than one pixel of the image on the coarsest grid",
                expected=f"1 to {most} for {_format_size(size)} pixels",
                got=n,
                advice=advice,
            )
        )
    return n


def _format_size(size: Sequence[int]) -> str:
    return " × ".join(map(str, size))
