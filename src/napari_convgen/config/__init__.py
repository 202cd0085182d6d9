"""The configuration of a whole run. Nothing here loads torch."""

from napari_convgen.config.base import Kind, Settings
from napari_convgen.config.config import GROUPS, TABLES, Config, setting_fields
from napari_convgen.config.frames import FramesConfig
from napari_convgen.config.generators import (
    ConvDecoderConfig,
    ConvolutionalConfig,
    DeepDecoderConfig,
    GeneratorConfig,
    GuidedNetworkConfig,
    SkipNetworkConfig,
    TaughtNetworkConfig,
    TwoLayerConfig,
)
from napari_convgen.config.noise import (
    AutoNoiseConfig,
    GaussianNoiseConfig,
    IntensityDependentNoiseConfig,
    NoiseConfig,
    NoNoiseConfig,
    PoissonGaussianNoiseConfig,
    RicianNoiseConfig,
)
from napari_convgen.config.operators import (
    BlurConfig,
    ConfocalConfig,
    DownsamplingConfig,
    FourierConfig,
    IdentityConfig,
    LedArrayConfig,
    MicroscopeConfig,
    OperatorConfig,
    PhaseConfig,
    ThroughFocusConfig,
    WeightedSumsConfig,
    WidefieldConfig,
)
from napari_convgen.config.optimizer import AdamConfig, GradientDescentConfig, MomentumConfig, OptimizerConfig
from napari_convgen.config.presets import GENERATOR_ALONE, PRESET_USES, PRESETS, fixed_input_presets, preset
from napari_convgen.config.stopping import AutoStopConfig, FixedStopConfig, StoppingConfig
from napari_convgen.config.tiles import TilesConfig

__all__ = [
    "GENERATOR_ALONE",
    "GROUPS",
    "PRESETS",
    "PRESET_USES",
    "TABLES",
    "AdamConfig",
    "AutoNoiseConfig",
    "AutoStopConfig",
    "BlurConfig",
    "Config",
    "ConfocalConfig",
    "ConvDecoderConfig",
    "ConvolutionalConfig",
    "DeepDecoderConfig",
    "DownsamplingConfig",
    "FixedStopConfig",
    "FourierConfig",
    "FramesConfig",
    "GaussianNoiseConfig",
    "GeneratorConfig",
    "GradientDescentConfig",
    "GuidedNetworkConfig",
    "IdentityConfig",
    "IntensityDependentNoiseConfig",
    "Kind",
    "LedArrayConfig",
    "MicroscopeConfig",
    "MomentumConfig",
    "NoNoiseConfig",
    "NoiseConfig",
    "OperatorConfig",
    "OptimizerConfig",
    "PhaseConfig",
    "PoissonGaussianNoiseConfig",
    "RicianNoiseConfig",
    "Settings",
    "SkipNetworkConfig",
    "StoppingConfig",
    "TaughtNetworkConfig",
    "ThroughFocusConfig",
    "TilesConfig",
    "TwoLayerConfig",
    "WeightedSumsConfig",
    "WidefieldConfig",
    "fixed_input_presets",
    "preset",
    "setting_fields",
]
