"""What is left of the measurement once an image is taken from it, against the noise that is known to be in it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.errors import ConfigError

LEVEL_ERROR, CORRELATED_LEVEL_ERROR = 0.01, 0.05
"""Relative error that an estimated noise level is taken to have, where the noise is white, and where that of neighbors is alike."""


def noise_level_error(problem: Problem) -> float:
    """Return the relative error that the noise level is taken to have."""
    return LEVEL_ERROR if problem.correlation_length == 1 else CORRELATED_LEVEL_ERROR


def weighted_mean(values: Float[Tensor, "*shape"], weights: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Return the mean over the pixels that count."""
    return (weights * values).sum() / weights.sum()


def residual_energy(image: Float[Tensor, "c *spatial"], problem: Problem) -> Float[Tensor, ""]:
    """Return the mean squared residual over the observed pixels."""
    return weighted_mean((image - problem.measurement) ** 2, problem.weights)


def noise_variance(problem: Problem) -> Float[Tensor, ""] | None:
    """Return the mean variance of the noise over the observed pixels; ``None`` if the noise level is not known."""
    if problem.noise_level is None:
        return None
    return weighted_mean(noise_column(problem.noise_level, problem).expand_as(problem.weights) ** 2, problem.weights)


def noise_column(noise_level: Float[Tensor, "c"], problem: Problem) -> Float[Tensor, "c *ones"]:
    """Return the noise level of each channel, to be broadcast over its pixels."""
    return noise_level.to(problem.measurement).view(-1, *(1,) * (problem.measurement.ndim - 1))


def required_noise_level(problem: Problem, rule: str) -> Float[Tensor, "c *ones"]:
    """Return the noise level of each channel, to be broadcast over its pixels.

    Raises
    ------
    ConfigError
        It is not known, or not positive, and the rule, named ``rule``, cannot do without.
    """
    if problem.noise_level is None:
        raise ConfigError(
            f"The stopping rule {rule!r} needs the level of the noise, and that of this image is not known. "
            "Give a noise model or have it estimated, or use the rule 'held-out'."
        )
    if not bool((problem.noise_level > 0).all()):
        raise ConfigError(
            f"The stopping rule {rule!r} needs a noise level above 0 in each channel, got {problem.noise_level.tolist()} "
            "in the generator's units. Give a noise model, or use the rule 'held-out'."
        )
    return noise_column(problem.noise_level, problem)
