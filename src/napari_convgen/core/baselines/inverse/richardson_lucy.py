"""Deblurring by Richardson and Lucy, with open borders, stopped by entries of the measurement that are held out."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.baselines.inverse.held_out import held_out_error, split
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem

MOST_STEPS = 2000
"""Number of steps at most."""

PATIENCE = 2.0
"""Number of steps, as a multiple of those to the least error, after which no lower one is expected. Our choice, no benchmark."""

LEAST_PATIENCE = 20
"""Number of steps that are taken in any case."""

LEAST = 1e-4
"""Share of the light below which nothing is divided by it, and what sends no more stays as it is: far above the rounding of float32."""


def richardson_lucy(problem: Problem, n_steps: int) -> Float[Tensor, "c *spatial"]:
    """Take steps towards the image that makes a measurement of photons most likely.

    The image is not negative, and reaches as far beyond the measurement as the operator's does, so that nothing rings at the borders.

    Parameters
    ----------
    problem
        Measurement without negative values, linear operator without negative weights, and weights.
    n_steps
        Number of steps, from 1.

    References
    ----------
    Richardson, "Bayesian-based iterative method of image restoration", J. Opt. Soc. Am. 62, 1972. Lucy, "An iterative technique for the
    rectification of observed distributions", Astron. J. 79, 1974.
    """
    *_, image = (image for image, _ in zip(richardson_lucy_steps(problem), range(n_steps), strict=False))
    return image


def choose_n_steps(problem: Problem, rng: torch.Generator) -> int:
    """Return the number of steps after which entries that were held out are predicted best.

    Parameters
    ----------
    problem
        As for `richardson_lucy`.
    rng
        Source of chance on the CPU.
    """
    parts = split(problem, rng)
    best, least = 1, float("inf")
    for step, images in enumerate(zip(*(richardson_lucy_steps(part) for part, _ in parts), strict=True), start=1):
        error = sum(held_out_error(problem, image, out) for image, (_, out) in zip(images, parts, strict=True))
        if error < least:
            best, least = step, error
        if step >= max(LEAST_PATIENCE, PATIENCE * best) or step == MOST_STEPS:
            break
    return best


def richardson_lucy_steps(problem: Problem) -> Iterator[Float[Tensor, "c *spatial"]]:
    """Yield the image after each step, without an end; see `richardson_lucy`."""
    operator, weights, measurement = problem.forward_model, problem.weights, problem.measurement.clamp_min(0)
    assert isinstance(operator, LinearMap)
    least = LEAST * float(measurement.max())
    seen = operator.adjoint(weights)
    image = torch.full_like(seen, float((weights * measurement).sum() / weights.sum()))
    while True:
        ratio = weights * measurement / operator.apply(image).clamp_min(least)
        image = torch.where(seen > LEAST, image * operator.adjoint(ratio).clamp_min(0) / seen.clamp_min(LEAST), image)
        yield image
