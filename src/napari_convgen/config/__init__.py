"""The configuration of a whole run. Nothing here loads torch."""

from napari_convgen.config.config import (
    AUTO_OR_NUMBER,
    PRESETS,
    Config,
    GeneratorConfig,
    NoiseConfig,
    OptimizerConfig,
    StoppingConfig,
    fixed_input_presets,
    preset,
)

__all__ = [
    "AUTO_OR_NUMBER",
    "PRESETS",
    "Config",
    "GeneratorConfig",
    "NoiseConfig",
    "OptimizerConfig",
    "StoppingConfig",
    "fixed_input_presets",
    "preset",
]
