"""The variance of the latest outputs: it has a valley between the steps that fit structure and the steps that fit noise."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, StopReason
from napari_convgen.core.stopping.residual import noise_variance, residual_energy, weighted_mean
from napari_convgen.core.stopping.rule import Iterate, Judgment, Members, is_over, plain_members

EnergyRange = tuple[float, float]

ENERGY_RANGE: EnergyRange = (0.8, 1.15)
"""Bounds of the mean squared residual, in units of the noise's variance, within which a step can be the stop; chosen on tuning images."""


class _VarianceRule(ABC):
    """Keep the snapshot where the variance of the latest outputs is least; subclasses say which variance."""

    needs_identity = False

    def __init__(self, energy_range: EnergyRange | None, patience: float, min_patience: int) -> None:
        self.energy_range = energy_range
        self.patience = patience
        self.min_patience = min_patience
        self._last = 0
        self._values: dict[int, Tensor] = {}

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Fit every observed pixel."""
        self._rng = rng
        return plain_members(problem, n_seeds)

    def begin(self, problem: Problem, members: Members) -> None:
        """Note the measurement and its noise."""
        self._problem = problem
        self._noise_variance = None if self.energy_range is None else noise_variance(problem)
        self._restart()

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the variance over the window that ends with this step; NaN while it is not full."""
        if iterate.step != self._last + 1:  # the fit has gone back
            self._restart()
        self._last = iterate.step
        image = iterate.output
        # The measurement has no part in the variance, but taken off it spares digits.
        is_denoising = self._problem.is_denoising
        variance = self._variance(iterate.step, self._problem.residual(image) if is_denoising else image)
        if iterate.is_snapshot:
            self._values[iterate.step] = self._where_it_counts(variance, image)
        return variance

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Take the snapshot of the least variance among those that count; end once that lies far enough back."""
        self._values = {step: self._values[step] for step in steps}
        best = self._best()
        if best is None:
            return Judgment(steps[-1])
        if not is_over(steps[-1], best, self.patience, self.min_patience):
            return Judgment(best)
        sentence = (
            f"The variance of the latest outputs was least at step {best} and has not been less by step {steps[-1]}; "
            f"step {best} is kept."
        )
        return Judgment(best, StopReason(Outcome.RULE, sentence))

    def _best(self) -> int | None:
        values = {step: float(value) for step, value in self._values.items()}
        finite = [step for step, value in values.items() if math.isfinite(value)]
        return min(finite, key=values.__getitem__) if finite else None

    def _where_it_counts(self, variance: Tensor, image: Tensor) -> Tensor:
        """Replace the variance of a step that cannot be the stop by NaN."""
        if self.energy_range is None or self._noise_variance is None:
            return variance
        low, high = self.energy_range
        ratio = residual_energy(image, self._problem) / self._noise_variance
        return torch.where((ratio >= low) & (ratio <= high), variance, math.nan)

    @abstractmethod
    def _restart(self) -> None:
        """Forget the window."""

    @abstractmethod
    def _variance(self, step: int, residual: Tensor) -> Tensor:
        """Return the variance with one more output, given less a constant image."""


class WindowedVariance(_VarianceRule):
    r"""Watch the variance of the latest W outputs, :math:`\frac1W \sum_{w<W} \frac1n \|x_{t-w} - \bar x_t\|^2` (ES-WMV).

    The rule needs neither a noise level nor pixels left out, and holds for any operator. The raw outputs are watched, whichever image is
    kept. In measurements of small and fast fits it stops far too early on busy images, whose low frequencies are fitted long before
    their texture, and a window of 100 outputs is longer than such a fit: it is more use as a veto, see `veto`, than as a stop.

    Running sums make a step cost as much as the image has pixels, however long the window. The outgoing output must be known,
    though, and so W outputs are held, at no more than `MAX_VALUES` values in all: in larger images only random pixels are watched.

    Parameters
    ----------
    window
        Number of outputs W, at least 2; 100, the default, as published. For a window that grows with the step see `RunningVariance`.
    energy_range
        Bounds, in units of the noise's variance, of the mean squared residual of a step that counts; default `ENERGY_RANGE`, ``None`` for
        no bounds, as published.
    patience, min_patience
        Numbers from 0; 0 and P = 1000 steps, the defaults, as published. The fit ends at step ``t`` once
        ``t > t_min (1 + patience) + min_patience``.

    References
    ----------
    Wang, Li, Zhuang, Chen, Liang and Sun, "Early Stopping for Deep Image Prior", TMLR 2023, algorithm 1.
    """

    MAX_VALUES = 2**22
    """Values of all outputs held."""

    def __init__(
        self,
        window: int = 100,
        energy_range: EnergyRange | None = ENERGY_RANGE,
        patience: float = 0.0,
        min_patience: int = 1000,
    ) -> None:
        super().__init__(energy_range, patience, min_patience)
        self.window = window

    def begin(self, problem: Problem, members: Members) -> None:
        """Draw the pixels that are watched."""
        places = (problem.image_weights.flatten() > 0).nonzero().squeeze(1)
        n = max(1, self.MAX_VALUES // self.window)
        if len(places) > n:
            places = places[torch.randperm(len(places), generator=self._rng)[:n].to(places.device)]
        self._places = places
        super().begin(problem, members)

    def _restart(self) -> None:
        self._n_held = 0
        self._held = self._problem.weights.new_zeros(self.window, len(self._places))
        self._sum = torch.zeros_like(self._held[0])
        self._mean_squares = self._held.new_zeros(self.window)

    def _variance(self, step: int, residual: Tensor) -> Tensor:
        values = residual.flatten()[self._places]
        slot = self._n_held % self.window
        if slot == 0:
            self._sum = self._held.sum(0)  # afresh once a window, so that rounding does not add up
        self._sum += values - self._held[slot]
        self._held[slot] = values
        self._mean_squares[slot] = (values**2).mean()
        self._n_held += 1
        if self._n_held < self.window:
            return values.new_tensor(math.nan)
        return self._mean_squares.mean() - ((self._sum / self.window) ** 2).mean()


class RunningVariance(_VarianceRule):
    r"""Watch the exponentially weighted variance of the outputs (ES-EMV).

    This form of `WindowedVariance` holds one image, the mean :math:`m_t`, in the place of W:

    .. math:: v_t = (1-\alpha)(v_{t-1} + \alpha \tfrac1n \|x_t - m_{t-1}\|^2), \qquad m_t = m_{t-1} + \alpha (x_t - m_{t-1}).

    Parameters
    ----------
    alpha
        Weight of the latest output, between 0 and 1; 0.1, the default, as published.
    share
        Share of the step that the window is as long as: the weight is ``1 / (1 + share · t)`` at step ``t`` instead of ``alpha``, for fits
        whose pace is not known beforehand; default ``None``.
    start
        Number of steps before any counts; 100, the default, as published.
    energy_range, patience, min_patience
        As for `WindowedVariance`.

    References
    ----------
    Wang et al., TMLR 2023, where the rule is called ES-EMV; the recursion is West's, Comm. ACM 22 (1979).
    """

    def __init__(
        self,
        alpha: float = 0.1,
        share: float | None = None,
        start: int = 100,
        energy_range: EnergyRange | None = ENERGY_RANGE,
        patience: float = 0.0,
        min_patience: int = 1000,
    ) -> None:
        super().__init__(energy_range, patience, min_patience)
        self.alpha = alpha
        self.share = share
        self.start = start

    def _restart(self) -> None:
        self._n_seen = 0

    def _variance(self, step: int, residual: Tensor) -> Tensor:
        if self._n_seen == 0:
            self._mean, self._running = residual.clone(), residual.new_zeros(())
        alpha = self.alpha if self.share is None else 1 / (1 + self.share * step)
        deviation = residual - self._mean
        self._mean += alpha * deviation
        self._running = (1 - alpha) * (self._running + alpha * weighted_mean(deviation**2, self._problem.image_weights))
        self._n_seen += 1
        return self._running if self._n_seen > self.start else residual.new_tensor(math.nan)
