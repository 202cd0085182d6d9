"""What can be said of the noise from the image alone, and how to make it the same everywhere."""

from napari_convgen.core.noise.correlation import correlation_length
from napari_convgen.core.noise.estimate import estimate_noise
from napari_convgen.core.noise.model import NoiseModel
from napari_convgen.core.noise.spectrum import noise_spectrum, shaping_filter

__all__ = ["NoiseModel", "correlation_length", "estimate_noise", "noise_spectrum", "shaping_filter"]
