"""Images that a fit starts from, and how much of the generator is mixed into them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping import Members
from napari_convgen.core.stopping.entries import MIDDLE_SIDE

USUAL_SHARE, SPREAD = 0.2, 0.1
"""Share of the generator that suits an image with white noise on average, and the standard deviation of the best shares of such images.
Chosen on the tuning images of benchmarks/quality.py. With correlated noise, which generators fit sooner, the usual share is 0."""

MOST_CORRELATED = 0.1
"""Largest share with correlated noise. Squares are left out there, in whose middle a guide is worse than where it has seen the image, so
that the share which suits them is too large. Chosen on the tuning images of benchmarks/quality.py."""


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
        Standard deviation of the noise of each channel that generators may hide what the guides lack with; ``None``, the default, for
        that of the measurement.
    """

    whole: Float[Tensor, "c *spatial"]
    members: Float[Tensor, "m c *spatial"]
    influence: Float[Tensor, "c *spatial"] | None = None
    noise_level: Float[Tensor, "c"] | None = None


class Mixture:
    r"""Mix the generator's images with the guides, in the share that predicts entries left out of the fit best.

    With g the guide of a member, x its image and y the measurement, the mixture is :math:`g + w (x - g)`. The share w is fitted to the
    watched entries of all members, which neither g nor x has seen, by weighted least squares; u are the weights of the entries' squared
    errors (in the user's units, if they are pixels), and :math:`\sigma^2` is their noise's variance:

    .. math:: w_y = \frac{\sum u (y - g)(x - g)}{\sum u (x - g)^2}, \qquad
        \operatorname{var} w_y = \frac{\sum u^2 \sigma^2 (x - g)^2}{(\sum u (x - g)^2)^2}.

    Where the measurement is not of the image itself, the predicted measurements A g and A x stand for g and x here.

    Correlated noise is watched in the middles of squares, whose pixels all have about the same noise: then the variance is as many times
    larger. Where the two images differ little, the noise of so few pixels tells little of w. So it is averaged with what is known of
    other images, weighted by the inverse variances: their best shares have the mean `USUAL_SHARE` and the standard deviation `SPREAD`.
    The result is limited to [0, 1], with correlated noise to [0, `MOST_CORRELATED`].

    Parameters
    ----------
    problem, guides, members
        The problem, the guides, and the networks that are fitted together.
    share
        Share of the generator; ``None`` to find it, or the usual share where no pixels are watched.

    Attributes
    ----------
    guides
        Guide of each member.
    correction
        What the mean of the kept members' guides lacks of the guide from all pixels; it is added to the image that is shown.
    influence
        Influence of each pixel on its own value in the guides; in the mixture it is taken to be the same.
    noise_level
        Standard deviation of the noise of each channel, see `Guides`.
    """

    def __init__(self, problem: Problem, guides: Guides, members: Members, share: float | None) -> None:
        self.guides, self.influence = guides.members, guides.influence
        self.noise_level = problem.noise_level if guides.noise_level is None else guides.noise_level
        kept = [i for i, is_kept in enumerate(members.is_kept) if is_kept]
        self.correction = guides.whole - guides.members[kept].mean(0)
        self._share = share
        is_white = problem.correlation_length == 1
        self._usual, self._most = (USUAL_SHARE, 1.0) if is_white else (0.0, MOST_CORRELATED)
        self._n_alike = 1 if is_white else MIDDLE_SIDE ** (problem.measurement.ndim - 1)
        self._watched: Tensor | None = None
        if share is None and members.watched is not None and bool(members.watched.any()):
            self._watched = members.watched
            weights, variance = _entry_weights(problem, guides.whole)
            each = (len(self.guides), *problem.measurement.shape)
            self._weights, self._variance = (x.expand(each)[self._watched] for x in (weights, variance))
            self._lacking = -problem.residual(self.guides)[self._watched]
        self._predict = problem.predict

    def share(self, images: Float[Tensor, "m c *spatial"]) -> float | Tensor:
        """Return the share of the generator that suits its images."""
        if self._watched is None:
            return self._usual if self._share is None else self._share
        step = self._predict(images - self.guides)[self._watched]
        size = (self._weights * step.square()).sum().clamp_min(1e-30)
        fitted = (self._weights * step * self._lacking).sum() / size
        variance = self._n_alike * (self._weights.square() * self._variance * step.square()).sum() / size.square()
        share: Tensor = (fitted * SPREAD**2 + self._usual * variance) / (SPREAD**2 + variance)
        return share.clamp(0, self._most)

    def __call__(self, images: Float[Tensor, "m c *spatial"]) -> Float[Tensor, "m c *spatial"]:
        """Return the mixture of the members' images with their guides."""
        return self.guides + self.share(images) * (images - self.guides)


def _entry_weights(problem: Problem, image: Float[Tensor, "c *spatial"]) -> tuple[Tensor, Tensor]:
    """Return the weights of the squared errors of the measurement's entries, 1 on average, and the variance of their noise."""
    if problem.is_denoising:
        pixels = problem.error_weights_at(image)
        return pixels.weights / pixels.weights.mean(), pixels.noise_variance
    variance = 0.0 if problem.noise_level is None else float(problem.noise_level.square().mean())
    return problem.weights / problem.weights.mean(), torch.full_like(problem.weights, variance)
