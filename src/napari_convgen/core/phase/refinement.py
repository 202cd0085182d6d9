"""The phase of least total variation, refined by a denoiser in turns with the images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.non_local import Stage
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.choice import FIRST_WEIGHT, N_PATH, try_weights
from napari_convgen.core.regularized.fista import fista
from napari_convgen.core.regularized.plug_and_play import N_TURNS, plug_and_play_stages
from napari_convgen.core.regularized.total_variation import TotalVariation

TOLERANCE = 1e-2
"""Length of the remaining gradient, relative to the first, at which the conjugate gradients of a turn end: a hundred times as exact a turn
takes twice as long and changes the phase of benchmarks/inverse.py by 0.1 dB."""

USUAL_WEIGHTS = 10
"""Number of weights of total variation that are usually tried, for the share that is done, and for a forecast."""

N_TIMED, N_TURNS_TIMED = 10, 3
"""Numbers of steps of total variation, and of turns, that a forecast times."""

FLAT_SHARE = 0.5
"""Share of the time that total variation takes, about."""


def refined_stages(
    problem: Problem,
    weights: Float[Tensor, "1 k rows columns"],
    is_out: Float[Tensor, "1 k rows columns"],
) -> Iterator[Stage[Tensor]]:
    """Yield better and better phases.

    Images out of focus hardly show coarse structures, and none of those that are harmonic over the whole view, such as a slope; nor can
    entries that are held out tell them. Under lights they are seen only as far as the aperture cuts one of the two waves that they scatter.
    Total variation leaves them flat. The denoiser draws fine structures better, and knows nothing of coarse ones; so it begins from the
    image of total variation, and keeps what the images do not show as it is there.

    Parameters
    ----------
    problem
        Linear problem in the generator's units, of a norm of 1 at most.
    weights
        Weights of the entries of the measurement.
    is_out
        1 at entries that are held out to find the weight of total variation, 0 at others.
    """
    seen = weights * (1 - is_out)
    start, found = torch.full(problem.forward_model.in_shape, 0.5).to(weights), None
    for n_done, found in enumerate(try_weights(problem, seen[None], TotalVariation, start), 1):
        yield Stage(found.whole, FLAT_SHARE * min(1.0, n_done / USUAL_WEIGHTS))
    assert found is not None
    flat = fista(problem, TotalVariation(), found.weight, 1.0, weights, found.members[0], N_PATH)
    for stage in plug_and_play_stages(problem, weights, start=flat, tolerance=TOLERANCE):
        yield Stage(stage.image, FLAT_SHARE + (1 - FLAT_SHARE) * stage.share)


def take_few(problem: Problem, start: Float[Tensor, "1 h w"]) -> Iterator[float]:
    """Take a few steps of each part of `refined_stages`, to time them; yield after each part how often it is usually done.

    Parameters
    ----------
    problem
        As for `refined_stages`.
    start
        Phase to begin from.
    """
    fista(problem, TotalVariation(), FIRST_WEIGHT, 1.0, problem.weights, start, N_TIMED)
    yield (USUAL_WEIGHTS + 1) * N_PATH / N_TIMED
    turns = plug_and_play_stages(problem, n_turns=N_TURNS_TIMED, start=start, tolerance=TOLERANCE)
    for number, _ in enumerate(turns):
        yield 1.0 if number < 2 else (N_TURNS - 1) / (N_TURNS_TIMED - 1)
