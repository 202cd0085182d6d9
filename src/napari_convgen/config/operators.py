"""Settings of the forward operators, which map an image to what is measured: one model a kind."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import Field

from napari_convgen.config.base import Auto, Kind


class IdentityConfig(Kind):
    """Measurement of the image itself: denoising, and filling in missing pixels."""

    kind: Literal["identity"] = "identity"


class BlurConfig(Kind):
    """Blur by a Gaussian point spread function, or by one that is given with the image."""

    kind: Literal["blur"] = "blur"
    sigma: float = Field(
        1.5,
        gt=0,
        le=50,
        title="Width of the blur",
        description="Standard deviation of the Gaussian point spread function in pixels, where none is given.",
    )


class DownsamplingConfig(Kind):
    """Fewer and larger pixels than those of the image."""

    kind: Literal["downsampling"] = "downsampling"
    factor: int = Field(
        2,
        ge=2,
        le=16,
        title="Enlargement",
        description="Number of the image's pixels in a measured one, along each axis.",
    )
    weighting: Literal["box", "lanczos"] = Field(
        "box",
        title="Measured pixels are",
        description="Means over the image's pixels that a measured one covers (box), or samples after a Lanczos filter (lanczos), as "
        "programs reduce images.",
    )


class FourierConfig(Kind):
    """K-space of several coils; sensitivities and sampling are found in it, or given with it."""

    kind: Literal["fourier"] = "fourier"
    n_calibration: Auto | Annotated[int, Ge(0), Le(512)] = Field(
        "auto",
        title="Calibration lines",
        description="Number of lines in the middle of k-space that the coil sensitivities are estimated from, and that are never held out; "
        "auto takes those that were fully sampled, at most 24.",
    )


OperatorConfig = IdentityConfig | BlurConfig | DownsamplingConfig | FourierConfig
