"""The protocol between the loop and the rules that say which step of a fit to keep, and when to end it.

The loop in `napari_convgen.core.fit.loop` asks a rule four things: which networks to fit together and to which entries, to prepare, its
criterion at each step, and its judgment whenever a snapshot has been taken. A new rule is a new file here; the loop stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from napari_convgen.core.problem import ErrorWeights, Problem
from napari_convgen.core.snapshot import Output, StopReason


@dataclass(frozen=True, eq=False)
class Members:
    """The networks that are fitted together, each to a measurement of its own.

    Attributes
    ----------
    measurements
        Measurement that each member is fitted to.
    weights
        Weight of each entry in each member's loss; 0 leaves an entry out.
    starts
        Number of each member's start: members with the same number have the same initial weights and see the same perturbations.
    is_kept
        True for each member whose output goes into the image, which is the mean over these; one at least.
    watched
        True at entries of the measurement that a member has not seen, and whose noise tells nothing of the entries it has; ``None``, the
        default, if there are none.
    """

    measurements: Shaped[Tensor, "m c *entries"]
    weights: Float[Tensor, "m c *entries"]
    starts: tuple[int, ...]
    is_kept: tuple[bool, ...]
    watched: Bool[Tensor, "m c *entries"] | None = None

    def __len__(self) -> int:
        return len(self.starts)


def plain_members(problem: Problem, n_seeds: int) -> Members:
    """Return ``n_seeds`` members with different starts that fit every observed entry and are all kept."""
    repeat = (n_seeds, *(1,) * problem.measurement.ndim)
    return Members(
        problem.measurement.repeat(repeat), problem.weights.repeat(repeat), tuple(range(n_seeds)), (True,) * n_seeds
    )


@dataclass(frozen=True, eq=False)
class Iterate:
    """One forward pass of all members, on the fit's device.

    Attributes
    ----------
    step
        Number of the step, from 1.
    loss
        Mean squared residual over the fitted entries, mean over the kept members.
    outputs
        Image of each member, detached.
    averages
        Running average of each member's images; the next step changes it in place.
    is_snapshot
        True if a snapshot is taken of this step.
    kept
        Numbers of the kept members; the image is the mean over them.
    is_settled
        True unless the generator still prepares, see `napari_convgen.core.generators.Generator.is_settled`.
    correction
        Image that is added to the mean of the members' images: what they lack together, since each has left pixels out; ``None``, the
        default, for nothing.
    guides
        Guide of each member that its image is mixed with; ``None``, the default, if it is not mixed.
    influence
        How much each pixel of the guide from all pixels changes with its own noise, see `napari_convgen.core.fit.guides.Guides`; ``None``,
        the default, if it is not known.
    """

    step: int
    loss: Float[Tensor, ""]
    outputs: Float[Tensor, "m c *spatial"]
    averages: Float[Tensor, "m c *spatial"]
    is_snapshot: bool
    kept: tuple[int, ...] = (0,)
    is_settled: bool = True
    correction: Float[Tensor, "c *spatial"] | None = None
    guides: Float[Tensor, "m c *spatial"] | None = None
    influence: Float[Tensor, "c *spatial"] | None = None

    @property
    def output(self) -> Float[Tensor, "c *spatial"]:
        """The raw image of this step."""
        return self._mean(self.outputs)

    @property
    def average(self) -> Float[Tensor, "c *spatial"]:
        """The running average of the images up to this step."""
        return self._mean(self.averages)

    def image(self, output: Output) -> Float[Tensor, "c *spatial"]:
        """Return the image of that kind."""
        return self.average if output == "average" else self.output

    def images(self, output: Output) -> Float[Tensor, "m c *spatial"]:
        """Return the image of that kind of each member."""
        return self.averages if output == "average" else self.outputs

    def kept_images(self, output: Output) -> Float[Tensor, "k c *spatial"]:
        """Return the image of that kind of each kept member."""
        images = self.images(output)
        return images if len(self.kept) == len(images) else torch.stack([images[i] for i in self.kept])

    def _mean(self, images: Tensor) -> Tensor:
        mean = images[self.kept[0]]
        if len(self.kept) > 1:
            total = mean + images[self.kept[1]]
            for i in self.kept[2:]:
                total += images[i]
            mean = total / len(self.kept)
        return mean if self.correction is None else mean + self.correction


@dataclass(frozen=True)
class ErrorEstimate:
    """Estimated distance of the kept image from the clean one, in the user's units squared. Of denoising only.

    Attributes
    ----------
    mse
        Estimated mean squared error; above 0.
    deviation
        Standard error of the estimate.
    """

    mse: float
    deviation: float

    @classmethod
    def of_terms(
        cls,
        weights: ErrorWeights,
        squares: Float[Tensor, "c *spatial"],
        of_noise: Float[Tensor, "c *spatial"],
        level_error: float,
        n_correlated: float = 1,
    ) -> Self | None:
        """Average unbiased estimates of the squared error over the pixels; return ``None`` for an image of background alone.

        Parameters
        ----------
        weights
            Error weights of the pixels.
        squares, of_noise
            Terms whose difference is the estimate at each pixel, in the generator's units squared; the second is proportional to the
            noise's variance.
        level_error
            Relative error of the noise level.
        n_correlated
            Number of pixels with correlated terms that count as one; default 1.
        """
        if not weights.unit > 0:
            return None
        terms = squares - of_noise
        mean = weights.mean(terms)
        of_pixels = float((weights.weights * (terms - mean)).norm()) * math.sqrt(n_correlated)
        deviation = math.hypot(of_pixels, 2 * level_error * weights.mean(of_noise))
        return cls(weights.unit * max(mean, 0.1 * deviation), weights.unit * deviation)


@dataclass(frozen=True)
class Judgment:
    """A rule's decision after a snapshot.

    Attributes
    ----------
    step
        Step of the snapshot to keep, were the fit to end now.
    reason
        Reason to end the fit now, or ``None`` to go on.
    interval
        First and last snapshot that cannot be told from the best.
    error
        Estimated error of the kept image; ``None`` if it is not known, as with any operator but the identity.
    calibration
        Slope and offset of the expected squared error of the latest image at a pixel against the members' variance there, see
        `napari_convgen.core.stopping.ensemble`; in the generator's units.
    votes
        Step that each rule would keep, by the rule's name.
    warnings
        Sentences on assumptions that do not hold.
    """

    step: int
    reason: StopReason | None = None
    interval: tuple[int, int] | None = None
    error: ErrorEstimate | None = None
    calibration: tuple[float, float] | None = None
    votes: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class StoppingRule(Protocol):
    """A rule that chooses the step that is kept. One object serves one fit.

    Attributes
    ----------
    needs_identity
        True if the rule holds for denoising only; then it refuses every operator but the identity.
    """

    needs_identity: bool

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Return the networks to fit: ``n_seeds`` that are kept, and others if the rule needs them.

        Parameters
        ----------
        problem
            Measurement, operator and noise.
        n_seeds
            Number of members that are kept, at least 1.
        rng
            The rule's own source of chance, on the CPU.

        Raises
        ------
        ConfigError
            The rule does not hold for this problem.
        """
        ...

    def begin(self, problem: Problem, members: Members) -> None:
        """Prepare for the fit; called once, before the first step."""
        ...

    def observe(self, iterate: Iterate) -> Float[Tensor, ""]:
        """Return the criterion at a step, on the device; NaN if there is none. Called at every step, in order.

        After the user has gone back to an earlier step, steps come again.
        """
        ...

    def judge(self, steps: Sequence[int]) -> Judgment:
        """Choose among the snapshots kept, ``steps``, the last of which has just been observed; forget all others."""
        ...


def is_over(step: int, best: int, patience: float, min_patience: int) -> bool:
    """Return True if the best step lies far enough back: ``step > best (1 + patience) + min_patience``."""
    return step > best * (1 + patience) + min_patience
