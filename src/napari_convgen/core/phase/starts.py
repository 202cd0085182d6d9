"""Several starts of a fit of phase, evaluated by entries of the images that none has seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.operators.forward_model import ForwardModel
from napari_convgen.core.phase.calibration import N_COARSE, SPREAD, Calibration, Estimate
from napari_convgen.core.stopping.entries import draw_entries, draw_groups

SHARE = 0.1
"""Share of the entries that are held out: few enough to leave the problem what it is. Our choice, no benchmark."""

CLEARLY = 3.0
"""Standard errors by which entries must be predicted worse for a start to be rejected: by chance one in a thousand is."""

SAME = 0.95
"""Correlation above which two phases are the same, since they share the noise: in benchmarks/inverse.py, at 50 photons, starts that found
the same aberrations have one of 0.96 and more, and false ones up to 0.91."""

ALREADY_FOUND = 0.98
"""Correlation of a phase with that of an earlier start, once the noise counts as it is, at which a start ends: it is on the way there."""

WORST = 1.3
"""Mean squared residual at held-out entries, relative to the variance of their noise, above which the images are not explained: the
variance is estimated to about a tenth."""


@dataclass(frozen=True, eq=False)
class Start:
    """A start at its end.

    Attributes
    ----------
    estimate
        Object and parameters.
    error
        Mean squared residual at held-out entries, relative to the variance of their noise.
    excess
        Excess of the squared residuals over the best start's in standard errors: at held-out entries, or at the others if it is larger
        there, since all starts have the same freedom to fit them.
    likeness
        Correlation of its phase with that of the best start.
    """

    estimate: Estimate
    error: float
    excess: float
    likeness: float

    @property
    def is_same(self) -> bool:
        """True if it found the phase of the best start, whether or not it has settled as well."""
        return self.likeness >= SAME

    @property
    def is_rejected(self) -> bool:
        """True if it found another phase, which explains the images clearly worse."""
        return not self.is_same and self.excess > CLEARLY


@dataclass(frozen=True, eq=False)
class Verdict:
    """What several starts came to.

    Attributes
    ----------
    starts
        The starts, in their order.
    twin
        The conjugate twin of the best, once it was fitted itself.
    best
        Number of the best start.
    """

    starts: tuple[Start, ...]
    twin: Start
    best: int

    @property
    def estimate(self) -> Estimate:
        """Object and parameters of the best start."""
        return self.starts[self.best].estimate

    @property
    def n_rejected(self) -> int:
        """Number of starts that were rejected."""
        return sum(start.is_rejected for start in self.starts)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Sentences on why the phase may be wrong; none for one that can be trusted."""
        best = self.starts[self.best]
        others = [start for i, start in enumerate(self.starts) if i != self.best]
        doubts = []
        if best.error > WORST:
            doubts.append(
                f"The images are not explained: those held out are predicted to {math.sqrt(best.error):.2g} times their noise. The "
                "phase may be wrong. Check the aperture, the wavelength, the pixel size and the distances of the planes."
            )
        if not (self.twin.is_rejected or self.twin.is_same):
            doubts.append(
                "The sign of the phase is not certain: the negative phase explains the images as well. Check the order of the planes, and "
                "measure more of them, or with more light."
            )
        if not all(start.is_same or start.is_rejected for start in others):
            doubts.append(
                "The phase is not certain: starts that explain the images as well have another one. Measure more images, or with more "
                "light, or free fewer aberrations."
            )
        elif not any(start.is_same for start in others):
            doubts.append("The phase is not certain: a single start has found it. Try more starts (operator.n_starts).")
        return tuple(doubts)


def hold_out(model: ForwardModel, is_observed: Tensor, rng: torch.Generator) -> Float[Tensor, "1 k rows columns"]:
    """Return 1 at entries that are held out, 0 at others: whole images where the model has groups.

    Parameters
    ----------
    model
        Forward model of the images.
    is_observed
        True at entries that were measured, in their shape.
    rng
        Source of chance on the CPU.
    """
    observed = is_observed.any(0).flatten().cpu()
    if model.entry_groups is None:
        [drawn] = draw_entries(observed, SHARE, 1, rng)
    else:
        [drawn] = draw_groups(observed, model.entry_groups.flatten(), SHARE, 1, rng)
    return drawn.view(1, *model.out_shape[1:]).float()


def try_starts(
    calibration: Calibration,
    is_observed: Float[Tensor, "1 k rows columns"],
    is_out: Float[Tensor, "1 k rows columns"],
    rngs: Sequence[torch.Generator],
    spread: float = SPREAD,
) -> Iterator[Estimate | Verdict]:
    """Yield estimates as they get better, of one start after the other and of the best one's twin, and in the end the verdict.

    Parameters
    ----------
    calibration
        Fits to the images.
    is_observed
        1 at entries that were measured.
    is_out
        1 at those of them that are held out.
    rngs
        Source of chance of each start.
    spread
        Standard deviation of the starts' aberrations; default `SPREAD`.
    """
    out = is_out.to(calibration.measurement)
    seen = is_observed.to(out) * (1 - out)
    view = calibration.imaging.view
    ends: list[Estimate] = []
    errors = []
    for rng in rngs:
        estimate = calibration.start(rng, spread)
        for number, better in enumerate(calibration.improve(estimate, seen), 1):
            estimate = better
            yield estimate
            if number > N_COARSE and any(_likeness(estimate, end, view) >= ALREADY_FOUND for end in ends):
                break
        ends.append(estimate)
        errors.append(calibration.errors(estimate))
    best = int(torch.stack([each[out > 0].mean() for each in errors]).argmin())
    twin = ends[best].twin(calibration.imaging)
    for better in calibration.improve(twin, seen, stronger=1.0):
        twin = better
        yield ends[best]

    def start(estimate: Estimate, own: Tensor) -> Start:
        excess = own - errors[best]
        likeness = 1.0 if estimate is ends[best] else _likeness(estimate, ends[best], view)
        worst = max(_standard_errors(excess[is_in]) for is_in in (out > 0, seen > 0))
        return Start(estimate, float(own[out > 0].mean()), worst, likeness)

    starts = tuple(start(*each) for each in zip(ends, errors, strict=True))
    yield Verdict(starts, start(twin, calibration.errors(twin)), best)


def _likeness(one: Estimate, other: Estimate, view: tuple[slice, slice]) -> float:
    """Return the correlation of the phases of two estimates, where images show them."""
    pair = torch.stack([each.image[0][view].flatten() for each in (one, other)])
    return float(torch.corrcoef(pair)[0, 1])


def _standard_errors(excess: Float[Tensor, "n"]) -> float:
    """Return the sum of differences in units of its standard error."""
    return float(excess.sum() / (excess.std() * len(excess) ** 0.5).clamp_min(1e-12))
