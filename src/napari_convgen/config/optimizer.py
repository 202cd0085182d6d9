"""Settings of the optimizers: one model a kind."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_convgen.config.base import Kind


class _OptimizerSettings(Kind):
    learning_rate: float = Field(
        0.02,
        gt=0,
        title="Learning rate",
        description="Step size on the mean squared error of the scaled image; 0.02 suits adam and a deep decoder, 0.01 or less suits adam "
        "and the other generators, 0.1 suits gradient descent.",
    )


class AdamConfig(_OptimizerSettings):
    """Adam, which scales the step of each weight."""

    kind: Literal["adam"] = "adam"


class GradientDescentConfig(_OptimizerSettings):
    """Plain gradient descent."""

    kind: Literal["gradient-descent"] = "gradient-descent"


class MomentumConfig(_OptimizerSettings):
    """Gradient descent with heavy-ball momentum."""

    kind: Literal["momentum"] = "momentum"
    momentum: float = Field(
        0.9, ge=0, lt=1, title="Momentum", description="Share of the last step that is taken again in each step."
    )


OptimizerConfig = AdamConfig | GradientDescentConfig | MomentumConfig
