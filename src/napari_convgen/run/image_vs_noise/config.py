"""What is fitted beside an image, in words. Nothing here loads torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from napari_convgen.config import Config
from napari_convgen.errors import ConfigError

NoiseShape = Literal["uniform", "gaussian"]
MeanWord = Literal["removed", "kept"]

NOISE_SHAPES: tuple[NoiseShape, ...] = get_args(NoiseShape)
MEAN_WORDS: tuple[MeanWord, ...] = get_args(MeanWord)


@dataclass(frozen=True)
class FitsConfig:
    """The generator with its fit, and what it is fitted to beside the image.

    Attributes
    ----------
    base
        Generator, optimizer, steps, seed and noise model, as for `napari_convgen.run.denoise.run.Denoising`.
    noise
        Distribution of the pure noise: ``"uniform"``, as in the authors' code, or ``"gaussian"``, as in the paper's text. The sigmoid of a
        generator cannot draw the tails of the latter.
    mean
        ``"removed"``: norms are compared without the means, and the noise lies around the image's. ``"kept"``: with the means, and the
        noise keeps that it is drawn with, three quarters of its energy, as in the authors' code.
    added_noise
        Standard deviation of Gaussian noise, in the image's units, for one more target: the image with it. 0 leaves that target out.

    Raises
    ------
    ConfigError
        A word that does not exist, a negative level, or a generator whose input differs between targets.
    """

    base: Config = field(default_factory=Config)
    noise: NoiseShape = "uniform"
    mean: MeanWord = "removed"
    added_noise: float = 0.0

    def __post_init__(self) -> None:
        if self.noise not in NOISE_SHAPES:
            raise ConfigError(f"noise must be one of {', '.join(NOISE_SHAPES)}, got '{self.noise}'.")
        if self.mean not in MEAN_WORDS:
            raise ConfigError(f"mean must be one of {', '.join(MEAN_WORDS)}, got '{self.mean}'.")
        if not (math.isfinite(self.added_noise) and self.added_noise >= 0):
            raise ConfigError(f"added_noise must be a number from 0, got {self.added_noise}.")
        if self.base.generator.draws_from_image:
            raise ConfigError(
                "A guided network draws from what it is fitted to, so that fits to an image and to noise do not start alike. "
                "Choose generator.kind = 'deep-decoder' or 'skip-network'."
            )
