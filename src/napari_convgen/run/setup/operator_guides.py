"""The estimates that guide a fit through a linear operator: total variation, refined by the non-local estimate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from napari_convgen.core.fit.guides import Guides
from napari_convgen.core.non_local import Stage, non_local_estimate
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.choice import MOST_WEIGHTS, N_PATH, Regularized, held_out_error, regularize
from napari_convgen.core.regularized.fista import fista
from napari_convgen.core.regularized.plug_and_play import plug_in
from napari_convgen.core.regularized.total_variation import TotalVariation
from napari_convgen.core.stopping import Members
from napari_convgen.run.setup.forecast import Seconds
from napari_convgen.run.setup.guides import PROBE_SIDE, GuideStages

LEVELS = (1.4, 1.0, 0.7, 0.5, 0.35, 0.25)
"""Noise levels of the denoiser's turns, relative to the estimated error of the image of total variation. Chosen on heads that are not in
the judging set of benchmarks/inverse.py: from above the error to where held-out entries of none of them were predicted better."""

N_TIMED, TIMED_LEVEL, USUAL_WEIGHTS = 3, 0.05, 8
"""Steps that a forecast times, level of the noise of the estimate that it times, and number of weights that are usually tried."""

LEAST_LEVEL = 1e-4
"""Least of these levels, in the generator's units: far below what can be seen."""


def make_operator_guides(
    problem: Problem,
    start: Tensor,
    members: Members,
    noise: float,
    is_stopping: Callable[[], bool] = lambda: False,
) -> GuideStages:
    """Make the estimate from the whole measurement, and that of each member from the entries in its loss.

    Total variation comes first, with the weight that predicts the entries held out best; then the non-local estimate and the agreement with
    the measurement take turns, as long as these entries are predicted better. Where nothing is held out, the first image is the guide.

    Parameters
    ----------
    problem
        Measurement and linear operator of a norm of at most 1.
    start
        First image, which is shown until there is a better one.
    members
        Networks that are fitted together, with the weights of what they see.
    noise
        Mean squared noise of an entry of the measurement, or a bound on it.
    is_stopping
        Function that tells whether to end with what there is; by default everything is done.
    """
    n_stages = MOST_WEIGHTS + len(LEVELS)
    yield Stage(start.cpu().numpy(), 0.0)
    seen = members.weights
    has_held_out = bool((problem.weights * (seen == 0)).flatten(1).any(1).all())
    if is_stopping() or not has_held_out:
        return Guides(start, torch.stack([start] * len(members)), noise_level=_levels(start, LEAST_LEVEL))
    found = None
    for number, found in enumerate(
        regularize(problem, seen, TotalVariation, torch.full_like(start, 0.5), is_stopping=is_stopping), 1
    ):
        yield Stage(found.whole.cpu().numpy(), number / n_stages)
    assert found is not None
    level = _error_of_image(problem, found.error, min(noise, found.error))
    turns = _refined(problem, seen, found, level, noise, is_stopping)
    for number, found in enumerate(turns, MOST_WEIGHTS + 1):
        yield Stage(found.whole.cpu().numpy(), number / n_stages)
    if not is_stopping():
        yield Stage(found.whole.cpu().numpy(), 1.0)
    return Guides(found.whole, found.members, noise_level=_levels(start, level))


def _refined(
    problem: Problem, seen: Tensor, found: Regularized, level: float, noise: float, is_stopping: Callable[[], bool]
) -> Iterator[Regularized]:
    """Take turns of the non-local estimate and the measurement; yield each image that predicts held-out entries better than all before."""
    whole, members, error = found.whole, found.members, found.error
    for share in LEVELS:
        if is_stopping():
            return
        noise = min(noise, error)  # what is held out is predicted with its noise
        parts = zip(members, seen, strict=True)
        members = torch.stack([plug_in(problem, each, share * level, noise, weights) for each, weights in parts])
        whole = plug_in(problem, whole, share * level, noise, problem.weights)
        new = held_out_error(problem, seen, members)
        if new < error:
            error = new
            yield replace(found, whole=whole, members=members, error=error)
        elif share < 1:
            return


def _error_of_image(problem: Problem, held_out: float, noise: float) -> float:
    """Return about the standard deviation of a channel's error, from the mean squared error at entries held out.

    Entries of the coils that were not sampled have that error, less the noise; an operator of norm 1 makes of all entries a pixel's.
    """
    n_entries, n_pixels = problem.weights.numel(), math.prod(problem.forward_model.in_shape)
    n_missing = n_entries - float(problem.weights.sum())
    return max(LEAST_LEVEL, math.sqrt(max(held_out - noise, 0.1 * held_out) * n_missing / n_pixels))


def _levels(image: Tensor, level: float) -> Tensor:
    return torch.full((len(image),), level).to(image)


def time_operator_guides(problem: Problem, image: Tensor, n_members: int) -> Seconds:
    """Return about how long these estimates take, measured on a few steps and on a crop.

    Parameters
    ----------
    problem
        Measurement and linear operator.
    image
        First image.
    n_members
        Number of members.
    """
    crop = image[(slice(None), *(slice(PROBE_SIDE) for _ in image.shape[1:]))]
    step = denoising = Seconds()
    for _ in range(2):  # the first time loads what is needed
        started = Seconds.now()
        fista(problem, TotalVariation(), LEAST_LEVEL, 1.0, problem.weights, image, N_TIMED)
        between = Seconds.now()
        non_local_estimate(crop, _levels(image, TIMED_LEVEL))
        step, denoising = (between - started) * (1 / N_TIMED), Seconds.now() - between
    n_denoisings = len(LEVELS) * image.numel() / crop.numel()
    return (step * (USUAL_WEIGHTS * N_PATH) + denoising * n_denoisings) * (n_members + 1)
