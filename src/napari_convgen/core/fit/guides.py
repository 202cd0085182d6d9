"""Images that a fit starts from, and how much of the generator is mixed into them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping import Members
from napari_convgen.core.stopping.entries import MIDDLE_SIDE

SPREAD = 0.1
"""Standard deviation of the shares that suit images with white noise, around the generator's usual one. Chosen on the tuning images of
benchmarks/quality.py. With correlated noise, which generators fit sooner, the usual share is 0."""

USUAL_JOINT = 0.1
"""Usual share where frames before and after have helped the guide, which the generator has not seen. Chosen on the tuning stacks of
benchmarks/stacks.py."""

MOST_CORRELATED = 0.1
"""Largest share with correlated noise. Squares are left out there, in whose middle a guide is worse than where it has seen the image, so
that the share which suits them is too large. Chosen on the tuning images of benchmarks/quality.py."""

LEAST_NOISE = 1e-15
"""Least variance of the sum that the share is fitted by, relative to its square: a bound against division by zero."""


@dataclass(frozen=True, eq=False)
class Guides:
    """Estimates of the clean image that were made before the fit.

    Attributes
    ----------
    whole
        Estimate from all observed pixels.
    members
        Estimate of each member, from the pixels that are in its loss alone.
    influence
        How much each pixel of ``whole`` changes with the pixel's own noise, probed at random: of many pixels the mean is right.
        ``None``, the default, if it was not probed.
    noise_level
        Level, for each channel of the image, of which a generator adds a share as noise to its input; ``None``, the default, for the
        noise level of the measurement, if it is the image itself.
    is_joint
        True if they are made from frames before and after too; default False.
    notes
        Sentences on them that the user should know; none by default.
    """

    whole: Float[Tensor, "c *spatial"]
    members: Float[Tensor, "m c *spatial"]
    influence: Float[Tensor, "c *spatial"] | None = None
    noise_level: Float[Tensor, "c"] | None = None
    is_joint: bool = False
    notes: tuple[str, ...] = ()


class Mixture:
    r"""Mix the generator's images with the guides, in the share that predicts entries left out of the fit best.

    With g the guide of a member, x its image and y the measurement, the mixture is :math:`g + w (x - g)`. The share w is fitted to the
    watched entries of all members, which neither g nor x has seen, by weighted least squares; u are the weights of the entries' squared
    errors (in the user's units, if they are pixels), and :math:`\sigma^2` is their noise's variance:

    .. math:: w_y = \frac{\sum u (y - g)(x - g)}{\sum u (x - g)^2}, \qquad
        \operatorname{var} w_y = \frac{\sum u^2 \sigma^2 (x - g)^2}{(\sum u (x - g)^2)^2}.

    A guide is better where it has seen a pixel, most of all in fine texture, and the generator has less to add there. Its errors are
    independent of the guide's, so that x - g predicts what g lacks in proportion to the guide's mean squared error. Both w and its
    standard deviation are multiplied by q, that error at all pixels over the one at pixels left out; the former is Stein's estimate, with
    the guide's influence s, for which that is known (q is 1 for others):

    .. math:: q = \frac{\operatorname{mean} u ((y - g)^2 - (1 - 2 s) \sigma^2)}
        {\operatorname{mean}_\text{left out} u ((y - g)^2 - \sigma^2)}.

    Through an operator A the same is fitted to entries of the measurement, with Ag and Ax in the place of g and x.

    Correlated noise is watched in the middles of squares, whose pixels all have about the same noise: then the variance is as many times
    larger. Where the two images differ little, the noise of so few pixels tells little of w. So it is averaged with what is known of
    other images, weighted by the inverse variances: their best shares have a mean that depends on the generator, and the standard deviation
    `SPREAD`.
    The result is limited to [0, 1], with correlated noise to [0, `MOST_CORRELATED`].

    Where a guide of magnitudes is at the noise floor, w is multiplied by the probability that there is any signal: the guide is 0 there,
    and a little of the generator's errors looks like signal.

    Parameters
    ----------
    problem, guides, members
        The problem, the guides, and the networks that are fitted together.
    share
        Share of the generator; ``None`` to find it, or the usual share where no pixels are watched.
    usual_share
        Share of the generator that suits an image with white noise on average.

    Attributes
    ----------
    guides
        Guide of each member.
    correction
        What the mean of the kept members' guides lacks of the guide from all pixels; it is added to the image that is shown.
    influence
        Influence of each pixel on its own value in the guide from all pixels.
    noise_level, notes
        Standard deviation of the noise of each channel, and sentences for the user, see `Guides`.
    """

    def __init__(
        self, problem: Problem, guides: Guides, members: Members, share: float | None, usual_share: float
    ) -> None:
        self.guides, self.influence, self.noise_level = guides.members, guides.influence, guides.noise_level
        self.notes = guides.notes
        kept = [i for i, is_kept in enumerate(members.is_kept) if is_kept]
        self.correction = guides.whole - guides.members[kept].mean(0)
        self._problem = problem
        self._share = share
        signal_share = problem.error_weights_at(guides.whole).signal_share if problem.is_denoising else 1.0
        self._signal_share = torch.as_tensor(signal_share).to(guides.whole)
        self._has_background = bool((self._signal_share < 1).any())
        is_white = problem.correlation_length == 1
        usual = USUAL_JOINT if guides.is_joint else usual_share
        self._usual, self._most = (usual, 1.0) if is_white else (0.0, MOST_CORRELATED)
        self._n_alike = 1 if is_white else MIDDLE_SIDE ** (problem.measurement.ndim - 1)
        self._watched: Tensor | None = None
        if share is None and members.watched is not None and bool(members.watched.any()):
            self._watched = members.watched
            predicted = problem.predict(self.guides)
            self._predicted = _real(predicted[self._watched])
            self._lacking = _real(problem.measurement.expand_as(predicted)[self._watched]) - self._predicted
            self._weights, self._variance = self._watched_weights(guides.whole)
            self._ratio = self._error_ratio(guides) if is_white and problem.is_denoising else 1.0

    @property
    def is_guide_alone(self) -> bool:
        """True if nothing of the generator is mixed in."""
        return self._share == 0

    def share(self, images: Float[Tensor, "m c *spatial"]) -> float | Tensor:
        """Return the share of the generator that suits its images."""
        if self._watched is None:
            return self._usual if self._share is None else self._share
        step = _real(self._problem.predict(self._with_signal(images))[self._watched]) - self._predicted
        size = (self._weights * step.square()).sum()
        noise = self._n_alike * (self._weights.square() * self._variance * step.square()).sum()
        known = SPREAD**2 * size / noise.clamp_min(LEAST_NOISE * size.square() + LEAST_NOISE**2)
        fitted, q = known * (self._weights * step * self._lacking).sum(), self._ratio
        share: Tensor = (q * fitted + q**2 * self._usual) / (known * size + q**2).clamp_min(LEAST_NOISE)
        return share.clamp(0, self._most)

    def __call__(self, images: Float[Tensor, "m c *spatial"]) -> Float[Tensor, "m c *spatial"]:
        """Return the mixture of the members' images with their guides."""
        return self.guides + self.share(images) * (self._with_signal(images) - self.guides)

    def _with_signal(self, images: Float[Tensor, "m c *spatial"]) -> Float[Tensor, "m c *spatial"]:
        """Return the images where there is signal, and the guides where there is none."""
        return torch.lerp(self.guides, images, self._signal_share) if self._has_background else images

    def _error_ratio(self, guides: Guides) -> float:
        """Return the guide's mean squared error at all pixels over that at pixels left out, at most 1."""
        left_out = float((self._weights * (self._lacking.square() - self._variance)).mean())
        if guides.influence is None or left_out <= 0:
            return 1.0
        pixels, is_known = self._problem.error_weights_at(guides.whole), self._problem.weights > 0
        noise = (1 - 2 * guides.influence) * pixels.noise_variance
        errors = pixels.weights / pixels.weights.mean() * (self._problem.residual(guides.whole) ** 2 - noise)
        return min(1.0, max(0.0, float(errors[is_known].mean()) / left_out))

    def _watched_weights(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the error weights of the watched entries, with a mean of 1 over all, and the variance of their noise."""
        assert self._watched is not None
        if self._problem.is_denoising:
            pixels = self._problem.error_weights_at(image)
            weights, variance = pixels.weights / pixels.weights.mean(), pixels.noise_variance
            shape = self.guides.shape
            return weights.expand(shape)[self._watched], variance.expand(shape)[self._watched]
        noise, is_complex = self._problem.noise_level, self._problem.measurement.is_complex()
        weights = self._problem.weights / self._problem.weights[self._problem.weights > 0].mean()
        watched = weights.expand(self._watched.shape)[self._watched]
        variance = self._lacking.square().mean() if noise is None else noise.square().mean() / (1 + is_complex)
        return (watched[:, None] if is_complex else watched).expand_as(self._lacking), variance.expand_as(self._lacking)


def _real(values: Tensor) -> Tensor:
    """Return complex values as pairs of real ones, and real ones as they are."""
    return torch.view_as_real(values) if values.is_complex() else values
