"""Settings of what is fitted beside an image. Nothing here loads torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from napari_convgen.config import Config
from napari_convgen.errors import ConfigError

NoiseShape = Literal["uniform", "gaussian"]
MeanKind = Literal["removed", "kept"]

NOISE_SHAPES: tuple[NoiseShape, ...] = get_args(NoiseShape)
MEAN_KINDS: tuple[MeanKind, ...] = get_args(MeanKind)

ONE_FIT = {
    "n_seeds": 1,
    "n_restarts": 0,
    "stopping.kind": "fixed",
    "output": "iterate",
    # Noise that all channels share would be fitted as their mean: then what was left of the colors would show in the fit to noise.
    "noise.is_shared": "no",
}
"""Settings of every fit: all pixels by a single generator, to the last step."""


@dataclass(frozen=True)
class TargetsConfig:
    """What a generator is fitted to beside an image.

    Attributes
    ----------
    noise
        Distribution of the pure noise: ``"uniform"`` (default), as in the authors' code, or ``"gaussian"``, as in the paper's text. A
        generator with a sigmoid cannot fit the tails of the latter.
    mean
        ``"removed"`` (default): norms are compared without the means, and the noise lies around the image's. ``"kept"``: with the means,
        and the noise keeps the mean that it is drawn with, three quarters of its energy, as in the authors' code.
    added_noise
        Standard deviation of Gaussian noise, in the image's units, for one more target: the image with it. 0, the default, leaves that
        target out.

    Raises
    ------
    ConfigError
        A name that does not exist, or a negative level.
    """

    noise: NoiseShape = "uniform"
    mean: MeanKind = "removed"
    added_noise: float = 0.0

    def __post_init__(self) -> None:
        if self.noise not in NOISE_SHAPES:
            raise ConfigError(f"noise must be one of {', '.join(NOISE_SHAPES)}, got '{self.noise}'.")
        if self.mean not in MEAN_KINDS:
            raise ConfigError(f"mean must be one of {', '.join(MEAN_KINDS)}, got '{self.mean}'.")
        if not (math.isfinite(self.added_noise) and self.added_noise >= 0):
            raise ConfigError(
                f"added_noise must be a number from 0, got {self.added_noise}. Leave it out for no added noise."
            )

    @staticmethod
    def check_generator(config: Config) -> None:
        """Refuse a generator whose input differs between targets.

        Raises
        ------
        ConfigError
            A generator that depends on the measurement.
        """
        if config.generator.draws_from_image:
            raise ConfigError(
                "A guided or taught network depends on the image that it is fitted to, so that fits to an image and to noise have "
                "different starts. Choose generator.kind = 'deep-decoder' or 'skip-network'."
            )
