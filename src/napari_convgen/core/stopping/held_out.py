"""Entries left out of the fit tell when it begins to fit the noise, and how good the image is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from napari_convgen.core.problem import ErrorWeights, Problem, squared
from napari_convgen.core.snapshot import Outcome, Output, StopReason
from napari_convgen.core.stopping.ensemble import local_variance, variance_between
from napari_convgen.core.stopping.entries import MIDDLE_SIDE, draw_entries, draw_groups, draw_squares, square_size
from napari_convgen.core.stopping.paired import MAX_PAIRED, PairedErrors
from napari_convgen.core.stopping.residual import noise_level_error
from napari_convgen.core.stopping.rule import ErrorEstimate, Iterate, Judgment, Members, is_over, plain_members

N_ERRORS = 2
"""Standard errors within which a step cannot be told from the best."""

TOO_GOOD = (
    "Pixels left out of the fit are predicted better than their noise allows: it is weaker than estimated, or correlated. "
    "So the error of the image cannot be estimated."
)

N_BINS = 16
"""Number of groups of pixels with similar variance between members, over which errors are averaged to calibrate the variance."""


class HeldOut:
    """Leave a random share of the entries of the measurement out of each member's loss and watch the error there.

    Entries are pixels where the image itself is measured; an operator can say which entries are measured, and so left out, together
    (lines of k-space, projections). While structure is being fitted, the error at the entries left out falls with the loss; once noise
    is being fitted it rises, provided that the noise of one entry says nothing of another's. Members leave different entries out, so
    that the image, their mean, has seen every entry, and their errors are pooled. Steps whose error is within two standard errors of the
    least cannot be told from it; the standard error is that of the paired difference, entry by entry, between the two steps, so that the
    noise common to both drops out.

    For denoising, how good the image is follows without a reference. Let ``s`` be the influence of a pixel's own value on its fitted
    value. A smoother's residual is ``1 - s`` times what it would be had the pixel been left out (the identity under generalized
    cross-validation). What one member has left out others have seen: their residuals at the very same pixels give ``s``. The residual of
    all pixels, over ``(1 - s)²`` and less the noise variance σ², is then the error ``e`` of a member at pixels left out, better known
    than from these few alone; where a pixel was seen it is ``s² σ² + (1 - s)² e``. The mean over K members has less, by the mean
    square of their distances to it (the ambiguity decomposition). Where the images are mixed with guides, the image that is shown has seen
    all pixels: its own residuals at the very same pixels give its ``s``, and its error is ``s² σ² + (1 - s)² e``. If the guide's ``s`` was
    measured with a probe, its error is its mean squared residual less ``(1 - 2 s) σ²`` (Stein's estimate). The image's ``s`` is that of the
    guide and what mixing changes, which pixels left out tell: what was added to the guides there, by members that have seen them less by
    those that have not, is proportional to what their guides lacked. Where the members' variance is larger, so is the error: the pixels
    left out tell by how much. All these means are weighted so that they are of the image in the user's units, and σ² is that of the pixels
    they are of, see `napari_convgen.core.problem.ErrorWeights`.

    Of the steps that cannot be told from that of the least error at entries left out, the one of the least estimate is kept, which rests
    on all pixels; where there is none, the latest within one standard error. Where the images are mixed with guides it is the latest, too:
    a generator that has been fitted longer adds more to them. Through an operator, a generator alone keeps the step of the least error:
    what a blur hides of the noise in fine structure does not raise the error of held-out entries, so that the latest step as good can be
    far too late (chosen by ``benchmarks/inverse.py stop --tune``). A guided network is not evaluated before it has its guide.

    Parameters
    ----------
    fraction
        Share of the entries that each member leaves out, between 0 and 1, all channels of an entry together.
    size
        Side in pixels of the squares (cubes in a volume) that are left out together, at least 1. With correlated noise, a
        pixel left out alone could be guessed from its neighbors' noise, and the error would not rise. ``"auto"`` takes 1 for
        white noise and otherwise enough for the middle of a square to be all but out of the noise's reach: larger squares are
        hard to predict even for a good image, and stop too early. Of squares only the 3 pixels in the middle of each axis are watched.
    patience, min_patience
        Numbers from 0. The fit ends at step ``t`` once ``t > t_min (1 + patience) + min_patience``, with ``t_min`` the step of the least
        error or, if that is later, of the least estimate.
    output
        Kind of image that is watched, ``"average"`` or ``"iterate"``: the kind that is kept.

    References
    ----------
    Held-out pixels as a stop: Wang et al., "Early Stopping for Deep Image Prior", TMLR 2023, section 2; Batson and Royer,
    "Noise2Self", ICML 2019, on what pixel-wise independent noise implies. Craven and Wahba, "Smoothing noisy data with spline
    functions", Numer. Math. 31, 1979. Krogh and Vedelsby, "Neural network ensembles, cross validation, and active learning", NIPS 1994.
    """

    needs_identity = False

    MIN_WATCHED = 128
    """Number of pixels in the middle of squares that is enough for an estimate; with fewer, single pixels are left out."""

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
        self._is_settled: dict[int, bool] = {}
        self._is_mixed = False
        self._estimates: dict[int, _Estimate] = {}

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Draw the entries that each member leaves out."""
        observed = (problem.weights > 0).any(0).flatten().cpu()
        shape, fraction = problem.measurement.shape[1:], min(self.fraction, 1 / n_seeds)
        groups = problem.forward_model.entry_groups
        if groups is not None:
            self.size = 1
            left_out = watched = draw_groups(observed, groups.flatten().cpu(), fraction, n_seeds, rng)
        else:
            left_out, watched = self._draw(problem, observed, fraction, n_seeds, rng)
        for seen in watched:
            places = (observed & seen).nonzero().squeeze(1)
            self._watched.append(places[torch.randperm(len(places), generator=rng)].to(problem.weights.device))
        members = plain_members(problem, n_seeds)
        for weights, out in zip(members.weights, left_out, strict=True):
            weights *= ~out.view(shape).to(weights.device)
        is_watched = torch.stack([seen.view(shape).to(problem.weights.device) for seen in watched])
        return replace(members, watched=is_watched[:, None] & (problem.weights > 0))

    def _draw(
        self, problem: Problem, observed: Tensor, fraction: float, n_seeds: int, rng: torch.Generator
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Draw squares for correlated noise if they leave enough to watch, otherwise single entries."""
        n_least = 1
        if self.size == "auto":
            self.size = square_size(problem.correlation_length)
            n_least = self.MIN_WATCHED
        left_out, watched = draw_squares(problem.measurement.shape[1:], self.size, fraction, n_seeds, rng)
        if self.size == 1 or any(
            (observed & seen).sum() < n_least or not (observed & ~out).any()
            for out, seen in zip(left_out, watched, strict=True)
        ):
            self.size = 1
            left_out = watched = draw_entries(observed, fraction, n_seeds, rng)
        return left_out, watched

    def begin(self, problem: Problem, members: Members) -> None:
        """Note which entries are left out."""
        self._problem = problem
        self._seen = members.weights
        self._n_observed = int((problem.weights > 0).any(0).sum())
        self._share = 1 - float(self._seen.sum() / (len(self._seen) * problem.weights.sum()))
        weights = problem.weights.flatten(1)
        self._weights = torch.cat([weights[:, places] for places in self._watched], 1)
        n_paired = MAX_PAIRED // len(self._watched)
        lengths = [len(places) for places in self._watched]
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        self._paired = torch.cat(
            [torch.arange(start, start + min(n_paired, n)) for start, n in zip(starts, lengths, strict=True)]
        ).to(weights.device)
        self._places = torch.cat(self._watched)[self._paired]
        self._n_seen = self._seen.amax(1).flatten(1)[:, self._places].sum(0).cpu()

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the mean squared error over the entries held out, each predicted by the member that has not seen it."""
        residual = self._problem.residual(iterate.images(self.output)).flatten(2)
        unseen = torch.cat([residual[i][:, places] for i, places in enumerate(self._watched)], 1)
        errors = self._weights * squared(unseen)
        if iterate.is_snapshot:
            self._errors.add(iterate.step, (errors.sum(0) / self._weights.sum(0))[self._paired])
            self._is_settled[iterate.step], self._is_mixed = iterate.is_settled, iterate.correction is not None
            # In the middle of a square a guide is worse than where it has seen the image: what is left out says nothing of the rest.
            can_tell = self.size == 1 or not self._is_mixed
            if iterate.is_settled and can_tell and self._problem.noise_level is not None and self._problem.is_denoising:
                self._estimates[iterate.step] = self._estimate(iterate)
        return errors.sum() / self._weights.sum()

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Take the snapshot of the least error; end once it lies far enough back."""
        self._errors.keep(steps)
        self._is_settled = {step: self._is_settled[step] for step in steps}
        self._estimates = {step: self._estimates[step] for step in steps if step in self._estimates}
        steps = [step for step in steps if self._is_settled[step]] or list(steps)
        best = latest = self._errors.least(steps)
        as_good = self._errors.as_good_as(best, steps, N_ERRORS)
        is_estimated = self.size == 1 and bool(self._estimates) and not self._is_mixed
        if is_estimated:
            kept = min(as_good, key=lambda step: self._estimates[step].mse)
            latest = max(best, kept)
            choice = f"step {kept} has the least estimated error of the whole image among those as good"
        elif self._is_mixed or self._problem.is_denoising:
            kept = self._errors.as_good_as(best, steps)[-1]
            choice = f"step {kept} is the latest within one standard error of it"
        else:
            kept, choice = best, "it is kept"
        estimate = self._estimates.get(kept)
        latest_estimate = self._estimates.get(steps[-1])
        warnings = (TOO_GOOD,) if estimate is not None and estimate.is_too_good else ()
        reason = None
        if self._is_settled[steps[-1]] and is_over(steps[-1], latest, self.patience, self.min_patience):
            squares = "" if self.size == 1 else f" (squares of {self.size}, for correlated noise)"
            sentence = (
                f"The error at pixels left out of the fit{squares} was least at step {best} and has not improved by step {steps[-1]}; "
                f"{choice}."
            )
            reason = StopReason(Outcome.RULE, sentence)
        return Judgment(
            kept,
            reason,
            (as_good[0], as_good[-1]),
            None if estimate is None else estimate.error,
            None if latest_estimate is None else latest_estimate.calibration,
            {},
            warnings,
        )

    def _estimate(self, iterate: Iterate) -> _Estimate:
        """Estimate the error of the image, and how it depends on the members' variance; neither if the noise level is wrong."""
        images, scale = iterate.images(self.output), self._problem.error_weights_at(iterate.image(self.output))
        errors = scale.weights * self._problem.residual(images) ** 2
        left_out, weights = self._left_out(errors).sum(0).cpu(), self._at_places(scale.weights)
        if not (scale.unit > 0 and left_out.any()):  # background alone, or an image without noise, fitted exactly
            return _Estimate(0.0)
        noise = scale.mean(scale.noise_variance)
        mean = float(left_out.mean() / weights.mean())
        of_mean = self._errors.standard_error(left_out - mean * weights) / float(weights.mean())
        n = len(images)
        distance = 0.0 if n == 1 else scale.mean(variance_between(images)) * (1 - 1 / n)
        if self.size == 1:
            residual, there, share = self._seen_errors(iterate, errors, scale)
            distance *= iterate.correction is None
            ratio = min(1.0, max(1e-12, float(there.mean() / left_out.mean())))
            influence, unseen = 1 - math.sqrt(ratio), residual / ratio - noise
            where_seen = influence**2 * noise + ratio * unseen
            mse = share * unseen + (1 - share) * where_seen - distance
            if iterate.influence is not None:
                influence = scale.mean(scale.noise_variance * iterate.influence) / noise if noise else 0.0
                influence += self._added_influence(iterate, scale)
                mse, unseen = residual - noise + 2 * influence * noise, residual
            of_ratio = self._errors.standard_error(there - ratio * left_out) / float(left_out.mean())
            of_residual = of_mean * math.sqrt(len(left_out) / self._n_observed)
            deviation = math.hypot(of_residual, residual * of_ratio / ratio)
        else:  # only the middle of squares is watched: what residuals say of single pixels does not carry over to it
            n_correlated = MIDDLE_SIDE ** (
                images.ndim - 2
            )  # pixels in the middle of a square have about the same noise
            influence, unseen, deviation = 0.0, mean - noise, of_mean * math.sqrt(n_correlated)
            mse = unseen - distance
        if unseen <= 0:
            return _Estimate(scale.unit * mse, is_too_good=True)
        deviation = math.hypot(deviation, 2 * noise_level_error(self._problem) * abs(1 - 2 * influence) * noise)
        estimated = max(mse, 0.1 * deviation)
        calibration = None
        if n > 1:
            variance, noise_there = local_variance(images), self._at_places(scale.weights * scale.noise_variance)
            calibration = _calibrate(
                self._at_places(scale.weights * variance),
                left_out - noise_there,
                weights,
                estimated,
                scale.mean(variance),
            )
        return _Estimate(scale.unit * mse, ErrorEstimate(scale.unit * estimated, scale.unit * deviation), calibration)

    def _seen_errors(self, iterate: Iterate, errors: Tensor, scale: ErrorWeights) -> tuple[float, Tensor, float]:
        """Return the mean squared residual of seen pixels, that at the pixels left out where others have seen them, and the share left out.

        Images that are mixed with guides are shown with what they lack together, and so have seen all pixels.
        """
        if iterate.correction is not None:
            shown = self._problem.residual(iterate.image(self.output))
            seen = self._problem.weights * scale.weights * shown**2
            return float(seen.sum()), self._at_places(seen), 0.0
        seen = self._seen * errors
        residual = float(seen.sum() / (self._seen * scale.weights).sum())
        if not self._n_seen.all():  # there are no others: that of all pixels
            return residual, residual * self._at_places(scale.weights), self._share
        return residual, self._at_places(seen.sum(0)) / self._n_seen, self._share

    def _added_influence(self, iterate: Iterate, scale: ErrorWeights) -> float:
        """Return how much more a pixel changes with its own noise in the images than in the guides they are mixed with."""
        if iterate.guides is None or not self._n_seen.all():
            return 0.0
        added = iterate.images(self.output) - iterate.guides
        seen = (self._seen * added).sum(0).flatten(1)[:, self._places] / self._n_seen.to(added)
        lacking, weights = self._left_out(self._problem.residual(iterate.guides)), scale.weights.flatten(1)
        lacking_there = weights[:, self._places] * lacking
        total = float((lacking_there * lacking).sum())
        return float((lacking_there * (self._left_out(added) - seen)).sum()) / total if total else 0.0

    def _left_out(self, values: Tensor) -> Tensor:
        """Return the values of the members at the pixels that each has left out."""
        of_members = zip(values.flatten(2), self._watched, strict=True)
        return torch.cat([each[:, places] for each, places in of_members], 1)[:, self._paired]

    def _at_places(self, values: Tensor) -> Tensor:
        """The sum over the channels at the pixels left out."""
        return values.flatten(1)[:, self._places].sum(0).cpu()


@dataclass(frozen=True)
class _Estimate:
    """Estimated error of an image in the user's units squared, below 0 if the noise level is too high, and what is shown of it."""

    mse: float
    error: ErrorEstimate | None = None
    calibration: tuple[float, float] | None = None
    is_too_good: bool = False
    """True if entries left out are predicted better than the level of the noise allows."""


def _calibrate(
    variance: Tensor, errors: Tensor, weights: Tensor, mse: float, mean_variance: float
) -> tuple[float, float]:
    """Fit ``errors = slope variance + offset``, neither below zero, over bins of similar variance; the image's mean is set to ``mse``.

    Parameters
    ----------
    variance, errors, weights
        Variance between members, squared error and error weight of each pixel left out; the first two are weighted.
    mse, mean_variance
        Weighted means of the squared error and of the variance over the image.
    """
    counts = weights > 0
    variance, errors, weights = (x[counts].double() for x in (variance, errors, weights))
    bins = [part for part in (variance / weights).argsort().tensor_split(N_BINS) if len(part)]
    x, y, w = (torch.stack([values[part].sum() for part in bins]) for values in (variance, errors, weights))
    x, y, w = x / w, y / w, w / w.sum()
    mean, total = max(float(w @ x), 1e-30), max(float(w @ y), 1e-30)
    dx = x - mean
    slope = float((w * dx) @ (y - total)) / max(float((w * dx) @ dx), 1e-30)
    share = min(max(slope * mean / total, 0.0), 1.0)  # of the error that goes with the variance
    return share * mse / max(mean_variance, 1e-30), (1 - share) * mse
