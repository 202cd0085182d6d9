"""Rician noise: that of magnitudes of complex images."""

from napari_convgen.core.noise.models.rician.model import RicianNoise
from napari_convgen.core.noise.models.rician.stabilizer import RicianStabilizer

__all__ = ["RicianNoise", "RicianStabilizer"]
