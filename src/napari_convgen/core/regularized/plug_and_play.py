r"""The image that agrees with a measurement and that a denoiser leaves as it is.

Measurement and denoiser take turns: the image that agrees with the measurement and is near the last estimate,

.. math:: z = \arg\min_z \| W^{1/2} (A z - y) \|^2 / \sigma^2 + \| z - x \|^2 / (s / \lambda)^2,

is taken to be the clean one with white noise of the level s, and denoised to the next estimate x; s falls from turn to turn. A is the
operator, y the measurement, W its weights, :math:`\sigma` the level of its noise, and :math:`\lambda` is `TRUST`. The denoiser is the
non-local estimate. No weight of a prior is to be chosen: :math:`\sigma` says it all.

`plug_and_play_stages` goes through levels that are set beforehand; `plug_in` takes one turn from the other end, for levels that depend on
how well an estimate predicts what is held out.

References
----------
Venkatakrishnan, Bouman and Wohlberg, "Plug-and-play priors for model based reconstruction", GlobalSIP 2013. Zhang et al., "Plug-and-play
image restoration with deep denoiser prior", IEEE TPAMI 2021, for the levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.consistency import make_consistent
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.non_local import Stage, non_local_estimate
from napari_convgen.core.non_local.piloted import PilotedEstimate
from napari_convgen.core.problem import Problem, squared
from napari_convgen.core.regularized.smoothest import smoothest
from napari_convgen.core.stopping.entries import draw_entries

FIRST_LEVEL = 0.1
"""Noise level s of the first turn, in the generator's units: an image spans nine tenths. Chosen on the tuning images of
benchmarks/inverse.py."""

LAST_LEVEL = 0.25
"""Noise level s of the last turn, relative to that of the measurement. Chosen like `FIRST_LEVEL`."""

LEAST_LEVEL = 0.008
"""Least noise level of a turn, in the generator's units. Chosen like `FIRST_LEVEL`."""

LEAST_NOISE = 0.002
"""Least noise level of a measurement, in the generator's units: half a gray level of 256. Our choice, no benchmark."""

N_TURNS = 24
"""Number of turns. Chosen like `FIRST_LEVEL`."""

TRUST = 0.5
"""The factor of the estimate's level by which the measurement is trusted less. Chosen like `FIRST_LEVEL`."""

SLOPE = 0.12
"""Standard deviation of the difference of two neighboring pixels that the first image is taken to have, in the generator's units. Chosen
like `FIRST_LEVEL`."""

N_TRIAL_TURNS = 8
"""Number of turns by which two noise levels are compared: enough to tell them apart. Our choice, no benchmark."""

HELD_OUT_SHARE = 0.1
"""Share of the entries that are held out for that. Our choice, no benchmark."""

CLEARLY = 2.5
"""Number of standard errors by which a measurement without noise must predict them better. Chosen on the tuning images of
benchmarks/inverse.py, enlarged: 3.0 and more without noise, 2.1 with noise of 0.03 where it was measured."""

LEAST_RHO = 1e-3
"""Least weight of the distance from the denoised image in `plug_in`: a smaller one changes hardly more than the conjugate gradients
leave."""

TOLERANCE = 1e-4
"""Length of the remaining gradient, relative to the first, at which the conjugate gradients of a turn end: the next one goes on."""


def plug_and_play_stages(
    problem: Problem,
    weights: Float[Tensor, "n *entries"] | None = None,
    is_color: bool = False,
    n_turns: int = N_TURNS,
) -> Iterator[Stage[Tensor]]:
    """Yield better and better images, in the generator's units.

    Parameters
    ----------
    problem
        Measurement, linear operator and noise level.
    weights
        Weights of the entries of the measurement; ``None``, the default, for those of the problem.
    is_color
        True if the three channels are red, green and blue, whose similar patches are at the same places; default False.
    n_turns
        Number of turns; default `N_TURNS`.

    Raises
    ------
    ValueError
        The operator is not linear.
    """
    operator = problem.forward_model
    if not isinstance(operator, LinearMap):
        raise ValueError("Only a linear operator has an image near another one that conjugate gradients find.")
    seen = problem.weights if weights is None else weights
    levels = measured_levels(problem)
    last = max(LAST_LEVEL * float(levels.square().mean().sqrt()), LEAST_LEVEL)
    image = smoothest(problem, (levels.clamp_min(LEAST_LEVEL) / SLOPE) ** 2, seen, TOLERANCE)
    yield Stage(image, 0.0)
    denoise = PilotedEstimate([range(len(image))] if is_color else [[i] for i in range(len(image))])
    estimate = denoise(image, FIRST_LEVEL)
    for turn, level in enumerate(np.geomspace(FIRST_LEVEL, last, n_turns).tolist(), start=1):
        rho = (TRUST * levels / level) ** 2
        image = make_consistent(problem, estimate, rho, seen, tolerance=TOLERANCE)
        yield Stage(image, turn / n_turns)
        if turn < n_turns:
            estimate = denoise(image, level)


def without_doubtful_noise(problem: Problem, rng: torch.Generator, is_color: bool = False) -> Problem:
    """Return the problem as one without noise if entries that are held out are clearly predicted better so.

    The noise level is estimated from the measurement alone. In the few pixels of an image that is to be enlarged, fine structure looks like
    noise, and would be smoothed away.

    Parameters
    ----------
    problem, is_color
        As for `plug_and_play_stages`; what is held out are single entries.
    rng
        Source of chance on the CPU.
    """
    if problem.noise_level is None:
        return problem
    is_observed = (problem.weights > 0).any(0)
    [drawn] = draw_entries(is_observed.flatten().cpu(), HELD_OUT_SHARE, 1, rng)
    is_out = drawn.view(is_observed.shape).to(is_observed.device)
    quiet = replace(problem, noise_level=None)
    errors = []
    for trial in (problem, quiet):
        *_, last = plug_and_play_stages(trial, trial.weights * ~is_out, is_color, N_TRIAL_TURNS)
        errors.append((problem.weights * squared(problem.residual(last.image)))[:, is_out].flatten())
    gains = errors[0] - errors[1]
    return quiet if float(gains.sum()) > CLEARLY * float(gains.std()) * len(gains) ** 0.5 else problem


def measured_levels(problem: Problem) -> Float[Tensor, "c *ones"]:
    """Return the noise level of each channel of the image, as a column: that of the measurement, or at least `LEAST_NOISE`."""
    shape = problem.forward_model.in_shape
    level = problem.noise_level
    if level is None:
        level = problem.weights.new_full((1,), LEAST_NOISE)
    elif len(level) != shape[0]:
        level = level.square().mean().sqrt().view(1)
    return level.clamp_min(LEAST_NOISE).expand(shape[0]).view(-1, *(1,) * (len(shape) - 1))


def plug_in(
    problem: Problem,
    image: Float[Tensor, "c *spatial"],
    level: float,
    noise: float,
    weights: Float[Tensor, "n *entries"],
) -> Float[Tensor, "c *spatial"]:
    """Take one turn.

    Parameters
    ----------
    problem
        Measurement and linear operator.
    image
        Image to begin from.
    level
        Noise level of each channel of the image, above 0.
    noise
        Mean squared noise of an entry of the measurement.
    weights
        Weights of the entries of the measurement.
    """
    denoised = non_local_estimate(image, torch.full((len(image),), level))
    return make_consistent(problem, denoised, max(LEAST_RHO, noise / (2 * level**2)), weights, image)
