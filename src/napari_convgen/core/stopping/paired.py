"""Errors pixel by pixel at snapshots, which tell the steps that are as good as the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

MAX_PAIRED = 2**16
"""Pixels whose errors are remembered."""


class PairedErrors:
    """The same pixels' errors at several steps.

    Parameters
    ----------
    n_correlated
        Number of pixels with correlated errors that count as one; 1, the default, if all are independent.
    """

    def __init__(self, n_correlated: float = 1) -> None:
        self.n_correlated = n_correlated
        self._errors: dict[int, Float[Tensor, "n"]] = {}

    def __getitem__(self, step: int) -> Float[Tensor, "n"]:
        return self._errors[step]

    def add(self, step: int, errors: Float[Tensor, "n"]) -> None:
        """Note the errors at a step."""
        self._errors[step] = errors.cpu()

    def keep(self, steps: Sequence[int]) -> None:
        """Forget all other steps."""
        self._errors = {step: self._errors[step] for step in steps}

    def least(self, steps: Sequence[int]) -> int:
        """Return the first of some steps with the least mean error."""
        return min(steps, key=lambda step: float(self._errors[step].mean()))

    def as_good_as(self, best: int, steps: Sequence[int], n_errors: float = 1) -> list[int]:
        """Return those of some steps whose mean error is above that of ``best`` by at most ``n_errors`` standard errors of the difference.

        The difference is taken pixel by pixel, so that what both steps share drops out.
        """
        differences = {step: self._errors[step] - self._errors[best] for step in steps}
        return [step for step, x in differences.items() if float(x.mean()) <= n_errors * self.standard_error(x)]

    def standard_error(self, values: Float[Tensor, "n"]) -> float:
        """Return the standard error of the mean."""
        return float(values.std(correction=0)) * math.sqrt(self.n_correlated / len(values))
