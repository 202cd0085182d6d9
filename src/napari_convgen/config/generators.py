"""Settings of the generators: one model a kind, with the settings that this kind uses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le
from pydantic import Field

from napari_convgen.config.base import Auto, Kind

OutputMap = Literal["sigmoid", "linear"]
NormInit = Literal["ones", "uniform"]
Kernel = Literal["linear", "smooth"]

OUTPUT_MAP = (
    "Map from the last layer to the image: sigmoid (within the range of the data, as in the paper's code) or linear."
)
NORM_INIT = "Initial scales of the channel norm: ones, or uniform in [0, 1] as in the PyTorch of the time when the paper was written."
KERNEL = "Upsampling kernel along an axis: linear, (1, 3, 3, 1)/4, or smooth, (1, 5, 10, 10, 5, 1)/16."


class GeneratorSettings(Kind):
    """Settings of a generator of any kind.

    Attributes
    ----------
    draws_from_image
        True if the noisy image is part of the generator's input, so that its image depends on more than its parameters.
    learns_from_guide
        True if an estimate of the image is all that the generator is fitted to.
    """

    draws_from_image: ClassVar[bool] = False
    learns_from_guide: ClassVar[bool] = False

    n_channels: int = Field(
        64,
        ge=1,
        le=4096,
        title="Channels",
        description="Number of channels of every hidden layer; more channels fit finer detail, and noise sooner.",
    )

    @property
    def has_guide(self) -> bool:
        """True if the generator draws from an estimate that is made before the fit."""
        return False

    @property
    def is_plug_and_play(self) -> bool:
        """True if that estimate is made in turns with the measurement, which need not be of the image itself."""
        return False

    @property
    def guide_steps(self) -> float:
        """Number of steps that take about as long as the estimate before the first one; it predicts the time that is left.

        From the reports of runs on images of 256 × 256 pixels; of plug and play it depends on the operator, and may be twice as large.
        """
        return 0.0

    @property
    def known_share(self) -> float | None:
        """Share of the network in the image, where there is such an estimate and the share is set; ``None`` if it is found."""
        share = getattr(self, "network_share", "auto")
        return None if share == "auto" else float(share)

    @property
    def improves_joint_frames(self) -> bool:
        """True if it improves a frame of a stack that frames before and after help."""
        return True

    @property
    def is_guide_alone(self) -> bool:
        """True if the image is that estimate, and no network is fitted."""
        return self.has_guide and self.known_share == 0

    @property
    def is_bounded(self) -> bool:
        """True if the values of the image are bounded, by a sigmoid, to the range of the data and a margin around it."""
        return getattr(self, "output_map", "sigmoid") == "sigmoid"


class DeepDecoderConfig(GeneratorSettings):
    """Fixed upsampling and learned 1×1 convolutions."""

    kind: Literal["deep-decoder"] = "deep-decoder"
    n_scales: Auto | Annotated[int, Ge(1)] = Field(
        "auto",
        title="Scales",
        description="Number of times that the grid is doubled; auto takes 3, or as many as leave 16 pixels along the shorter side of the "
        "coarsest grid. No axis comes down to one pixel.",
    )
    order: Literal["relu-norm", "norm-relu"] = Field(
        "norm-relu",
        title="Order",
        description="Order of ReLU and channel norm in a hidden layer: relu-norm (the paper's formula) or norm-relu.",
    )
    output_map: OutputMap = Field("sigmoid", title="Output map", description=OUTPUT_MAP)
    extra_layer: Literal["none", "first", "last"] = Field(
        "none",
        title="Extra layer",
        description="Place of one more hidden layer without upsampling, which the authors' code has and the paper's formula has not: "
        "first (on the coarsest grid) or last (on the image's grid).",
    )
    norm_init: NormInit = Field("ones", title="Norm starts at", description=NORM_INIT)
    kernel: Kernel = Field("smooth", title="Upsampling kernel", description=KERNEL)


class _HourglassConfig(GeneratorSettings):
    n_scales: Auto | Annotated[int, Ge(1)] = Field(
        "auto",
        title="Scales",
        description="Number of times that the grid is halved and doubled again; auto takes 4, or as many as the image allows.",
    )
    n_fine_channels: int = Field(
        16, ge=1, le=4096, title="Finest channels", description="Number of channels on the two finest grids."
    )
    n_skip_channels: int = Field(
        4, ge=1, le=256, title="Skip channels", description="Number of channels of a skip connection."
    )
    padding: Literal["zeros", "reflection"] = Field(
        "zeros",
        title="Padding",
        description="Continuation of the image beyond its edges for the 3×3 convolutions: zeros, or the reflected image.",
    )
    output_map: OutputMap = Field("sigmoid", title="Output map", description=OUTPUT_MAP)
    kernel: Kernel = Field("smooth", title="Upsampling kernel", description=KERNEL)


class SkipNetworkConfig(_HourglassConfig):
    """Network of the deep image prior, with learned 3×3 convolutions and skip connections."""

    kind: Literal["skip-network"] = "skip-network"
    n_latent_channels: int = Field(
        32, ge=1, le=256, title="Latent channels", description="Number of channels of the latent."
    )
    input_noise: float = Field(
        0.03,
        ge=0,
        le=10,
        title="Input noise",
        description="Standard deviation of the noise that is added to the latent afresh in each step; the latent lies in [0, 0.1].",
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        title="Dropout",
        description="Share of the features that are left out by chance, others in each step.",
    )


NetworkShare = Auto | Annotated[float, Ge(0), Le(1)]

NETWORK_SHARE = (
    "Share of the network in the image, the rest being the non-local estimate, 0 to 1; auto finds it at pixels left out of the fit, and "
    "takes 0.2 (0.6 after drawings, 0 if the noise is correlated) with a stopping rule that leaves none out."
)


class TaughtNetworkConfig(GeneratorSettings):
    """Network that learns from the non-local estimate how to take noise off, is shown the noisy image, and is mixed with the estimate."""

    draws_from_image: ClassVar[bool] = True
    learns_from_guide: ClassVar[bool] = True

    used_with: ClassVar[Mapping[str, tuple[str, Collection[str]]]] = {
        "n_channels": ("begins_with", ("chance",)),
        "n_fine_channels": ("begins_with", ("chance",)),
        "n_scales": ("begins_with", ("chance",)),
    }

    kind: Literal["taught-network"] = "taught-network"
    begins_with: Literal["auto", "chance"] = Field(
        "auto",
        title="Begins with",
        description="Knowledge of the network before its first lesson: auto (for planes, what it has learned from drawings "
        "of shapes, lines and textures, made by formula; no image of a specimen was among them) or chance (nothing). Networks for "
        "volumes and images under 32 pixels begin with chance. One that has learned from drawings has 32 channels on the image's "
        "grid, and 64 on three coarser ones.",
    )
    n_channels: int = Field(
        32, ge=1, le=4096, title="Channels", description="Number of channels of the layers on coarser grids."
    )
    n_fine_channels: int = Field(
        16, ge=1, le=4096, title="Finest channels", description="Number of channels of the layers on the image's grid."
    )
    n_scales: Auto | Annotated[int, Ge(1)] = Field(
        2,
        title="Scales",
        description="Number of times that the grid is halved and doubled again; auto takes 4, or as many as the image allows.",
    )
    n_lessons: int = Field(
        10,
        ge=1,
        le=10_000,
        title="Lessons a step",
        description="Number of times in each step that the network learns from crops of the estimate with fresh noise on them.",
    )
    network_share: NetworkShare = Field("auto", title="Network share", description=NETWORK_SHARE)

    @property
    def has_guide(self) -> bool:
        """True: the network learns from the non-local estimate."""
        return True

    @property
    def guide_steps(self) -> float:
        """As many as have 150 lessons."""
        return 150 / self.n_lessons

    @property
    def is_bounded(self) -> bool:
        """False: there is no output map."""
        return False


class GuidedNetworkConfig(_HourglassConfig):
    """Skip network whose input is the noisy image with more noise on it, and later its own image, in the place of a random latent."""

    draws_from_image: ClassVar[bool] = True
    used_with: ClassVar[Mapping[str, tuple[str, Collection[str]]]] = {
        "network_share": ("guide", ("non-local", "plug-and-play")),
        "recorruption": ("guide", ("average",)),
        "guide_step": ("guide", ("average",)),
    }

    kind: Literal["guided-network"] = "guided-network"
    guide: Literal["average", "non-local", "plug-and-play"] = Field(
        "average",
        title="Guide",
        description="Image that is the network's input: average (the noisy image at first, then the running average of the network's "
        "images), non-local (the non-local estimate, which the network's images are mixed with) or plug-and-play (for reconstruction: "
        "the same, alternating with agreement with the measurement).",
    )
    network_share: NetworkShare = Field("auto", title="Network share", description=NETWORK_SHARE)
    recorruption: float = Field(
        0.5,
        gt=0,
        le=10,
        title="Recorruption",
        description="Noise that is added to the input before the average guides it, in standard deviations of the image's noise; more is "
        "steadier, and hides more of the image.",
    )
    guide_step: int = Field(
        200,
        ge=1,
        le=10_000_000,
        title="Guide from step",
        description="Step from which on the average is the network's input, in the place of the noisy image, if that is its guide.",
    )
    guide_noise: float = Field(
        1.25,
        ge=0,
        le=10,
        title="Guide noise",
        description="Noise that is added to the input from that step on, in standard deviations of the image's noise; more suits sparse "
        "images, less suits texture.",
    )

    @property
    def has_guide(self) -> bool:
        """True if the guide is an estimate that is made before the fit."""
        return self.guide != "average"

    @property
    def is_plug_and_play(self) -> bool:
        """True if the guide is made in turns with the measurement."""
        return self.guide == "plug-and-play"

    @property
    def improves_joint_frames(self) -> bool:
        """False if it is mixed with the non-local estimate: fitted to each frame, it would take long and gain little."""
        return self.guide != "non-local"

    @property
    def guide_steps(self) -> float:
        """35 of the non-local estimate, 100 of plug and play."""
        return {"average": 0.0, "non-local": 35.0, "plug-and-play": 100.0}[self.guide]


class ConvolutionalConfig(GeneratorSettings):
    """Layers of one kind of convolution, as in the paper's appendix B."""

    kind: Literal["convolutional"] = "convolutional"
    convolution: Literal["fixed", "learned", "transposed"] = Field(
        "fixed",
        title="Convolution",
        description="Convolution of a hidden layer: fixed (the kernel of linear upsampling, without upsampling), learned (3×3), or "
        "transposed (4×4 with stride 2, so that each layer doubles the grid).",
    )
    n_layers: int = Field(4, ge=1, le=64, title="Layers", description="Number of hidden layers.")
    norm_init: NormInit = Field("ones", title="Norm starts at", description=NORM_INIT)


class ConvDecoderConfig(GeneratorSettings):
    """Upsampling by the nearest neighbor and learned 3×3 convolutions: the ConvDecoder."""

    kind: Literal["conv-decoder"] = "conv-decoder"
    n_layers: int = Field(
        6, ge=2, le=64, title="Layers", description="Number of hidden layers; the last two have the image's grid."
    )
    latent_size: int = Field(
        16,
        ge=1,
        le=4096,
        title="Latent size",
        description="Number of pixels of the latent along each axis; from it to the image the grids grow by the same factor each.",
    )
    output_map: OutputMap = Field("sigmoid", title="Output map", description=OUTPUT_MAP)
    norm_init: NormInit = Field("ones", title="Norm starts at", description=NORM_INIT)


class TwoLayerConfig(GeneratorSettings):
    """Fixed circular convolution and one learned layer, as in the paper's theory; for images of one channel."""

    kind: Literal["two-layer"] = "two-layer"
    n_channels: int = Field(
        64,
        ge=2,
        le=65_536,
        multiple_of=2,
        title="Channels",
        description="Number of channels of the hidden layer; the theory is that of many.",
    )
    blur: Literal["triangular", "gaussian"] = Field(
        "triangular",
        title="Fixed kernel",
        description="Shape of the fixed kernel along an axis: triangular or gaussian.",
    )
    blur_width: float = Field(
        5.0,
        ge=1,
        le=10_000,
        title="Kernel width",
        description="Distance in pixels at which the fixed kernel has fallen to zero (triangular, rounded) or to 1/e (gaussian).",
    )
    weight_scale: float = Field(
        0.05,
        gt=0,
        le=10,
        title="Weight scale",
        description="Standard deviation of the initial weights; the theory asks for a tenth of the image's root mean square or less, and "
        "the image lies in [0, 1].",
    )

    @property
    def is_bounded(self) -> bool:
        """False: there is no output map."""
        return False


GeneratorConfig = (
    DeepDecoderConfig
    | SkipNetworkConfig
    | GuidedNetworkConfig
    | TaughtNetworkConfig
    | ConvolutionalConfig
    | ConvDecoderConfig
    | TwoLayerConfig
)
