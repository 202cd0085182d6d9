"""Kinds of noise, a file each."""

from collections.abc import Mapping

from napari_convgen.core.noise.models.base import NoiseModel
from napari_convgen.core.noise.models.gaussian import GaussianNoise
from napari_convgen.core.noise.models.intensity_dependent import IntensityDependentNoise
from napari_convgen.core.noise.models.poisson_gaussian import PoissonGaussianNoise
from napari_convgen.core.noise.models.rician import RicianNoise

NOISE_MODELS: Mapping[str, type[NoiseModel]] = {
    model.kind: model for model in (RicianNoise, PoissonGaussianNoise, IntensityDependentNoise, GaussianNoise)
}
"""All kinds of noise by name, in the order in which they are tried on an image whose noise is not known; the last one takes any image."""

__all__ = [
    "NOISE_MODELS",
    "GaussianNoise",
    "IntensityDependentNoise",
    "NoiseModel",
    "PoissonGaussianNoise",
    "RicianNoise",
]
