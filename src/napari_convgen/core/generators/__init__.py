"""Untrained convolutional generators."""

from napari_convgen.core.generators.deep_decoder import DeepDecoder

__all__ = ["DeepDecoder"]
