"""The protocol between the loop and the rules that say which step of a fit to keep, and when to end it.

The loop in `napari_convgen.core.fit.loop` asks a rule four things: which nets to fit together and to which pixels, to get ready, its
criterion at each step, and its judgment whenever a snapshot has been taken. A new rule is a new file here and a name in
`napari_convgen.run.rules`; the loop stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.problem import PixelWorth, Problem
from napari_convgen.core.snapshot import Output, StopReason


@dataclass(frozen=True, eq=False)
class Members:
    """The nets that are fitted together, each on its own.

    Attributes
    ----------
    measurements
        What each member is fitted to.
    weights
        Of the pixels in each member's loss; 0 leaves a pixel out.
    starts
        Members with the same number start alike, and see the same perturbations.
    is_kept
        Whether a member's output goes into the image, which is the mean over those that do; one at least.
    """

    measurements: Float[Tensor, "m c *spatial"]
    weights: Float[Tensor, "m c *spatial"]
    starts: tuple[int, ...]
    is_kept: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.starts)


def plain_members(problem: Problem, n_seeds: int) -> Members:
    """Return ``n_seeds`` members with different starts that fit every observed pixel and are all kept."""
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
        From 1.
    loss
        Mean squared error over the fitted pixels, mean over the kept members.
    outputs
        Of each member, detached.
    averages
        Running average of each member's outputs; the next step changes it in place.
    is_snapshot
        Whether a snapshot is taken of this step.
    kept
        Numbers of the kept members; the image is the mean over them.
    is_settled
        As of the generator.
    """

    step: int
    loss: Float[Tensor, ""]
    outputs: Float[Tensor, "m c *spatial"]
    averages: Float[Tensor, "m c *spatial"]
    is_snapshot: bool
    kept: tuple[int, ...] = (0,)
    is_settled: bool = True

    @property
    def output(self) -> Float[Tensor, "c *spatial"]:
        """The raw image of this step."""
        return self._mean(self.outputs)

    @property
    def average(self) -> Float[Tensor, "c *spatial"]:
        """The running average of the images up to this step."""
        return self._mean(self.averages)

    def image(self, output: Output) -> Float[Tensor, "c *spatial"]:
        """The image of that kind."""
        return self.average if output == "average" else self.output

    def images(self, output: Output) -> Float[Tensor, "m c *spatial"]:
        """The image of that kind of each member."""
        return self.averages if output == "average" else self.outputs

    def kept_images(self, output: Output) -> Float[Tensor, "k c *spatial"]:
        """The image of that kind of each kept member."""
        images = self.images(output)
        return images if len(self.kept) == len(images) else torch.stack([images[i] for i in self.kept])

    def _mean(self, images: Tensor) -> Tensor:
        if len(self.kept) == 1:
            return images[self.kept[0]]
        total = images[self.kept[0]] + images[self.kept[1]]
        for i in self.kept[2:]:
            total += images[i]
        return total / len(self.kept)


@dataclass(frozen=True)
class ErrorEstimate:
    """How far the kept image is from the clean one, in the user's units squared, see `napari_convgen.core.problem.PixelWorth`.

    Attributes
    ----------
    mse
        Estimated mean squared error; above 0.
    deviation
        Standard error of it.
    """

    mse: float
    deviation: float

    @classmethod
    def of_terms(
        cls,
        worth: PixelWorth,
        squares: Float[Tensor, "c *spatial"],
        of_noise: Float[Tensor, "c *spatial"],
        level_error: float,
        n_alike: float = 1,
    ) -> Self | None:
        """Tell the error from unbiased estimates of its square, pixel by pixel; ``None`` of an image of background alone.

        Parameters
        ----------
        worth
            Of the pixels.
        squares, of_noise
            The estimate is their difference, in the generator's units; the second has the noise level in it.
        level_error
            Relative error of the noise level.
        n_alike
            Pixels that count as one.
        """
        if not worth.unit > 0:
            return None
        terms = squares - of_noise
        mean = worth.mean(terms)
        of_pixels = float((worth.weights * (terms - mean)).norm()) * math.sqrt(n_alike)
        deviation = math.hypot(of_pixels, 2 * level_error * worth.mean(of_noise))
        return cls(worth.unit * max(mean, 0.1 * deviation), worth.unit * deviation)


@dataclass(frozen=True)
class Judgment:
    """What a rule says after a snapshot.

    Attributes
    ----------
    step
        The snapshot to keep, were the fit to end now.
    reason
        Why the fit should end now, or ``None`` to go on.
    interval
        First and last snapshot that cannot be told from the best.
    error
        Of the kept image.
    calibration
        Slope and offset of the expected squared error of the kept image at a pixel against the members' variance there, see
        `napari_convgen.core.stopping.ensemble`; in the generator's units.
    votes
        The step that each rule would keep, by the rule's name.
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
    """Chooses the step that is kept. One object serves one fit."""

    def members(self, problem: Problem, n_seeds: int, rng: torch.Generator) -> Members:
        """Return the nets to fit: ``n_seeds`` that are kept, and others if the rule needs them.

        ``rng`` is the rule's own source of chance, on the CPU.
        """
        ...

    def begin(self, problem: Problem, members: Members) -> None:
        """Get ready; called once, before the first step."""
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
    """Tell whether the best step lies far enough back: ``step > best (1 + patience) + min_patience``."""
    return step > best * (1 + patience) + min_patience
