"""Settings of the forward operators, which map an image to what is measured: one model a kind."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from annotated_types import Ge, Le
from pydantic import Field

from napari_convgen.config.base import Auto, Kind

Micrometers = Auto | Annotated[float, Ge(0.001), Le(1000)]

Aperture = Annotated[
    float,
    Field(
        gt=0,
        lt=4,
        title="Numerical aperture",
        description="Numerical aperture of the objective, below the refractive index of its immersion.",
    ),
]
Wavelength = Annotated[float, Ge(200), Le(2000)]
Immersion = Annotated[
    float,
    Field(
        ge=1,
        lt=4,
        title="Refractive index",
        description="Refractive index of the objective's immersion: 1 for air, 1.33 for water, 1.515 for oil.",
    ),
]
PixelSize = Annotated[
    Micrometers,
    Field(
        title="Pixel size (µm)",
        description="Distance between neighboring pixels of a plane in the specimen, in micrometers; auto takes that of the image.",
    ),
]
ZStep = Annotated[
    Micrometers,
    Field(
        title="Z step (µm)",
        description="Distance between neighboring planes, in micrometers; auto takes that of the image.",
    ),
]


class OperatorSettings(Kind):
    """Settings of a forward operator.

    Attributes
    ----------
    problem
        Name of the problem to reconstruct whose operator it is; none, the default, of an operator that is for other uses.
    """

    problem: ClassVar[str] = ""


class IdentityConfig(OperatorSettings):
    """Measurement of the image itself: denoising, and filling in missing pixels."""

    problem: ClassVar[str] = "inpaint"
    kind: Literal["identity"] = "identity"


class BlurConfig(OperatorSettings):
    """Blur by a Gaussian point spread function, or by one that is given with the image."""

    problem: ClassVar[str] = "deblur"
    kind: Literal["blur"] = "blur"
    sigma: float = Field(
        1.5,
        gt=0,
        le=50,
        title="Width of the blur",
        description="Standard deviation of the Gaussian point spread function in pixels, where none is given.",
    )


class MicroscopeConfig(OperatorSettings):
    """Blur by the point spread function of a microscope, computed from its objective."""

    problem: ClassVar[str] = "deblur"
    numerical_aperture: Aperture = 1.4
    wavelength: Wavelength = Field(
        520, title="Emission (nm)", description="Wavelength of the emitted light in vacuum, in nanometers."
    )
    refractive_index: Immersion = 1.515
    pixel_size: PixelSize = "auto"
    z_step: ZStep = "auto"


class WidefieldConfig(MicroscopeConfig):
    """Blur of a widefield microscope, computed from its objective."""

    kind: Literal["widefield"] = "widefield"


class ConfocalConfig(MicroscopeConfig):
    """Blur of a confocal microscope, computed from its objective and pinhole."""

    kind: Literal["confocal"] = "confocal"
    excitation_wavelength: Wavelength = Field(
        488, title="Excitation (nm)", description="Wavelength of the laser in vacuum, in nanometers."
    )
    pinhole: float = Field(
        1.0,
        gt=0,
        le=20,
        title="Pinhole (Airy units)",
        description="Diameter of the pinhole in Airy units, the diameter of the first dark ring of the emitted light.",
    )


class DownsamplingConfig(OperatorSettings):
    """Fewer and larger pixels than those of the image."""

    problem: ClassVar[str] = "enlarge"
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


class FourierConfig(OperatorSettings):
    """K-space of several coils; sensitivities and sampling are found in it, or given with it."""

    problem: ClassVar[str] = "sense"
    kind: Literal["fourier"] = "fourier"
    n_calibration: Auto | Annotated[int, Ge(0), Le(512)] = Field(
        "auto",
        title="Calibration lines",
        description="Number of lines in the middle of k-space that the coil sensitivities are estimated from, and that are never held out; "
        "auto takes those that were fully sampled, at most 24.",
    )


class PhaseConfig(OperatorSettings):
    """Images of a thin object that delays light, through an objective with aberrations."""

    problem: ClassVar[str] = "phase"
    numerical_aperture: Aperture = 0.5
    wavelength: Wavelength = Field(
        520, title="Wavelength (nm)", description="Wavelength of the light in vacuum, in nanometers."
    )
    refractive_index: Immersion = 1.0
    pixel_size: PixelSize = "auto"
    n_zernikes: int = Field(
        9,
        ge=0,
        le=33,
        title="Aberrations",
        description="Number of Zernike aberrations that are found with the phase, from defocus on in Noll's order.",
    )
    n_starts: int = Field(
        3,
        ge=1,
        le=50,
        title="Starts",
        description="Number of starts; the one that predicts held-out entries best is kept. A single one cannot be checked.",
    )


class ThroughFocusConfig(PhaseConfig):
    """Images of a phase object at several distances from the focus."""

    kind: Literal["through-focus"] = "through-focus"
    z_step: ZStep = "auto"
    focus: Auto | Annotated[float, Ge(-1000), Le(1000)] = Field(
        "auto",
        title="Plane in focus",
        description="Number of the plane in focus, from 0, fractions included; auto takes the middle.",
    )


class LedArrayConfig(PhaseConfig):
    """Images of a phase object in focus, lit from one direction after the other (Fourier ptychography)."""

    kind: Literal["led-array"] = "led-array"
    factor: int = Field(
        1,
        ge=1,
        le=8,
        title="Enlargement",
        description="Number of the phase's pixels in one of the camera, along each axis.",
    )


class WeightedSumsConfig(OperatorSettings):
    """Weighted sums of all pixels, as in compressive sensing; the weights are given, or drawn from a seed."""

    problem: ClassVar[str] = "sensing"
    kind: Literal["weighted-sums"] = "weighted-sums"
    n_rows: Auto | Annotated[int, Ge(2), Le(16384)] = Field(
        "auto",
        title="Rows",
        description="Number of rows of the image; auto takes that of the patterns of weights that are given.",
    )
    n_columns: Auto | Annotated[int, Ge(2), Le(16384)] = Field(
        "auto",
        title="Columns",
        description="Number of columns of the image; auto takes that of the patterns of weights that are given.",
    )
    matrix: Literal["cosines", "gaussian"] = Field(
        "cosines",
        title="Weights are",
        description="Weights of the pixels where none are given: random rows of the cosine transform with random signs of the pixels "
        "(cosines), or independent normal numbers (gaussian), for small images.",
    )
    matrix_seed: int = Field(
        0, ge=0, lt=2**63, title="Seed of the weights", description="Seed of the weights where none are given."
    )


OperatorConfig = (
    IdentityConfig
    | BlurConfig
    | WidefieldConfig
    | ConfocalConfig
    | DownsamplingConfig
    | FourierConfig
    | ThroughFocusConfig
    | LedArrayConfig
    | WeightedSumsConfig
)

OPERATORS: dict[str, type[OperatorSettings]] = {
    model.model_fields["kind"].default: model for model in get_args(OperatorConfig)
}
"""Settings of the forward operators by the name of their kind."""


def operators_of(problem: str) -> dict[str, type[OperatorSettings]]:
    """Return the operators that a problem can have, by the name of their kind; the usual one is the first."""
    return {kind: model for kind, model in OPERATORS.items() if model.problem == problem}
