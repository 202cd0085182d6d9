"""Errors of the same pixels at several snapshots, to find the steps that are as good as the best within their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

MAX_PAIRED = 2**16
"""Largest number of pixels whose errors are kept.

Chosen so that a snapshot's errors take 256 KiB, and that the standard error of their mean is 256 times smaller than their spread."""


class PairedErrors:
    """Errors of the same pixels at several steps.

    Parameters
    ----------
    n_correlated
        Number of pixels with correlated errors that count as one, 1 or more; 1, the default, if all errors are independent.
    """

    def __init__(self, n_correlated: float = 1) -> None:
        self.n_correlated = n_correlated
        self._errors: dict[int, Float[Tensor, "n"]] = {}

    def __getitem__(self, step: int) -> Float[Tensor, "n"]:
        return self._errors[step]

    def add(self, step: int, errors: Float[Tensor, "n"]) -> None:
        """Set the errors at a step, one for each pixel, in the same order at each step."""
        self._errors[step] = errors.cpu()

    def keep(self, steps: Sequence[int]) -> None:
        """Remove the errors of all steps but these."""
        self._errors = {step: self._errors[step] for step in steps}

    def least(self, steps: Sequence[int]) -> int:
        """Return the first of ``steps`` with the lowest mean error."""
        return min(steps, key=lambda step: float(self._errors[step].mean()))

    def as_good_as(self, best: int, steps: Sequence[int], n_errors: float = 1) -> list[int]:
        """Return the steps that are as good as the best one within the uncertainty of the errors.

        Their mean error exceeds that of the best step by at most ``n_errors`` standard errors of the difference. The difference is taken at
        each pixel, so that the part that both steps have in common cancels.

        Parameters
        ----------
        best
            Step with the lowest mean error.
        steps
            Steps to choose from, whose errors are kept.
        n_errors
            Tolerance, as a number of standard errors, 1 by default.
        """
        differences = {step: self._errors[step] - self._errors[best] for step in steps}
        return [step for step, x in differences.items() if float(x.mean()) <= n_errors * self.standard_error(x)]

    def standard_error(self, values: Float[Tensor, "n"]) -> float:
        """Return the standard error of the mean of values with the correlation of the errors."""
        return float(values.std(correction=0)) * math.sqrt(self.n_correlated / len(values))
