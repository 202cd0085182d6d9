"""Images that a fit starts from, and how much of the generator is mixed into them."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping import Members

USUAL_SHARE = 0.3
"""Share of the generator in the image where no pixels were left out to find it.
Chosen on the tuning images of benchmarks/quality.py: the best shares of microscope images lie around it."""


@dataclass(frozen=True, eq=False)
class Guides:
    """Estimates of the clean image that were made before the fit.

    Attributes
    ----------
    whole
        Estimate from all observed pixels.
    members
        Estimate of each member, from the pixels that are in its loss alone.
    """

    whole: Float[Tensor, "c *spatial"]
    members: Float[Tensor, "m c *spatial"]


class Mixture:
    r"""Mix the generator's images with the guides, in the share that predicts pixels left out of the fit best.

    With g the guide of a member and x its image, the mixture is :math:`g + w (x - g)`. The share w minimizes the squared distance to the
    measurement y over the watched pixels of all members, which neither g nor x has seen:

    .. math:: w = \frac{\langle y - g,\, x - g \rangle}{\langle x - g,\, x - g \rangle},

    within [0, 1]. So the mixture is, up to the chance in y, no worse than the better of the two.

    Parameters
    ----------
    problem, guides, members
        The problem, the guides, and the networks that are fitted together.
    share
        Share of the generator; ``None`` to find it, or `USUAL_SHARE` where no pixels are watched.
    """

    def __init__(self, problem: Problem, guides: Guides, members: Members, share: float | None) -> None:
        self.guides = guides.members
        kept = [i for i, is_kept in enumerate(members.is_kept) if is_kept]
        self.correction = guides.whole - guides.members[kept].mean(0)
        """What the kept members' guides lack of the guide that knows all pixels: it is added to the image that is shown."""
        self._share = share
        self._watched: Tensor | None = None
        if share is None and members.watched is not None and bool(members.watched.any()):
            self._watched = members.watched
            self._lacking = problem.measurement.expand_as(self.guides)[self._watched] - self.guides[self._watched]

    def share(self, images: Float[Tensor, "m c *spatial"]) -> float | Tensor:
        """Return the share of the generator that suits its images."""
        if self._watched is None:
            return USUAL_SHARE if self._share is None else self._share
        step = images[self._watched] - self.guides[self._watched]
        share: Tensor = (step @ self._lacking / step.square().sum().clamp_min(1e-30)).clamp(0, 1)
        return share

    def __call__(self, images: Float[Tensor, "m c *spatial"]) -> Float[Tensor, "m c *spatial"]:
        """Return the mixture of the members' images with their guides."""
        return self.guides + self.share(images) * (images - self.guides)
