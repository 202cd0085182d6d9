"""The stop that the generator's linearization at its start predicts, as an interval of the loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_convgen.core.generators import Generator
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, StopReason
from napari_convgen.core.spectra.descent import Descent, predict_descent
from napari_convgen.core.spectra.jacobian import module_jacobian
from napari_convgen.core.stopping.curve import Curve
from napari_convgen.core.stopping.residual import require_identity, required_noise_level
from napari_convgen.core.stopping.rule import Iterate, Judgment, Members, plain_members
from napari_convgen.errors import ConfigError, mismatch


class LinearizedDynamics:
    """Predict, before the first step, at which losses the image is best.

    Gradient descent on the generator's linearization is known in closed form, and with it Stein's estimate of the error at every step,
    see `napari_convgen.core.spectra.descent`. Other optimizers pass through about the same images in the same order but at another pace,
    so what is taken over is not the step but the training loss: the fit is in the interval from the first step whose loss is that of the
    interval's beginning to the first whose loss is that of its end. The linear image itself is worse than the generator's, so
    the interval is more use as a bound for other rules than the step in it. The noise is taken as white, and the operator must be the
    identity.

    Parameters
    ----------
    generator
        Module that returns the image when called without arguments, at its start; read before the first step and not after. It must be
        made of operations that can be differentiated forwards, so give the plain decoder of one member, not its fused form.
    tolerance
        Share of the noise's variance, from 0, by which the predicted error may exceed the least within the interval; default 0.02.
    n_products, n_probes
        Amount of work, at least 1 each; defaults 100 and 1. ``n_products (1 + n_probes)`` products with the Jacobian and its adjoint are
        computed, each of which costs about what two steps of the plain generator do. Large images with little noise need more
        products than small ones: where the best step, or the interval's end, lies beyond what is predicted, it is left open.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, theorems 1 and 2, where the dynamics are those of the expected kernel.
    """

    needs_identity = True

    def __init__(self, generator: Generator, tolerance: float = 0.02, n_products: int = 100, n_probes: int = 1) -> None:
        self.generator = generator
        self.tolerance = tolerance
        self.n_products = n_products
        self.n_probes = n_probes
        self.descent: Descent | None = None
        self._losses = Curve()

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Fit every observed pixel.

        Raises
        ------
        ConfigError
            The noise level is not known, the generator is not of the image's size, or the operator is not the identity.
        """
        require_identity(problem, "linearized")
        required_noise_level(problem, "linearized")
        self._rng = rng
        return plain_members(problem, n_seeds)

    def begin(self, problem: Problem, members: Members) -> None:
        """Predict the descent."""
        jacobian = module_jacobian(self.generator)
        start = self.generator().detach()
        if start.numel() != problem.measurement.numel():
            raise ConfigError(
                mismatch(
                    "The generator that is linearized must make one image of the measurement's size",
                    expected=tuple(problem.measurement.shape),
                    got=tuple(start.shape),
                    advice="Give the plain generator of one member.",
                )
            )
        places = (problem.weights.flatten() > 0).nonzero().squeeze(1)
        level = required_noise_level(problem, "linearized").expand_as(problem.measurement).flatten()[places]

        def gram(values: Tensor) -> Tensor:
            image = start.new_zeros(start.numel()).index_copy(0, places, values)
            return jacobian.apply(jacobian.adjoint(image.view(start.shape))).flatten()[places]

        residual = problem.residual(start.view(problem.measurement.shape)).flatten()[places]
        self.descent = predict_descent(gram, residual, level, self._rng, self.n_products, self.n_probes)
        first, last = self.descent.near_best(self.tolerance * float((level**2).mean()))
        self._first, self._best, self._last = (self._loss_at(i) for i in (first, self.descent.best, last))

    def observe(self, iterate: Iterate) -> Tensor:
        """Return the loss in units of the loss predicted for the beginning of the interval."""
        self._losses.add(iterate.step, iterate.loss)
        return iterate.loss / self._first

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Take the first snapshot whose loss has come down to that predicted for the best image; end after the interval."""
        first, best, last = (self._reach(steps, loss) for loss in (self._first, self._best, self._last))
        kept = steps[-1] if best is None else best
        interval = None if first is None else (first, steps[-1] if last is None else last)
        reason = None
        if last is not None:
            sentence = (
                f"The loss came down by step {last} to what linearized dynamics predict for the last of the good images; "
                f"step {kept} is the first with the loss predicted for the best."
            )
            reason = StopReason(Outcome.RULE, sentence)
        return Judgment(kept, reason, interval)

    def _loss_at(self, position: int) -> float:
        """Return the loss predicted at a position of the descent; 0, which is not reached, at its end: what comes after is not known."""
        assert self.descent is not None
        return 0.0 if position == len(self.descent.steps) - 1 else float(self.descent.loss[position])

    def _reach(self, steps: Sequence[int], loss: float) -> int | None:
        return next((step for step in steps if self._losses.smoothed(step) <= loss), None)
