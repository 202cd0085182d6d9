"""Settings of the noise models: one model a kind, with what may be known of this noise; what is auto is estimated."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt
from pydantic import Field

from napari_convgen.config.base import Auto, Kind

YesNo = Literal["auto", "yes", "no"]
Sigma = Auto | Annotated[float, Ge(0)]

IS_SHARED = "Decision whether all channels have the very same noise, so that only their mean is fitted: yes, no, or auto (for colors only)."


class NoiseSettings(Kind):
    """Settings of noise of any kind.

    Attributes
    ----------
    is_modeled
        True if there is a model of the noise, given or estimated.
    """

    is_modeled: ClassVar[bool] = True

    @property
    def is_estimated(self) -> bool:
        """True if the strength of the noise is estimated from the image."""
        return self.is_modeled and all(getattr(self, name, "auto") == "auto" for name in ("sigma", "gain"))


class NoNoiseConfig(NoiseSettings):
    """No model: the image is fitted as it is."""

    is_modeled: ClassVar[bool] = False

    kind: Literal["none"] = "none"


class _ModeledNoise(NoiseSettings):
    sigma: Sigma = Field(
        "auto", title="Standard deviation", description="Standard deviation of the noise, in the image's units."
    )
    correlation_length: Auto | Annotated[int, Ge(1)] = Field(
        "auto",
        title="Correlation length",
        description="Distance in pixels from which on the noise of two pixels is independent; 1 for white noise.",
    )
    has_impulses: YesNo = Field(
        "auto",
        title="Impulses",
        description="Decision whether single pixels (salt and pepper, hot pixels) are left out of the fit and filled in: yes, no, or auto "
        "(where there are enough of them).",
    )
    has_stripes: YesNo = Field(
        "auto",
        title="Stripes",
        description="Decision whether offsets that all pixels of a row or a column, or every other pixel of both, have in common are taken "
        "away first: yes, no, or auto (where they are plain to see).",
    )
    has_interference: Literal["no", "yes"] = Field(
        "no",
        title="Interference",
        description="Decision whether waves that cover the whole image evenly are taken away first: no, or yes. They can be interference "
        "of electronics or room light, or a lattice of the specimen, which the image cannot tell.",
    )
    is_uniform: Literal["auto", "yes"] = Field(
        "auto",
        title="Same everywhere",
        description="Decision whether the noise is equally strong in all parts of the image: yes, or auto (unless it is plain to see that "
        "it is not).",
    )


class AutoNoiseConfig(_ModeledNoise):
    """Gaussian, Poisson-Gaussian, Rician or intensity-dependent noise, as the image tells."""

    kind: Literal["auto"] = "auto"
    is_shared: YesNo = Field("auto", title="Same in channels", description=IS_SHARED)


class GaussianNoiseConfig(_ModeledNoise):
    """Noise of the same standard deviation everywhere."""

    kind: Literal["gaussian"] = "gaussian"
    is_shared: YesNo = Field("auto", title="Same in channels", description=IS_SHARED)


class PoissonGaussianNoiseConfig(_ModeledNoise):
    """Photons, whose noise grows with the signal, and read noise."""

    kind: Literal["poisson-gaussian"] = "poisson-gaussian"
    sigma: Sigma = Field(
        "auto", title="Read noise", description="Standard deviation of the read noise, in the image's units."
    )
    gain: Auto | Annotated[float, Gt(0)] = Field(
        "auto", title="Gain (per photon)", description="Number of image units per photon."
    )
    offset: Auto | float = Field(
        "auto", title="Offset", description="Value of a pixel without photons, in the image's units."
    )


class RicianNoiseConfig(_ModeledNoise):
    """Noise of magnitude images, such as those of magnetic resonance."""

    kind: Literal["rician"] = "rician"
    sigma: Sigma = Field(
        "auto",
        title="Standard deviation",
        description="Standard deviation of the noise of the real and of the imaginary part, in the image's units.",
    )


class IntensityDependentNoiseConfig(_ModeledNoise):
    """Noise that depends on the intensity in any smooth way, as in inverted images and logarithms."""

    kind: Literal["intensity-dependent"] = "intensity-dependent"
    sigma: Sigma = Field(
        "auto",
        title="Standard deviation",
        description="Root of the mean variance of the noise, in the image's units; how it depends on the intensity is measured.",
    )


NoiseConfig = (
    AutoNoiseConfig
    | GaussianNoiseConfig
    | PoissonGaussianNoiseConfig
    | RicianNoiseConfig
    | IntensityDependentNoiseConfig
    | NoNoiseConfig
)
