"""Untrained convolutional generators."""

from napari_convgen.core.generators.deep_decoder import DeepDecoder
from napari_convgen.core.generators.generator import Generator

__all__ = ["DeepDecoder", "Generator"]
