"""The phase of least total variation and that which a denoiser leaves as it is, mixed as held-out entries ask for."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.non_local import Stage
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.choice import MOST_WEIGHTS, regularize
from napari_convgen.core.regularized.plug_and_play import N_TURNS, plug_and_play_stages
from napari_convgen.core.regularized.total_variation import TotalVariation


def mixed_stages(
    problem: Problem, weights: Float[Tensor, "1 k rows columns"], is_out: Float[Tensor, "1 k rows columns"]
) -> Iterator[Stage[Tensor]]:
    """Yield better and better phases; the last is the mixture of both.

    With few photons total variation draws coarse structures better, which images out of focus show weakly; with many the denoiser draws
    fine ones better. Both are made with and without the entries that are held out. The residuals are linear in the phase, so that the share
    of each with which held-out entries are predicted best follows at once.

    Parameters
    ----------
    problem
        Linear problem in the generator's units, of a norm of 1 at most.
    weights
        Weights of the entries of the measurement.
    is_out
        1 at entries that are held out to find the shares, 0 at others.
    """
    n_stages = MOST_WEIGHTS + 1 + 2 * (N_TURNS + 1)
    seen = weights * (1 - is_out)
    start, found = torch.full(problem.forward_model.in_shape, 0.5).to(weights), None
    for n_done, found in enumerate(regularize(problem, seen[None], TotalVariation, start), 1):
        yield Stage(found.whole, n_done / n_stages)
    assert found is not None
    flat, flat_seen = found.whole, found.members[0]
    denoised = []
    for number, own in enumerate((seen, weights)):
        image = flat
        for stage in plug_and_play_stages(problem, own):
            image = stage.image
            yield Stage(image, (MOST_WEIGHTS + 1 + (number + stage.share) * N_TURNS) / n_stages)
        denoised.append(image)
    share = _share(problem, weights * is_out, flat_seen, denoised[0])
    yield Stage(share * flat + (1 - share) * denoised[1], 1.0)


def _share(problem: Problem, weights: Tensor, one: Tensor, other: Tensor) -> float:
    """Return the share of one image, from 0 to 1, with which a mixture of two predicts entries with weights best."""
    residuals = problem.residual(torch.stack([one, other]))
    difference = residuals[0] - residuals[1]
    least = -(weights * difference * residuals[1]).sum() / (weights * difference.square()).sum().clamp_min(1e-30)
    return float(least.clamp(0, 1))
