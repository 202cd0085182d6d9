"""Classical reconstructions for benchmarks/inverse.py, each tuned by held-out entries and by the truth."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from napari_convgen.core.baselines.inverse.held_out import choose_strength, held_out_error, least_strength, split
from napari_convgen.core.baselines.inverse.interpolation import biharmonic, lanczos
from napari_convgen.core.baselines.inverse.richardson_lucy import choose_n_steps, richardson_lucy_steps
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.choice import FIRST_WEIGHT, MOST_WEIGHTS, N_WORSE, RATIO
from napari_convgen.core.regularized.fista import Prox, fista
from napari_convgen.core.regularized.smoothest import smoothest
from napari_convgen.core.regularized.total_variation import TotalVariation
from napari_convgen.core.regularized.wavelets import Wavelets

FIRST_STRENGTH = 0.01
"""Strength from which the search begins, in the generator's units; a better one is found from any."""

N_STEPS = 60
"""Steps of total variation, or of wavelets, for each weight, from the image of the weight before. Twice as many change the PSNR of a tuning
image, blurred or with pixels missing, by at most 0.01 dB."""

MOST_STEPS = 400
"""Number of steps of Richardson and Lucy among which the truth chooses."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A simulated measurement, as the methods are given it.

    Attributes
    ----------
    values
        The measurement, rows and columns, or planes of them; NaN where it is missing.
    problem
        The same in the generator's units, with the operator and the weights that the generator is given.
    restore
        Function from an image in the generator's units to one in those of the measurement, in its field of view.
    psnr
        Function from such an image to its PSNR in dB.
    """

    values: np.ndarray
    problem: Problem
    restore: Callable[[np.ndarray], np.ndarray]
    psnr: Callable[[np.ndarray], float]

    def score(self, image: Tensor) -> float:
        """Return the PSNR of an image in the generator's units."""
        return self.psnr(self.restore(image.numpy()))


Scores = tuple[float, float]
"""PSNR with the strength chosen by held-out entries, and with that chosen by the truth; the same where there is none to choose."""


def _source() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _tuned(trial: Trial, solve: Callable[[Problem, float], Tensor]) -> Scores:
    score = cache(lambda strength: trial.score(solve(trial.problem, strength)))
    chosen = choose_strength(trial.problem, solve, FIRST_STRENGTH, _source())
    return score(chosen), score(least_strength(lambda strength: -score(strength), chosen))


def _penalized(trial: Trial, make_prox: Callable[[], Prox]) -> Scores:
    """Return the scores of a penalty whose weight falls from image to image."""
    problem = trial.problem
    operator = problem.forward_model
    assert isinstance(operator, LinearMap)
    norm = operator.norm(problem.weights, _source()) * float(problem.weights.max()) ** 0.5
    part, out = split(problem, _source())[0]
    whole = rest = torch.full(operator.in_shape, 0.5)
    of_whole, of_rest = make_prox(), make_prox()
    scores: list[float] = []
    errors: list[float] = []
    for number in range(MOST_WEIGHTS):
        weight = FIRST_WEIGHT * RATIO**number
        whole = fista(problem, of_whole, weight, norm, problem.weights, whole, N_STEPS)
        rest = fista(part, of_rest, weight, norm, part.weights, rest, N_STEPS)
        scores.append(trial.score(whole))
        errors.append(held_out_error(part, rest, out))
        if number - max(np.argmax(scores), np.argmin(errors)) == N_WORSE:
            break
    return scores[int(np.argmin(errors))], max(scores)


def _smoothest(trial: Trial) -> Scores:
    return _tuned(trial, smoothest)


def _richardson_lucy(trial: Trial) -> Scores:
    photons = torch.from_numpy(trial.values[np.newaxis].astype(np.float32))
    problem = replace(trial.problem, measurement=photons, weights=torch.ones_like(photons))
    view = tuple(slice((n - k) // 2, (n + k) // 2) for n, k in _lengths(problem))
    images = itertools.islice(
        richardson_lucy_steps(problem), max(MOST_STEPS, n_chosen := choose_n_steps(problem, _source()))
    )
    scores = [trial.psnr(image[0].numpy()[view]) for image in images]
    return scores[n_chosen - 1], max(scores[:MOST_STEPS])


def _lengths(problem: Problem) -> zip[tuple[int, int]]:
    """Return the lengths of the image and of the measurement along each axis."""
    model = problem.forward_model
    return zip(model.in_shape[1:], model.out_shape[1:], strict=True)


def _biharmonic(trial: Trial) -> Scores:
    found = trial.psnr(biharmonic(trial.values[np.newaxis], np.isnan(trial.values))[0])
    return found, found


def _lanczos(trial: Trial) -> Scores:
    [(large, small), *_] = _lengths(trial.problem)
    found = trial.psnr(lanczos(trial.values[np.newaxis], large // small)[0])
    return found, found


RIVALS: Mapping[str, Callable[[Trial], Scores]] = {
    "biharmonic": _biharmonic,
    "Lanczos": _lanczos,
    "smoothest": _smoothest,
    "TV": lambda trial: _penalized(trial, TotalVariation),
    "wavelets": lambda trial: _penalized(trial, Wavelets),
    "RL": _richardson_lucy,
}
"""Methods by their name in the tables: the smoothest image (Tikhonov, Wiener), total variation, wavelets, Richardson and Lucy, and
interpolations."""

WITHOUT_STRENGTH = ("biharmonic", "Lanczos")
"""Those that have nothing to choose."""
