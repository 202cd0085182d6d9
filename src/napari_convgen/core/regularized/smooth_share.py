r"""How much of the smoothest image is mixed into that of plug and play.

Where structure is no wider than a pixel or two, or the noise is not known, the non-local estimate draws patterns that are not there, and
the image of the least curvature is better; where edges and texture repeat, it is worse. With p and s what the two images predict at entries
of the measurement that neither has seen, and y these entries, the share of the second one is

.. math:: w = \frac{\sum u (y - p)(s - p)}{\sum u (s - p)^2}, \qquad 0 \le w \le 1,

with the weights u of the entries.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.consistency import Solution
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.plug_and_play import (
    FIRST_LEVEL,
    HELD_OUT_SHARE,
    LEAST_LEVEL,
    measured_levels,
    plug_and_play_stages,
)
from napari_convgen.core.regularized.smoothest import hole_tolerance, solve_smoothest
from napari_convgen.core.stopping.entries import draw_entries

CURVATURE = 0.12
"""Standard deviation of the Laplacian that the smoothest image is taken to have, in the generator's units. Chosen on the tuning images of
benchmarks/inverse.py."""

N_SHARE_TURNS = 12
"""Number of turns of plug and play by which the share is found. Chosen on the tuning images of benchmarks/inverse.py: with 8 the smoothest
image got too large a share of images of sharp edges."""

SEED = 577
"""Seed of the entries that are held out. Any will do."""


def least_curved(
    problem: Problem, weights: Float[Tensor, "n *entries"] | None = None, n_steps: int | None = None
) -> Solution:
    """Find the image of the least curvature, as strong as the noise of the measurement asks for.

    Parameters
    ----------
    problem
        Measurement, linear operator and noise level.
    weights
        Weights of the entries of the measurement; ``None``, the default, for those of the problem.
    n_steps
        Number of steps of the conjugate gradients at most; ``None``, the default, for that of `solve_smoothest`.
    """
    strength = (measured_levels(problem).clamp_min(LEAST_LEVEL) / CURVATURE) ** 2
    return solve_smoothest(problem, strength, weights, hole_tolerance(problem, strength), order=2, n_steps=n_steps)


def smooth_share(
    problem: Problem, is_color: bool = False, n_turns: int = N_SHARE_TURNS, first_level: float = FIRST_LEVEL
) -> float:
    """Return the share of the image of the least curvature with which held-out entries are predicted best, from 0 to 1.

    Parameters
    ----------
    problem
        Measurement, linear operator and noise level. Where its entries are measured in groups, such as lines of k-space, the share is 0.
    is_color
        True if the three channels are red, green and blue; default False.
    n_turns, first_level
        Number of turns of plug and play by which the share is found, default `N_SHARE_TURNS`, and noise level of the first.
    """
    if problem.forward_model.entry_groups is not None:
        return 0.0
    is_observed = (problem.weights > 0).any(0)
    rng = torch.Generator().manual_seed(SEED)
    [drawn] = draw_entries(is_observed.flatten().cpu(), HELD_OUT_SHARE, 1, rng)
    is_out = drawn.view(is_observed.shape).to(is_observed.device)
    seen, unseen = problem.weights * ~is_out, problem.weights * is_out
    *_, last = plug_and_play_stages(problem, seen, is_color, n_turns, first_level)
    residual = problem.residual(last.image)
    step = problem.residual(least_curved(problem, seen).x) - residual
    size = float((unseen * step.square()).sum())
    return min(1.0, max(0.0, -float((unseen * residual * step).sum()) / size)) if size else 0.0
