"""The residual A(x) - y of an image, compared with the noise of the measurement."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.columns import as_column
from napari_convgen.core.problem import Problem, squared
from napari_convgen.errors import ConfigError

LEVEL_ERROR, CORRELATED_LEVEL_ERROR = 0.02, 0.05
"""Assumed relative errors of an estimated noise level, for white and for correlated noise; from `benchmarks/noise.py`."""

CHANCE_ERROR = 1.1
"""Standard error of a noise level that is estimated from n values, relative to it, times the root of n: that of smooth images of 32 to 256
pixels a side. In theory it is 0.7 if all values are used."""


def noise_level_error(problem: Problem) -> float:
    """Return the assumed relative error of the noise level; 0 if a user has given it."""
    if problem.is_level_given:
        return 0.0
    error = LEVEL_ERROR if problem.correlation_length == 1 else CORRELATED_LEVEL_ERROR
    n_observed = int((problem.weights > 0).sum())
    return math.hypot(error, CHANCE_ERROR * problem.correlation_length / math.sqrt(max(1, n_observed)))


def weighted_mean(values: Float[Tensor, "*shape"], weights: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Return the mean of the values with these weights."""
    return (weights * values).sum() / weights.sum()


def residual_energy(image: Float[Tensor, "c *spatial"], problem: Problem) -> Float[Tensor, ""]:
    """Return the mean squared residual over the observed entries."""
    return weighted_mean(squared(problem.residual(image)), problem.weights)


def noise_variance(problem: Problem) -> Float[Tensor, ""] | None:
    """Return the mean variance of the noise over the observed pixels; ``None`` if the noise level is not known."""
    if problem.noise_level is None:
        return None
    variance = problem.noise_level.to(problem.weights) ** 2
    return weighted_mean(as_column(variance, problem.measurement.ndim).expand_as(problem.weights), problem.weights)


def require_identity(problem: Problem, rule: str) -> None:
    """Refuse a problem with an operator.

    Parameters
    ----------
    problem
        Measurement and operator.
    rule
        Name of the stopping rule, which holds for denoising only.

    Raises
    ------
    ConfigError
        The operator is not the identity.
    """
    if not problem.is_denoising:
        raise ConfigError(
            f"The stopping rule {rule!r} holds for denoising only, and this measurement has a forward operator. "
            "Use the rule 'auto' or 'held-out'."
        )


def required_noise_level(problem: Problem, rule: str) -> Float[Tensor, "c *ones"]:
    """Return the noise level of each channel, to be broadcast over its pixels, for a stopping rule that needs it.

    Parameters
    ----------
    problem
        Measurement with its noise.
    rule
        Name of the stopping rule.

    Raises
    ------
    ConfigError
        The noise level is not known, or not positive.
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
    return as_column(problem.noise_level.to(problem.weights), problem.measurement.ndim)
