"""From the words of a configuration to the model of a frame's noise."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from napari_convgen.config import NoiseConfig
from napari_convgen.core.image import Layout, channels_first
from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.noise.estimate import estimate_noise


def model_noise(frame: NDArray[Any], layout: Layout, words: NoiseConfig) -> NoiseModel | None:
    """Model the noise of a frame of a checked array; ``None`` where it is to be fitted as it is."""
    if words.kind == "none":
        return None
    values, is_observed = channels_first(frame, layout)
    return estimate_noise(values, is_observed, is_color=layout.is_color, **words.model_dump())
