"""The strength of a regularization, chosen by entries of the measurement that are held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.problem import Problem, squared
from napari_convgen.core.stopping.entries import draw_entries, draw_groups

Solve = Callable[[Problem, float], Tensor]
"""A function from a problem and a strength to an image."""

SHARE = 0.1
"""Share of the entries in a set that is held out: few enough to leave the problem what it is. Our choice, no benchmark."""

N_SETS = 2
"""Number of sets that are held out, one after the other. Our choice, no benchmark."""

RATIO = 10**0.5
"""Ratio of neighboring strengths that are tried: around the best the error changes by less than 0.1 dB between them (fluorescence sample,
half of its pixels filled in)."""

MOST_RATIOS = 20
"""Number of ratios from the first strength beyond which none is tried: ten decades."""


def split(problem: Problem, rng: torch.Generator) -> list[tuple[Problem, Float[Tensor, "c *entries"]]]:
    """Return the problem without each of some sets of entries, and the weights of the set that was left out.

    Parameters
    ----------
    problem
        Measurement, operator and weights.
    rng
        Source of chance on the CPU.
    """
    observed, groups = (problem.weights > 0).any(0).flatten().cpu(), problem.forward_model.entry_groups
    if groups is None:
        sets = draw_entries(observed, SHARE, N_SETS, rng)
    else:
        sets = draw_groups(observed, groups.flatten().cpu(), SHARE, N_SETS, rng)
    out = [each.view(problem.weights.shape[1:]).to(problem.weights.device) for each in sets]
    return [(replace(problem, weights=problem.weights * ~each), problem.weights * each) for each in out]


def held_out_error(problem: Problem, image: Float[Tensor, "c *spatial"], weights: Float[Tensor, "c *entries"]) -> float:
    """Return the mean squared residual of an image at entries with weights."""
    return float((weights * squared(problem.residual(image))).sum() / weights.sum())


def choose_strength(problem: Problem, solve: Solve, first: float, rng: torch.Generator) -> float:
    """Return the strength that predicts entries best which were held out, between a weaker and a stronger one that do not.

    Parameters
    ----------
    problem
        Measurement, operator and weights.
    solve
        Function from a problem and a strength to an image.
    first
        Strength to begin with.
    rng
        Source of chance on the CPU.
    """
    parts = split(problem, rng)

    def error(strength: float) -> float:
        return sum(held_out_error(problem, solve(part, strength), out) for part, out in parts)

    return least_strength(error, first)


def least_strength(error: Callable[[float], float], first: float) -> float:
    """Return the strength with an error that is less than at its neighbors, a ratio `RATIO` weaker and stronger.

    Parameters
    ----------
    error
        Function from a strength to an error.
    first
        Strength to begin with.
    """
    errors = dict[int, float]()

    def error_at(exponent: int) -> float:
        if exponent not in errors:
            errors[exponent] = error(first * RATIO**exponent)
        return errors[exponent]

    best = 0
    while abs(best) < MOST_RATIOS:
        nearest = min((best, best - 1, best + 1), key=error_at)
        if nearest == best:
            break
        best = nearest
    return first * RATIO**best
