"""Pixels left out of the fit tell when it starts to draw noise, and how good the image is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from napari_convgen.core.ensemble import local_variance, variance_between
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, Output, StopReason
from napari_convgen.core.stopping.paired import MAX_PAIRED, PairedErrors
from napari_convgen.core.stopping.residual import noise_level_error
from napari_convgen.core.stopping.rule import ErrorEstimate, Iterate, Judgment, Members, is_over, plain_members

MIN_SQUARE = 5
"""Side in pixels of a square that has a middle of 3 pixels which is not at its border."""

N_BINS = 16
"""Groups of like pixels over which errors are averaged to be held against the members' variance."""


class HeldOutPixels:
    """Leave a random share of the pixels out of each member's loss and watch the error there.

    While structure is being drawn, the error at the pixels left out falls with the loss; once noise is being drawn it rises, provided
    that the noise of one pixel says nothing of its neighbor's. Members leave different pixels out, so that the image, their
    mean, has seen every pixel, and their errors are pooled. The step kept is the latest one whose error is within one
    standard error of the least; the standard error is that of the paired difference, pixel by pixel, between the two steps,
    so that the noise common to both drops out.

    How good the image is follows without a reference. Let ``s`` be the influence of a pixel's own value on its fitted value.
    A smoother's residual is ``1 - s`` times what it would be had the pixel been left out (the identity under generalized
    cross-validation). What one member has left out others have seen: their residuals at the very same pixels give ``s``. The residual of
    all pixels, over ``(1 - s)²`` and less the noise variance σ², is then the error ``e`` of a member at pixels left out, better known
    than from these few alone; where a pixel was seen it is ``s² σ² + (1 - s)² e``. The mean over K members has less, by the mean
    square of their distances to it (the ambiguity decomposition). Where the members' variance is larger, so is the error:
    the pixels left out tell by how much. All these means are weighted so that they are of the image in the user's units, and σ² is that of
    the pixels they are of, see `napari_convgen.core.problem.Problem.at`.

    Parameters
    ----------
    fraction
        Share of the pixels that each member leaves out, all channels of a pixel together.
    size
        Side in pixels of the squares (cubes in a volume) that are left out together. Where the noise of neighbors is alike, a
        pixel left out alone could be guessed from its neighbors' noise, and the error would not rise. ``"auto"`` takes 1 for
        white noise and otherwise enough for the middle of a square to be all but out of the noise's reach: larger squares are
        hard to foretell even for a good image, and stop too early. Of squares only the 3 pixels in the middle of each axis are watched.
    patience, min_patience
        The fit ends at step ``t`` once ``t > t_min (1 + patience) + min_patience``, with ``t_min`` the step of the least error.
    output
        Which image is watched: the one that is kept.

    References
    ----------
    Held-out pixels as a stop: Wang et al., "Early Stopping for Deep Image Prior", TMLR 2023, section 2; Batson and Royer,
    "Noise2Self", ICML 2019, on what pixel-wise independent noise implies. Craven and Wahba, "Smoothing noisy data with spline
    functions", Numer. Math. 31, 1979. Krogh and Vedelsby, "Neural network ensembles, cross validation, and active learning", NIPS 1994.
    """

    MIN_WATCHED = 128
    """Pixels in the middle of squares that are enough to judge by; with fewer, single pixels are left out."""

    def __init__(
        self, fraction: float, size: Literal["auto"] | int, patience: float, min_patience: int, output: Output
    ) -> None:
        self.fraction = fraction
        self.size = size
        self.patience = patience
        self.min_patience = min_patience
        self.output = output
        self._watched: list[Tensor] = []
        self._errors = PairedErrors()
        self._evidence: dict[int, _Evidence] = {}

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Draw the pixels that each member leaves out."""
        observed = (problem.weights > 0).any(0).flatten().cpu()
        shape, fraction = problem.measurement.shape[1:], min(self.fraction, 1 / n_seeds)
        n_least = 1
        if self.size == "auto":
            self.size = _square_size(problem.correlation_length)
            n_least = self.MIN_WATCHED
        left_out, watched = _draw_squares(shape, self.size, fraction, n_seeds, rng)
        if self.size == 1 or any(
            (observed & seen).sum() < n_least or not (observed & ~out).any()
            for out, seen in zip(left_out, watched, strict=True)
        ):
            self.size = 1
            left_out = watched = _draw_pixels(observed, fraction, n_seeds, rng)
        for seen in watched:
            places = (observed & seen).nonzero().squeeze(1)
            self._watched.append(places[torch.randperm(len(places), generator=rng)].to(problem.weights.device))
        members = plain_members(problem, n_seeds)
        for weights, out in zip(members.weights, left_out, strict=True):
            weights *= ~out.view(shape).to(weights.device)
        return members

    def begin(self, problem: Problem, members: Members) -> None:
        """Note what is to be seen at the pixels left out."""
        self._problem = problem
        self._seen = members.weights
        self._n_observed = int((problem.weights > 0).any(0).sum())
        self._share = 1 - float(self._seen.sum() / (len(self._seen) * problem.weights.sum()))
        target, weights = problem.measurement.flatten(1), problem.weights.flatten(1)
        self._target = torch.cat([target[:, places] for places in self._watched], 1)
        self._weights = torch.cat([weights[:, places] for places in self._watched], 1)
        n_paired = MAX_PAIRED // len(self._watched)
        lengths = [len(places) for places in self._watched]
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        self._paired = torch.cat(
            [torch.arange(start, start + min(n_paired, n)) for start, n in zip(starts, lengths, strict=True)]
        ).to(target.device)
        self._places = torch.cat(self._watched)[self._paired]

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the mean squared error over the pixels held out, each in the image of the member that has not seen it."""
        images = iterate.images(self.output).flatten(2)
        unseen = torch.cat([images[i][:, places] for i, places in enumerate(self._watched)], 1)
        errors = self._weights * (unseen - self._target) ** 2
        if iterate.is_snapshot:
            self._errors.add(iterate.step, (errors.sum(0) / self._weights.sum(0))[self._paired])
            if iterate.is_settled and self._problem.noise_level is not None:
                self._look_at_all(iterate)
        return errors.sum() / self._weights.sum()

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Take the snapshot of the least error; end once that, and the least error at pixels left out, lie far enough back."""
        self._errors.keep(steps)
        self._evidence = {step: self._evidence[step] for step in steps if step in self._evidence}
        best = self._errors.least()
        as_good = self._errors.as_good_as(best)
        is_estimated = self.size == 1 and bool(self._evidence)
        kept = min(self._evidence, key=self._estimated_mse) if is_estimated else as_good[-1]
        interval = (min(as_good[0], kept), max(as_good[-1], kept))
        error, calibration = self._estimate_error(kept)
        warnings: tuple[str, ...] = ()
        if error is None and kept in self._evidence:
            warnings = (
                "Pixels left out of the fit are foretold better than their noise allows: it is less than it was taken for, or alike in "
                "neighbors. So the error of the image cannot be told.",
            )
        if not is_over(steps[-1], max(best, kept), self.patience, self.min_patience):
            return Judgment(kept, None, interval, error, calibration, {}, warnings)
        squares = "" if self.size == 1 else f" (squares of {self.size}, as the noise of neighbors is alike)"
        why = "has the least estimated error" if is_estimated else "is the latest within one standard error of it"
        sentence = (
            f"The error at pixels left out of the fit{squares} was least at step {best} and has not improved by step {steps[-1]}; "
            f"step {kept} {why}."
        )
        return Judgment(kept, StopReason(Outcome.RULE, sentence), interval, error, calibration, {}, warnings)

    def _look_at_all(self, iterate: Iterate) -> None:
        """Note what the pixels seen and those left out tell of the error, and how much the members differ."""
        images = iterate.images(self.output)
        local = self._problem.at(iterate.image(self.output))
        errors = local.weights * (images - self._problem.measurement) ** 2
        left_out = torch.cat([errors[i].flatten(1)[:, places] for i, places in enumerate(self._watched)], 1)
        left_out = left_out.sum(0)[self._paired].cpu()
        if not left_out.any():  # an image without noise, drawn to the last bit, or one of background alone
            return
        seen, mean_unit, unit = self._seen * errors, float(local.weights.sum()), self._at_places(local.weights)
        residual = float(seen.sum() / (self._seen * local.weights).sum()) * mean_unit
        n_seen = self._seen.amax(1).flatten(1)[:, self._places].sum(0).cpu()
        distance, variance = 0.0, None
        if (n := len(images)) > 1:
            distance = float((local.weights * variance_between(images)).sum()) * (1 - 1 / n)
            variance = self._at_places(local.weights * local_variance(images))
        self._evidence[iterate.step] = _Evidence(
            left_out=left_out,
            # of the same pixels, where other members have seen them, or of all if there are no others
            seen=self._at_places(seen.sum(0)) / n_seen if n_seen.all() else residual / mean_unit * unit,
            noise=self._at_places(local.weights * local.noise_variance),
            unit=unit,
            variance=variance,
            residual=residual,
            mean_noise=float((local.weights * local.noise_variance).sum()),
            mean_unit=mean_unit,
            distance=distance,
        )

    def _at_places(self, values: Tensor) -> Tensor:
        """The sum over the channels at the pixels left out."""
        return values.flatten(1)[:, self._places].sum(0).cpu()

    def _estimated_mse(self, step: int) -> float:
        """Of the image; below 0 if the noise level is wrong."""
        look = self._evidence[step]
        where_seen = look.influence**2 * look.mean_noise + look.ratio * look.unseen
        return self._share * look.unseen + (1 - self._share) * where_seen - look.distance

    def _estimate_error(self, step: int) -> tuple[ErrorEstimate | None, tuple[float, float] | None]:
        """Return the error of the kept image, and how it depends on the members' variance; nothing if the noise level is wrong."""
        if step not in self._evidence:
            return None, None
        look = self._evidence[step]
        scale = look.mean_unit / float(look.unit.mean())
        mean = float(look.left_out.mean()) * scale
        deviation = scale * self._errors.standard_error(look.left_out - mean / look.mean_unit * look.unit)
        if self.size == 1:
            unseen, mse, influence = look.unseen, self._estimated_mse(step), look.influence
            of_ratio = self._errors.standard_error(look.seen - look.ratio * look.left_out) / float(look.left_out.mean())
            of_residual = deviation * math.sqrt(len(look.left_out) / self._n_observed)
            deviation = math.hypot(of_residual, look.residual * of_ratio / look.ratio)
        else:  # only the middle of squares is watched: what residuals say of single pixels does not carry over to it
            unseen = mean - look.mean_noise
            mse, influence = unseen - look.distance, 0.0
        if unseen <= 0:
            return None, None
        of_level = 2 * noise_level_error(self._problem) * abs(1 - 2 * influence) * look.mean_noise
        deviation = math.hypot(deviation, of_level)
        estimate = ErrorEstimate(max(mse, 0.1 * deviation), deviation)
        return estimate, _calibrate(look, estimate.mse)


@dataclass(frozen=True, eq=False)
class _Evidence:
    """Of a snapshot, in the user's units squared: what each pixel left out adds to the mean, and means over the whole image."""

    left_out: Tensor
    """Squared error of the member that has not seen it,"""
    seen: Tensor
    """of those that have,"""
    noise: Tensor
    """variance of the noise,"""
    unit: Tensor
    """a square of one in the generator's units,"""
    variance: Tensor | None
    """and the members' variance around it, if there are several."""
    residual: float
    """Squared error of the pixels seen,"""
    mean_noise: float
    """variance of the noise,"""
    mean_unit: float
    """a square of one in the generator's units,"""
    distance: float
    """and squared distance of the members from their mean."""

    @property
    def ratio(self) -> float:
        """How much smaller squared residuals are where pixels are seen."""
        return min(1.0, max(1e-12, float(self.seen.mean() / self.left_out.mean())))

    @property
    def influence(self) -> float:
        """Of a pixel's own value on its fitted value."""
        return 1 - math.sqrt(self.ratio)

    @property
    def unseen(self) -> float:
        """Squared error of a member at pixels left out, from the residual of all."""
        return self.residual / self.ratio - self.mean_noise


def _square_size(correlation_length: int) -> int:
    """Return the side of the squares whose middle the noise around hardly reaches; 1 for white noise."""
    return 1 if correlation_length == 1 else max(MIN_SQUARE, 2 * correlation_length - 1)


def _calibrate(look: _Evidence, mse: float) -> tuple[float, float] | None:
    """Fit ``errors = slope variance + offset``, neither below zero, over bins of like variance, and scale it to the mean ``mse``."""
    if look.variance is None:
        return None
    counts = look.unit > 0
    unit, variance, errors = (x[counts].double() for x in (look.unit, look.variance, look.left_out - look.noise))
    bins = [part for part in (variance / unit).argsort().tensor_split(N_BINS) if len(part)]
    weights, x, y = (torch.stack([values[part].sum() for part in bins]) for values in (unit, variance, errors))
    x, y, weights = x / weights, y / weights, weights / weights.sum()
    mean, total = float(weights @ x), max(float(weights @ y), 1e-30)
    dx = x - mean
    slope = float((weights * dx) @ (y - total)) / max(float((weights * dx) @ dx), 1e-30)
    mean = max(mean, 1e-30)
    share = min(max(slope * mean / total, 0.0), 1.0)  # of the error that goes with the variance
    return share * mse / (look.mean_unit * mean), (1 - share) * mse / look.mean_unit


def _draw_pixels(observed: Tensor, fraction: float, n_sets: int, rng: torch.Generator) -> list[Tensor]:
    """Draw disjoint sets of single pixels: of those observed, each at least one and not all."""
    places = observed.nonzero().squeeze(1)
    places = places[torch.randperm(len(places), generator=rng)]
    n = min(max(1, round(fraction * len(places))), max(1, len(places) - 1))
    sets = []
    for i in range(n_sets):
        drawn = torch.zeros_like(observed)
        drawn[places[torch.arange(i * n, (i + 1) * n) % len(places)]] = True
        sets.append(drawn)
    return sets


def _draw_squares(
    shape: Sequence[int], size: int, fraction: float, n_sets: int, rng: torch.Generator
) -> tuple[list[Tensor], list[Tensor]]:
    """Draw disjoint sets of squares of a shifted grid; return the pixels in them, and those in their middle."""
    lot = torch.rand([n // size + 2 for n in shape], generator=rng, dtype=torch.float64)
    middle = torch.ones([], dtype=torch.bool)
    for axis, n in enumerate(shape):
        shift = int(torch.randint(size, (), generator=rng))
        position = torch.arange(n) + shift
        lot = lot.index_select(axis, position // size)
        middle = middle[..., None] & ((position % size - (size - 1) / 2).abs() <= 1)
    left_out = [((lot >= i * fraction) & (lot < (i + 1) * fraction)).flatten() for i in range(n_sets)]
    return left_out, [out & middle.flatten() for out in left_out]
