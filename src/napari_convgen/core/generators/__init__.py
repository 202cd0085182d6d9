"""Untrained convolutional generators."""

from napari_convgen.core.generators.conv_decoder import ConvDecoder
from napari_convgen.core.generators.convolutional import ConvolutionalGenerator
from napari_convgen.core.generators.deep_decoder import DeepDecoder
from napari_convgen.core.generators.generator import Generator
from napari_convgen.core.generators.guided import GuidedNetwork
from napari_convgen.core.generators.skip import SkipNetwork
from napari_convgen.core.generators.taught import TaughtNetwork
from napari_convgen.core.generators.two_layer import TwoLayer

__all__ = [
    "ConvDecoder",
    "ConvolutionalGenerator",
    "DeepDecoder",
    "Generator",
    "GuidedNetwork",
    "SkipNetwork",
    "TaughtNetwork",
    "TwoLayer",
]
