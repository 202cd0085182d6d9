"""Stein's unbiased risk estimate of a whole fit: how far the image is from the clean one, from a second fit to nudged data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from napari_convgen.core.noise.colored import noise_gain, shape_noise
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, Output, StopReason
from napari_convgen.core.stopping.curve import Curve
from napari_convgen.core.stopping.paired import MAX_PAIRED, PairedErrors
from napari_convgen.core.stopping.residual import (
    noise_level_error,
    noise_variance,
    require_identity,
    required_noise_level,
    weighted_mean,
)
from napari_convgen.core.stopping.rule import ErrorEstimate, Iterate, Judgment, Members, is_over, plain_members


class MonteCarloSure:
    r"""Estimate the mean squared error at every step, and keep the step where it is least.

    A fit of :math:`t` steps is a function of the data, :math:`x_t(y)`, whatever the optimizer. For independent Gaussian noise of
    variance :math:`\sigma^2`,

    .. math:: \mathrm{SURE}_t = \tfrac1n \|x_t(y) - y\|^2 - \sigma^2 + \tfrac{2\sigma^2}{n}\,\mathrm{div}\,x_t(y),
              \qquad \mathrm{div}\,x_t \approx \tfrac1\epsilon\, b^\top (x_t(y + \epsilon b) - x_t(y)),

    has the mean squared error as its expectation. The divergence comes from a twin: a member with the same start that is fitted to
    :math:`y + \epsilon b`, with random signs :math:`b`. For correlated noise, :math:`b` is noise with the same spectrum,
    and what takes the place of the divergence is the trace of its covariance times the fit's Jacobian. Twins are not kept. Where several
    members are, the residual is that of their mean, and since the divergence is linear and members differ by no more than their start, the
    mean over the twins there are stands for that of all members. It holds likewise for a running average.

    Each channel has its own noise level. For Poisson-Gaussian noise the fit runs on the variance-stabilized image, where the noise
    is Gaussian with the same variance everywhere but for a remainder at few counts: the criterion is the error of that image. The estimate
    of the error is brought back pixel by pixel, with the noise that each of them has, see `napari_convgen.core.problem.ErrorWeights`.

    Parameters
    ----------
    output
        Kind of image that is evaluated, ``"average"`` (default) or ``"iterate"``: the kind that is kept.
    n_probes
        Number of twins, at least 1 (default); the first is of the first member, the next of the next, and round again.
    probe_size
        :math:`\epsilon` in noise levels, above 0; default 0.2. With less, rounding errors of two fits show; with more, the fit is not
        linear.
    patience, min_patience
        Numbers from 0; defaults 0.4 and 100 steps. The fit ends at step ``t`` once
        ``t > t_min (1 + patience) + min_patience``, with ``t_min`` the step of the least estimate,
        averaged over `napari_convgen.core.stopping.curve.SMOOTHING` steps.

    References
    ----------
    Ramani, Blu and Unser, "Monte-Carlo SURE: A black-box optimization of regularization parameters for general denoising
    algorithms", IEEE Trans. Image Process. 17 (2008); Stein, Ann. Statist. 9 (1981).
    """

    needs_identity = True

    def __init__(
        self,
        output: Output = "average",
        n_probes: int = 1,
        probe_size: float = 0.2,
        patience: float = 0.4,
        min_patience: int = 100,
    ) -> None:
        self.output: Output = output
        self.n_probes = n_probes
        self.probe_size = probe_size
        self.patience = patience
        self.min_patience = min_patience
        self._curve = Curve()
        self._estimates: dict[int, ErrorEstimate | None] = {}

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Fit every observed pixel, with a twin for each probe.

        Raises
        ------
        ConfigError
            The noise level is not known, or the operator is not the identity.
        """
        require_identity(problem, "sure")
        level = required_noise_level(problem, "sure")
        members = plain_members(problem, n_seeds)
        self._bases = [i % n_seeds for i in range(self.n_probes)]
        self._twins = list(range(n_seeds, n_seeds + self.n_probes))
        self._probes = self._draw(problem, rng) * problem.weights
        nudged = members.measurements[self._bases] + self.probe_size * level * self._probes
        return Members(
            torch.cat((members.measurements, nudged)),
            torch.cat((members.weights, members.weights[self._bases])),
            members.starts + tuple(self._bases),
            members.is_kept + (False,) * self.n_probes,
        )

    def _draw(self, problem: Problem, rng: torch.Generator) -> Tensor:
        """Draw a probe for each twin: signs, or noise with the spectrum of the measurement's."""
        shape = (len(self._twins), *problem.measurement.shape)
        if problem.noise_spectrum is None:
            return 2.0 * torch.randint(2, shape, generator=rng).to(problem.measurement) - 1
        white = torch.randn(shape, generator=rng, dtype=torch.float64).to(problem.measurement)
        return shape_noise(white, noise_gain(problem.noise_spectrum, white))

    def begin(self, problem: Problem, members: Members) -> None:
        """Note the measurement and its noise."""
        self._problem = problem
        variance = noise_variance(problem)
        assert variance is not None  # or there would be no twins
        self._variance = variance
        # Of b (x(y + eps b) - x(y)) / eps, times the variance: eps is in noise levels, and each channel has its own.
        self._scaled_probes = self._probes * required_noise_level(problem, "sure") / self.probe_size
        self._terms = PairedErrors(problem.correlation_length ** (problem.measurement.ndim - 1))
        weights = problem.weights.sum(0).flatten()
        places = weights.nonzero().squeeze(1)
        self._places = places[:: math.ceil(len(places) / MAX_PAIRED)]
        self._place_weights = weights[self._places]

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the estimate of the mean squared error of the image."""
        images, weights = iterate.images(self.output), self._problem.weights
        residual = self._problem.residual(iterate.image(self.output)) ** 2
        influence = (self._scaled_probes * (images[self._twins] - images[self._bases])).mean(0)
        terms = residual + 2 * influence
        sure = weighted_mean(terms, weights) - self._variance
        self._curve.add(iterate.step, sure)
        if iterate.is_snapshot:
            self._terms.add(iterate.step, (weights * terms).flatten(1)[:, self._places].sum(0) / self._place_weights)
            self._estimates[iterate.step] = self._estimate_error(iterate, residual, influence)
        return sure

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Take the snapshot of the least estimate; end once that lies far enough back.

        The error's standard deviation is that of the mean of the pixels' terms, as many as are independent, with that of the noise
        level (`napari_convgen.core.stopping.residual.noise_level_error`). The interval is that of the steps whose terms' mean is within one
        standard error of the least.
        """
        self._terms.keep(steps)
        self._estimates = {step: self._estimates[step] for step in steps}
        best = self._curve.least(steps)
        as_good = self._terms.as_good_as(best, steps)
        reason = None
        if is_over(steps[-1], best, self.patience, self.min_patience):
            sentence = (
                f"Stein's estimate of the error was least at step {best} and has not improved by step {steps[-1]}; "
                f"step {best} is kept."
            )
            reason = StopReason(Outcome.RULE, sentence)
        warnings: tuple[str, ...] = ()
        if self._problem.correlation_length > 1 and self._problem.noise_spectrum is None:
            warnings = (
                "Stein's estimate takes the noise of pixels as independent, but it is correlated noise, and its spectrum could not be "
                "measured: the stop is too late and the estimated error too small.",
            )
        return Judgment(best, reason, (as_good[0], as_good[-1]), self._estimates[best], warnings=warnings)

    def _estimate_error(self, iterate: Iterate, residual: Tensor, influence: Tensor) -> ErrorEstimate | None:
        weights = self._problem.error_weights_at(iterate.image(self.output))
        influence = influence / required_noise_level(self._problem, "sure") ** 2  # of a pixel's own noise
        of_noise = weights.noise_variance * (1 - 2 * influence)
        level_error = noise_level_error(self._problem)
        return ErrorEstimate.of_terms(weights, residual, of_noise, level_error, self._terms.n_correlated)
