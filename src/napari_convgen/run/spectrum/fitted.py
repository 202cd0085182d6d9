"""The generator at later steps of its fit."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.snapshot import Outcome
from napari_convgen.errors import FitError


def fit_until(fit: Fit, step: int) -> Iterator[int]:
    """Take steps until the fit has reached a number of them."""
    steps = iter(fit)
    while fit.step < step:
        iterate = next(steps, None)
        if iterate is None or (fit.reason is not None and fit.reason.outcome in (Outcome.DIVERGED, Outcome.COLLAPSED)):
            raise FitError(f"{fit.reason} Choose another seed, or lower optimizer.learning_rate.")
        yield fit.step


def copy_state(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters and buffers to a generator that is the same but for what computes it."""
    for pairs in (
        zip(source.parameters(), target.parameters(), strict=True),
        zip(source.buffers(), target.buffers(), strict=True),
    ):
        for value, own in pairs:
            own.detach().copy_(value.detach())
