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

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from napari_convgen.core.columns import as_column
from napari_convgen.core.consistency import make_consistent
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.non_local import Stage, non_local_estimate
from napari_convgen.core.non_local.piloted import PilotedEstimate
from napari_convgen.core.problem import Problem, squared
from napari_convgen.core.regularized.smoothest import hole_tolerance, smoothest
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
"""Factor of the standard deviation that the noise of the measurement is taken to have in a turn. Chosen like `FIRST_LEVEL`; for scans half
and twice as much were tried on heads that are not in the judging set, and are worse."""

SLOPE = 0.12
"""Standard deviation of the difference of two neighboring pixels that the first image is taken to have, in the generator's units. Chosen
like `FIRST_LEVEL`."""

N_TRIAL_TURNS = 8
"""Number of turns by which two noise levels are compared: enough to tell them apart. Our choice, no benchmark."""

HELD_OUT_SHARE = 0.1
"""Share of the entries that are held out for that. Our choice, no benchmark."""

N_WORSE = 2
"""Number of noise levels in a row without a smaller error after which no smaller one is tried."""

N_HELD_OUT, MAX_DRAWS = 1200, 10
"""Number of entries that are held out for it, and the most draws for as many. Our choice, no benchmark: a third of them tell too little."""

CLEARLY = 4.2
"""Number of standard errors by which a measurement without noise must predict them better. Chosen on the tuning images in the part
``doubt`` of benchmarks/inverse.py: 4.3 and more without noise, 4.1 or less with noise of 0.03 where it was measured."""

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
    first_level: float = FIRST_LEVEL,
    start: Float[Tensor, "c *spatial"] | None = None,
    tolerance: float = TOLERANCE,
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
    first_level
        Noise level of the first turn, in the generator's units; default `FIRST_LEVEL`.
    start
        Image to begin from; ``None``, the default, for the smoothest.
    tolerance
        Length of the remaining gradient, relative to the first, at which the conjugate gradients of a turn end; default `TOLERANCE`.

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
    image = start
    if image is None:
        strength = (levels.clamp_min(LEAST_LEVEL) / SLOPE) ** 2
        image = smoothest(problem, strength, seen, hole_tolerance(problem, strength, tolerance))
    yield Stage(image, 0.0)
    denoise = PilotedEstimate([range(len(image))] if is_color else [[i] for i in range(len(image))])
    estimate = denoise(image, first_level)
    for turn, level in enumerate(np.geomspace(first_level, last, n_turns).tolist(), start=1):
        rho = (TRUST * levels / level) ** 2
        image = make_consistent(problem, estimate, rho, seen, tolerance=tolerance)
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
    if problem.noise_level is None or doubt(problem, rng, is_color) <= CLEARLY:
        return problem
    return replace(problem, noise_level=None)


def doubt(problem: Problem, rng: torch.Generator, is_color: bool = False) -> float:
    """Return by how many standard errors a problem without noise predicts held-out entries better than the problem with its noise level.

    Parameters
    ----------
    problem, rng, is_color
        As for `without_doubtful_noise`.
    """
    quiet = replace(problem, noise_level=None)
    gains: list[Float[Tensor, "n"]] = []
    while len(gains) < MAX_DRAWS and sum(map(len, gains)) < N_HELD_OUT:
        is_out = _draw_out(problem, rng)
        errors = [_errors_out(trial, is_out, is_color, N_TRIAL_TURNS, FIRST_LEVEL) for trial in (problem, quiet)]
        gains.append(errors[0] - errors[1])
    gain = torch.cat(gains)
    return float(gain.sum() / (gain.std() * len(gain) ** 0.5))


def with_likeliest_noise(
    problem: Problem, rng: torch.Generator, n_turns: int = N_TURNS, first_level: float = FIRST_LEVEL
) -> Problem:
    """Return the problem with the noise level with which entries that are held out are predicted best, or without noise.

    It is for a measurement that does not tell its noise, such as weighted sums of all pixels. The level is halved from the contrast of the
    measurement on, as long as that helps.

    Parameters
    ----------
    problem, n_turns, first_level
        As for `plug_and_play_stages`; the noise is that of all channels.
    rng
        Source of chance on the CPU.
    """
    is_out, level = _draw_out(problem, rng), _contrast(problem)
    best, least, n_worse = problem, float("inf"), 0
    while n_worse < N_WORSE:
        known = problem.weights.new_full((len(problem.measurement),), level) if level > LEAST_NOISE else None
        trial = replace(problem, noise_level=known)
        error = float(_errors_out(trial, is_out, False, n_turns, first_level).mean())
        best, least, n_worse = (trial, error, 0) if error < least else (best, least, n_worse + 1)
        if known is None:
            break
        level /= 2
    return best


def _contrast(problem: Problem) -> float:
    """Return the root mean square difference of the measurement from that of the flat image nearest to it, a bound on its noise."""
    flat = problem.predict(problem.weights.new_ones(problem.forward_model.in_shape))
    over = tuple(range(1, flat.ndim))
    share = (problem.weights * flat * problem.measurement).sum(over, keepdim=True)
    share = share / (problem.weights * flat.square()).sum(over, keepdim=True)
    squares = problem.weights * (problem.measurement - share * flat).square()
    return math.sqrt(float(squares.sum() / problem.weights.sum()))


def _draw_out(problem: Problem, rng: torch.Generator) -> Bool[Tensor, "*entries"]:
    """Draw the entries that are held out of trials."""
    is_observed = (problem.weights > 0).any(0)
    [drawn] = draw_entries(is_observed.flatten().cpu(), HELD_OUT_SHARE, 1, rng)
    return drawn.view(is_observed.shape).to(is_observed.device)


def _errors_out(
    trial: Problem, is_out: Bool[Tensor, "*entries"], is_color: bool, n_turns: int, first_level: float
) -> Float[Tensor, "n"]:
    """Return the squared errors of held-out entries that an image without them predicts."""
    *_, last = plug_and_play_stages(trial, trial.weights * ~is_out, is_color, n_turns, first_level)
    return (trial.weights * squared(trial.residual(last.image)))[:, is_out].flatten()


def measured_levels(problem: Problem) -> Float[Tensor, "c *ones"]:
    """Return the noise level of each channel of the image, as a column: that of the measurement, or at least `LEAST_NOISE`."""
    shape = problem.forward_model.in_shape
    level = problem.noise_level
    if level is None:
        level = problem.weights.new_full((1,), LEAST_NOISE)
    elif len(level) != shape[0]:
        level = level.square().mean().sqrt().view(1)
    return as_column(level.clamp_min(LEAST_NOISE).expand(shape[0]), len(shape))


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
        Mean squared noise of an entry of the measurement, real and imaginary part together if it is complex.
    weights
        Weights of the entries of the measurement.
    """
    denoised = non_local_estimate(image, torch.full((len(image),), level))
    variance = noise / (1 + problem.measurement.is_complex())
    return make_consistent(problem, denoised, max(LEAST_RHO, TRUST**2 * variance / level**2), weights, image)
