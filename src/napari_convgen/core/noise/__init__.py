"""What can be said of the noise from the image alone, and how to make it the same everywhere."""

from napari_convgen.core.noise.model import NoiseModel

__all__ = ["NoiseModel"]
