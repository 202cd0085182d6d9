"""A rule with held-out pixels, and images with given errors to show it."""

import torch

from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping import HeldOut, Iterate


def problem_of(shape=(1, 20, 20), is_observed=None, seed=0):
    y = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Problem(y, torch.ones_like(y) if is_observed is None else is_observed.to(y))


def begun(problem, seed=0, n_seeds=1, **options):
    """A rule that is ready, and the weights of its first member."""
    rule = HeldOut(**{"fraction": 0.1, "size": 1, "patience": 0.6, "min_patience": 100, "output": "iterate"} | options)
    return rule, begin(rule, problem, seed, n_seeds).weights[0]


def begin(rule, problem, seed=0, n_seeds=1):
    members = rule.members(problem, n_seeds, torch.Generator().manual_seed(seed))
    rule.begin(problem, members)
    return members


def iterate_of(step, outputs, averages, is_snapshot=True):
    return Iterate(step, torch.tensor(0.0), outputs, averages, is_snapshot, tuple(range(len(outputs))))


def show(rule, problem, step, squared_error, is_snapshot=True):
    """Show the rule an image with these squared errors, one for all pixels or one a pixel."""
    image = problem.measurement + torch.as_tensor(squared_error, dtype=torch.float64).sqrt()
    return float(rule.observe(iterate_of(step, image[None], torch.full_like(image, 9.0)[None], is_snapshot)))


def show_curve(rule, problem, errors):
    for step, error in errors.items():
        show(rule, problem, step, error)
    return rule.judge(list(errors))
