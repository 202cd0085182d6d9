"""The noise of an image: models of it, their estimate from the image alone, and transforms that make it the same everywhere."""

from napari_convgen.core.noise.estimate import estimate_noise
from napari_convgen.core.noise.estimation.correlation import correlation_length
from napari_convgen.core.noise.estimation.spectrum import noise_spectrum, shaping_filter
from napari_convgen.core.noise.models import NOISE_MODELS, NoiseModel

__all__ = ["NOISE_MODELS", "NoiseModel", "correlation_length", "estimate_noise", "noise_spectrum", "shaping_filter"]
