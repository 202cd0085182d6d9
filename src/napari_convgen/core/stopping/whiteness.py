"""A residual that is nothing but white noise has no structure left in it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, Output, StopReason
from napari_convgen.core.stopping.rule import Iterate, Judgment, Members, is_over, plain_members

MAX_LAG = 2
"""Largest distance, along each axis, of the pixels that are compared."""


def residual_whiteness(
    residual: Float[Tensor, "c *spatial"], weights: Float[Tensor, "c *spatial"], max_lag: int = MAX_LAG
) -> tuple[Float[Tensor, ""], int]:
    r"""Test whether the values of different pixels have nothing to do with each other.

    For each of the m distances :math:`h` up to ``max_lag`` along the axes, one of each pair :math:`\pm h`, the products of pixels that
    far apart are added up: :math:`Q = \sum_h (\sum_i r_i r_{i+h})^2 / \sum_i (r_i r_{i+h})^2` is a chi-squared of m degrees of freedom
    for independent values around 0, also if their variance differs from pixel to pixel. (With one variance it is Box and Pierce's.)

    The residual of a good fit is not quite white: it lacks the little noise that has been fitted. In a large image the test
    sees that, so compare statistics rather than take a significant one for a bad fit.

    Parameters
    ----------
    residual
        Prediction less measurement, channels first. Each channel's mean is taken off.
    weights
        1 where a value is observed, 0 where it is missing.
    max_lag
        Largest distance along each axis, in pixels; default 2.

    Returns
    -------
    statistic, n
        Chi-squared per degree of freedom, about 1 for white noise and more for anything else, and the number m of those.

    References
    ----------
    Box and Pierce, J. Am. Stat. Assoc. 65 (1970); in the form of Lobato, Nankervis and Savin, Int. Econ. Rev. 42 (2001).
    """
    space = tuple(range(1, residual.ndim))
    mean = (weights * residual).sum(space, keepdim=True) / weights.sum(space, keepdim=True).clamp_min(1)
    residual = weights * (residual - mean)
    total, n = residual.new_zeros(()), 0
    for here, there in _shifts(residual.shape[1:], max_lag):
        products = residual[here] * residual[there]
        total += products.sum() ** 2 / (products**2).sum().clamp_min(torch.finfo(products.dtype).tiny)
        n += 1
    return total / n, n


def _shifts(shape: Sequence[int], max_lag: int) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Yield the pixels that have one at a distance within the image, and those at that distance, once for each pair."""
    ranges = [range(-min(max_lag, n - 1), min(max_lag, n - 1) + 1) for n in shape]
    for lag in itertools.product(*ranges):
        if lag > (0,) * len(shape):
            here = (slice(None), *(slice(max(0, -h), n - max(0, h)) for h, n in zip(lag, shape, strict=True)))
            there = (slice(None), *(slice(max(0, h), n - max(0, -h)) for h, n in zip(lag, shape, strict=True)))
            yield here, there


class ResidualWhiteness:
    """Keep the snapshot whose residual is most like white noise, see `residual_whiteness`.

    Before it, structure is left in the residual; after it, noise is missing there. It is rather early, as some structure left makes
    up for the coarse noise that every fit contains. It costs nothing but at snapshots, needs no noise level and holds for any operator,
    but the noise must be white: with correlated noise the whitest residual means nothing.

    Parameters
    ----------
    output
        Kind of image that is evaluated, ``"average"`` (default) or ``"iterate"``: the kind that is kept.
    max_lag
        Largest distance along each axis, in pixels, of the entries that are compared; default 2.
    patience, min_patience
        Numbers from 0; defaults 0.4 and 100 steps. The fit ends at step ``t`` once
        ``t > t_min (1 + patience) + min_patience``, with ``t_min`` the step of the least statistic.

    References
    ----------
    Almeida and Figueiredo, "Parameter estimation for blind and non-blind deblurring using residual whiteness measures", IEEE Trans.
    Image Process. 22 (2013); Lanza et al., "Residual whiteness principle for parameter-free image restoration", ETNA 53 (2020).
    """

    needs_identity = False

    def __init__(
        self, output: Output = "average", max_lag: int = MAX_LAG, patience: float = 0.4, min_patience: int = 100
    ) -> None:
        self.output: Output = output
        self.max_lag = max_lag
        self.patience = patience
        self.min_patience = min_patience
        self._statistics: dict[int, Tensor] = {}

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Fit every observed pixel."""
        return plain_members(problem, n_seeds)

    def begin(self, problem: Problem, members: Members) -> None:
        """Note the measurement."""
        self._problem = problem
        self._none = problem.weights.new_tensor(math.nan)

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the residual's statistic at a snapshot; NaN in between."""
        if not iterate.is_snapshot:
            return self._none
        residual, weights = self._problem.residual(iterate.image(self.output)), self._problem.weights
        if residual.is_complex():  # real and imaginary parts have noise of their own
            residual, weights = torch.cat((residual.real, residual.imag)), weights.repeat(2, *(1,) * (weights.ndim - 1))
        statistic, _ = residual_whiteness(residual, weights, self.max_lag)
        self._statistics[iterate.step] = statistic
        return statistic

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Take the snapshot of the least statistic; end once that lies far enough back."""
        self._statistics = {step: self._statistics[step] for step in steps}
        values = {step: float(statistic) for step, statistic in self._statistics.items()}
        best = min(steps, key=values.__getitem__)
        warnings: tuple[str, ...] = ()
        if self._problem.correlation_length > 1:
            warnings = (
                "The whiteness of the residual says nothing of this image, as its noise is correlated; "
                "use the stopping rule 'held-out'.",
            )
        reason = None
        if is_over(steps[-1], best, self.patience, self.min_patience):
            sentence = (
                f"The residual was most like white noise at step {best} and has not been more so by step {steps[-1]}; "
                f"step {best} is kept."
            )
            reason = StopReason(Outcome.RULE, sentence)
        return Judgment(best, reason, warnings=warnings)
