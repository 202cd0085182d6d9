"""The weight of a penalty with which held-out entries of a measurement are predicted best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.consistency import conjugate_gradients
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem, squared
from napari_convgen.core.regularized.fista import Prox, fista

FIRST_WEIGHT, RATIO, MOST_WEIGHTS = 0.02, 0.5, 14
"""First weight, ratio of each to the one before, and number of weights at most: for images in the generator's units, from one that leaves
little but flat areas to one that leaves a measurement without noise as it is."""

N_WORSE = 2
"""Number of weights in a row without a smaller error after which the search ends."""

N_STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28, 34, 40, 50, 60, 80, 100)
"""Numbers of steps of conjugate gradients that are tried."""

N_PATH = 60
"""Steps for each weight, from the image of the weight before. Five times as many change the image by less than 0.05 dB."""


@dataclass(frozen=True, eq=False)
class Regularized:
    """Images of a regularized reconstruction.

    Attributes
    ----------
    whole
        Image from the whole measurement.
    members
        Image from the entries that each member has seen.
    weight
        Weight of the penalty.
    error
        Mean squared error at entries that were held out.
    """

    whole: Float[Tensor, "c *spatial"]
    members: Float[Tensor, "m c *spatial"]
    weight: float
    error: float


def regularize(
    problem: Problem,
    seen: Float[Tensor, "m n *entries"],
    make_prox: Callable[[], Prox],
    start: Float[Tensor, "c *spatial"],
    norm: float = 1.0,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Regularized]:
    """Reconstruct with weaker and weaker penalties, each from the image of the one before, and then from the whole measurement.

    The last of what is yielded has the weight with the least error at entries held out, and the image from the whole measurement; before
    it, ``whole`` is the mean of the members' images.

    Parameters
    ----------
    problem
        Measurement and linear operator.
    seen
        Weights of the entries that each member has seen; 0 for those held out.
    make_prox
        Function that returns the proximal map of the penalty.
    start
        Image to begin from, such as a flat one.
    norm
        Norm of the operator, or a bound on it; default 1.
    is_stopping
        Function that tells whether to end with what there is; by default everything is done.
    """
    best = None
    for best in try_weights(problem, seen, make_prox, start, norm):
        yield best
        if is_stopping():
            return
    assert best is not None
    prox, whole = make_prox(), start
    for number in range(MOST_WEIGHTS):
        weight = FIRST_WEIGHT * RATIO**number
        whole = fista(problem, prox, weight, norm, problem.weights, whole, N_PATH)
        if weight <= best.weight:
            break
    yield Regularized(whole, best.members, best.weight, best.error)


def try_weights(
    problem: Problem,
    seen: Float[Tensor, "m n *entries"],
    make_prox: Callable[[], Prox],
    start: Float[Tensor, "c *spatial"],
    norm: float = 1.0,
) -> Iterator[Regularized]:
    """Reconstruct with weaker and weaker penalties as long as that helps; yield the best so far, with the mean of the members' images.

    Parameters
    ----------
    problem, seen, make_prox, start, norm
        As for `regularize`.
    """
    proxes = [make_prox() for _ in seen]
    images = torch.stack([start] * len(seen))
    best = Regularized(start, images, FIRST_WEIGHT, float("inf"))
    n_worse = 0
    for number in range(MOST_WEIGHTS):
        weight = FIRST_WEIGHT * RATIO**number
        parts = zip(proxes, seen, images, strict=True)
        images = torch.stack([fista(problem, prox, weight, norm, own, x, N_PATH) for prox, own, x in parts])
        error = held_out_error(problem, seen, images)
        n_worse = 0 if error < best.error else n_worse + 1
        best = best if n_worse else Regularized(images.mean(0), images, weight, error)
        yield best
        if n_worse == N_WORSE:
            return


def stop_early(
    problem: Problem, seen: Float[Tensor, "m n *entries"], start: Float[Tensor, "c *spatial"]
) -> Regularized:
    """Return the least-squares image by conjugate gradients, stopped at the step that predicts held-out entries best.

    Parameters
    ----------
    problem, seen, start
        Problem, what each member has seen, and the image to begin from; see `regularize`. The weight is the number of steps.
    """
    flat = torch.stack([start] * len(seen))
    best = Regularized(start, flat, 0, held_out_error(problem, seen, flat))
    for n_steps in N_STEPS:
        images = torch.stack([_descend(problem, weights, start, n_steps) for weights in seen])
        if (error := held_out_error(problem, seen, images)) >= best.error:
            break
        best = Regularized(start, images, n_steps, error)
    return replace(best, whole=_descend(problem, problem.weights, start, int(best.weight)))


def _descend(problem: Problem, weights: Tensor, start: Tensor, n_steps: int) -> Tensor:
    operator = problem.forward_model
    assert isinstance(operator, LinearMap)
    target = -operator.adjoint(weights * problem.residual(start))
    return start + conjugate_gradients(lambda x: operator.adjoint(weights * operator.apply(x)), target, None, n_steps).x


def held_out_error(
    problem: Problem, seen: Float[Tensor, "m n *entries"], images: Float[Tensor, "m c *spatial"]
) -> float:
    """Return the mean squared error at the entries that each member has not seen."""
    unseen = problem.weights * (seen == 0)
    return float((unseen * squared(problem.residual(images))).sum() / unseen.sum())
