"""Untrained convolutional generators."""

from napari_convgen.core.generators.deep_decoder import DeepDecoder
from napari_convgen.core.generators.skip import SkipNetwork

__all__ = ["DeepDecoder", "SkipNetwork"]
