"""Settings of the forward operators, which map an image to what is measured: one model a kind."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_convgen.config.base import Kind


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


OperatorConfig = IdentityConfig | BlurConfig | DownsamplingConfig
