"""Stein's unbiased risk estimate of a whole fit: how far the image is from the clean one, from a second fit to nudged data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, Output, StopReason
from napari_convgen.core.stopping.curve import Curve
from napari_convgen.core.stopping.held_out import NOISE_LEVEL_ERROR
from napari_convgen.core.stopping.residual import noise_variance, required_noise_level, weighted_mean
from napari_convgen.core.stopping.rule import ErrorEstimate, Iterate, Judgment, Members, is_over, plain_members


class MonteCarloSure:
    r"""Estimate the mean squared error at every step, and keep the step where it is least.

    A fit of :math:`t` steps is a function of the data, :math:`x_t(y)`, whatever the optimizer. For independent Gaussian noise of
    variance :math:`\sigma^2`,

    .. math:: \mathrm{SURE}_t = \tfrac1n \|x_t(y) - y\|^2 - \sigma^2 + \tfrac{2\sigma^2}{n}\,\mathrm{div}\,x_t(y),
              \qquad \mathrm{div}\,x_t \approx \tfrac1\epsilon\, b^\top (x_t(y + \epsilon b) - x_t(y)),

    has the mean squared error as its expectation. The divergence comes from a twin: a member with the same start that is fitted to
    :math:`y + \epsilon b`, with random signs :math:`b`. Twins are not kept. Where several members are, the residual is that of their
    mean, and since the divergence is linear and members differ by no more than their start, the mean over the twins there are
    stands for that of all members. It holds likewise for members that leave pixels out, and for a running average.

    Each channel has its own noise level. For Poisson-Gaussian noise the fit runs on the variance-stabilized image, where the noise
    is Gaussian with the same variance everywhere but for a remainder at few counts; the error is then that of the stabilized image.

    Parameters
    ----------
    output
        Which image is judged: the one that is kept.
    n_probes
        Twins; the first is of the first member, the next of the next, and round again.
    probe_size
        :math:`\epsilon` in noise levels. Smaller, and what rounding makes of two fits shows; larger, and the fit is not linear.
    patience, min_patience
        The fit ends at step ``t`` once ``t > t_min (1 + patience) + min_patience``, with ``t_min`` the step of the least estimate,
        averaged over `napari_convgen.core.stopping.curve.SMOOTHING` steps.

    References
    ----------
    Ramani, Blu and Unser, "Monte-Carlo SURE: A black-box optimization of regularization parameters for general denoising
    algorithms", IEEE Trans. Image Process. 17 (2008); Stein, Ann. Statist. 9 (1981).
    """

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
        self._moments: dict[int, Tensor] = {}

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Fit every observed pixel, with a twin for each probe."""
        return self.with_twins(plain_members(problem, n_seeds), problem, rng)

    def with_twins(self, members: Members, problem: Problem, rng: torch.Generator) -> Members:
        """Return the members that there are, whatever rule chose them, and the twins of those that are kept after them.

        Raises
        ------
        ConfigError
            The noise level is not known.
        """
        level = required_noise_level(problem, "sure")
        kept = [i for i, is_kept in enumerate(members.is_kept) if is_kept]
        self._bases = [kept[i % len(kept)] for i in range(self.n_probes)]
        self._twins = list(range(len(members), len(members) + self.n_probes))
        shape = (self.n_probes, *problem.measurement.shape)
        signs = 2.0 * torch.randint(2, shape, generator=rng).to(problem.measurement) - 1
        self._signs = signs * problem.weights
        nudged = members.measurements[self._bases] + self.probe_size * level * self._signs
        return Members(
            torch.cat((members.measurements, nudged)),
            torch.cat((members.weights, members.weights[self._bases])),
            members.starts + tuple(members.starts[i] for i in self._bases),
            members.is_kept + (False,) * self.n_probes,
        )

    def begin(self, problem: Problem, members: Members) -> None:
        """Note the measurement and its noise."""
        self._problem = problem
        variance = noise_variance(problem)
        assert variance is not None  # or there would be no twins
        self._variance = variance
        # Of b (x(y + eps b) - x(y)) / eps, times the variance: eps is in noise levels, and each channel has its own.
        self._scaled_signs = self._signs * required_noise_level(problem, "sure") / self.probe_size

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the estimate of the mean squared error of the image."""
        images = iterate.images(self.output)
        residual = (iterate.image(self.output) - self._problem.measurement) ** 2
        influence = (self._scaled_signs * (images[self._twins] - images[self._bases])).mean(0)
        terms = residual + 2 * influence
        mean = weighted_mean(terms, self._problem.weights)
        sure = mean - self._variance
        self._curve.add(iterate.step, sure)
        if iterate.is_snapshot:
            deviation = weighted_mean((terms - mean) ** 2, self._problem.weights).sqrt()
            self._moments[iterate.step] = torch.stack((deviation, weighted_mean(influence, self._problem.weights)))
        return sure

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Take the snapshot of the least estimate; end once that lies far enough back.

        The error's standard deviation is that of the mean of the pixels' terms, taken as independent, with that of a noise
        level known to `napari_convgen.core.stopping.held_out.NOISE_LEVEL_ERROR`.
        """
        self._moments = {step: self._moments[step] for step in steps}
        best = self._curve.least(steps)
        warnings: tuple[str, ...] = ()
        if self._problem.correlation_length > 1:
            warnings = (
                "Stein's estimate takes the noise of pixels as independent, but that of neighbors is alike: "
                "its stop is too late and its error too small.",
            )
        reason = None
        if is_over(steps[-1], best, self.patience, self.min_patience):
            sentence = (
                f"Stein's estimate of the error was least at step {best} and has not improved by step {steps[-1]}; "
                f"step {best} is kept."
            )
            reason = StopReason(Outcome.RULE, sentence)
        return Judgment(best, reason, error=self._estimate_error(best), warnings=warnings)

    def _estimate_error(self, step: int) -> ErrorEstimate:
        spread, influence = self._moments[step].tolist()
        variance = float(self._variance)
        of_pixels = spread / math.sqrt(float(self._problem.weights.sum()))
        of_level = 2 * NOISE_LEVEL_ERROR * abs(variance - 2 * influence)
        deviation = math.hypot(of_pixels, of_level)
        return ErrorEstimate(max(self._curve.smoothed(step), 0.1 * deviation), deviation)
