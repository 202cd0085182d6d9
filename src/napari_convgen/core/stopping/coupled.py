"""One noisy measurement is split into two with independent noise: one is fitted, the other evaluates the fit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_convgen.core.problem import Problem, squared
from napari_convgen.core.snapshot import Outcome, Output, StopReason
from napari_convgen.core.stopping.curve import Curve
from napari_convgen.core.stopping.ensemble import variance_between
from napari_convgen.core.stopping.residual import noise_level_error, noise_variance, required_noise_level, weighted_mean
from napari_convgen.core.stopping.rule import ErrorEstimate, Iterate, Judgment, Members, is_over, plain_members


class CoupledSplit:
    r"""Fit one half of a split measurement, estimate the error at every step with the other, and keep the step where it is least.

    *Gaussian noise.* With :math:`w \sim N(0, \sigma^2)`, the noise of :math:`y + aw` is independent of that of :math:`y - w/a`. A member
    :math:`x` that is fitted to the first predicts the measurement with the mean squared error
    :math:`E\,\|A(x) - (y - w/a)\|^2/n - \sigma^2 (1 + 1/a^2)`; as :math:`w` is known, the mean of :math:`w^2/a^2` is subtracted in the
    place of its expectation.

    *Counted events.* Each event goes to the fit with the probability ``share``, else to the evaluation: the two are independent Poisson
    images. In the generator's units, where the noise is the same everywhere, they have the same mean and 1/``share`` and
    1/(1 - ``share``) times the variance, but for a remainder at few counts.

    Members have a split each. Their mean has less error than they have, by the mean square of their distances to it.

    Every member has more noise to cope with, :math:`1 + a^2` or 1/``share`` times the variance. No pixel is left out. The noise must be
    white. The step is chosen by the error of the predicted measurement, for any operator.

    Parameters
    ----------
    output
        Kind of image that is evaluated, ``"average"`` (default) or ``"iterate"``: the kind that is kept.
    a
        Noise added to the fit, in noise levels, above 0; default 0.3. Little makes the evaluation inexact, much the fit.
    share
        Share of the events that are fitted, between 0 and 1; default 0.8.
    patience, min_patience
        Numbers from 0; defaults 0.4 and 100 steps. The fit ends at step ``t`` once
        ``t > t_min (1 + patience) + min_patience``, with ``t_min`` the step of the least estimate,
        averaged over `napari_convgen.core.stopping.curve.SMOOTHING` steps.

    References
    ----------
    Pang, Zheng, Quan and Ji, "Recorrupted-to-Recorrupted", CVPR 2021; Oliveira, Lei and Tibshirani, "Unbiased risk estimation in the
    normal means problem via coupled bootstrap techniques", 2021; of counts: Neufeld et al., "Data thinning for
    convolution-closed distributions", JMLR 2024. The mean of members: Krogh and Vedelsby, NIPS 1995.
    """

    needs_identity = False

    def __init__(
        self,
        output: Output = "average",
        a: float = 0.3,
        share: float = 0.8,
        patience: float = 0.4,
        min_patience: int = 100,
    ) -> None:
        self.output: Output = output
        self.a = a
        self.share = share
        self.patience = patience
        self.min_patience = min_patience
        self._curve = Curve()
        self._estimates: dict[int, ErrorEstimate | None] = {}

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Split the measurement anew for each member.

        Raises
        ------
        ConfigError
            There are no counts, and the noise level is not known.
        """
        plain = plain_members(problem, n_seeds)
        if problem.counts is not None and problem.from_counts is not None:
            fitted = self._split_counts(problem, problem.counts, n_seeds, rng)
            self._noise_share = 1 - self.share
        else:
            fitted = self._split_noise(plain, problem, rng)
            self._noise_share = 1.0
        variance = noise_variance(problem)
        self._noise_variance = None if variance is None else variance / self._noise_share
        fitted = torch.where(plain.weights > 0, fitted, plain.measurements)
        return Members(fitted, plain.weights, plain.starts, plain.is_kept)

    def _split_noise(self, plain: Members, problem: Problem, rng: torch.Generator) -> Tensor:
        level = required_noise_level(problem, "coupled")
        draw = torch.randn(plain.measurements.shape, generator=rng, dtype=torch.float64)
        noise = level * draw.to(plain.measurements)
        self._targets = plain.measurements - noise / self.a
        self._known = (noise / self.a) ** 2
        return plain.measurements + self.a * noise

    def _split_counts(self, problem: Problem, counts: Tensor, n_seeds: int, rng: torch.Generator) -> Tensor:
        assert problem.from_counts is not None
        counts = torch.where(problem.weights > 0, counts, 0).cpu().double().round().clamp_min(0)
        share = torch.full_like(counts, self.share)
        fitted, targets = [], []
        for _ in range(n_seeds):
            drawn = torch.binomial(counts, share, generator=rng)
            fitted.append(problem.from_counts(drawn.to(problem.measurement), self.share))
            targets.append(problem.from_counts((counts - drawn).to(problem.measurement), 1 - self.share))
        self._targets = torch.stack(targets)
        self._known = torch.zeros_like(self._targets)
        return torch.stack(fitted)

    def begin(self, problem: Problem, members: Members) -> None:
        """Note which pixels count."""
        self._problem = problem

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the estimate of the mean squared error of the prediction; without a constant for counts whose noise is not known."""
        images = iterate.images(self.output)
        terms = (squared(self._problem.residual(images, self._targets)) - self._known).mean(0)
        if (n := len(images)) > 1:
            terms = terms - variance_between(self._problem.predict(images)) * (1 - 1 / n)
        weights = self._problem.weights
        mean = weighted_mean(terms, weights)
        risk = mean if self._noise_variance is None else mean - self._noise_variance
        self._curve.add(iterate.step, risk)
        if iterate.is_snapshot and self._noise_variance is not None and self._problem.is_denoising:
            self._estimates[iterate.step] = self._estimate_error(iterate, terms)
        return risk

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Take the snapshot of the least estimate; end once that lies far enough back.

        The error's standard deviation is that of the mean over the pixels, with that of the noise level
        (`napari_convgen.core.stopping.residual.noise_level_error`).
        """
        self._estimates = {step: self._estimates[step] for step in steps if step in self._estimates}
        best = self._curve.least(steps)
        warnings: tuple[str, ...] = ()
        if self._problem.correlation_length > 1:
            warnings = (
                "The split takes the noise of pixels as independent, but it is correlated noise: the stop is too late.",
            )
        reason = None
        if is_over(steps[-1], best, self.patience, self.min_patience):
            sentence = (
                f"The error against the other half of the split measurement was least at step {best} and has not improved by "
                f"step {steps[-1]}; step {best} is kept."
            )
            reason = StopReason(Outcome.RULE, sentence)
        return Judgment(best, reason, error=self._estimates.get(best), warnings=warnings)

    def _estimate_error(self, iterate: Iterate, terms: Tensor) -> ErrorEstimate | None:
        weights = self._problem.error_weights_at(iterate.image(self.output))
        of_noise = weights.noise_variance / self._noise_share
        return ErrorEstimate.of_terms(weights, terms, of_noise, noise_level_error(self._problem))
