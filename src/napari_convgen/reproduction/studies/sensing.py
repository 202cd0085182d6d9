"""Compressive sensing: an image from a third as many sums of pixels as there are pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from napari_convgen.config import preset
from napari_convgen.figures.panel import Curve, Panel, Picture, Plot
from napari_convgen.reproduction.images import describe_photographs, photographs
from napari_convgen.reproduction.nets import NORM_INIT, NORM_NOTE
from napari_convgen.reproduction.study import Claim, Study
from napari_convgen.run.labels import format_share
from napari_convgen.run.reconstruct.run import reconstruct
from napari_convgen.run.simulate import simulate

Gray = Float[np.ndarray, "h w"]
"""An image in [0, 1]."""

SHARES = (0.1, 0.2, 1 / 3)
"""Numbers of sums, relative to that of the pixels; the last is that of the authors' example."""

FULL, QUICK = (256, 256, 5, 3000), (64, 64, 3, 1200)
"""Side of the image in pixels, channels, scales and steps: those of the authors' example, and small ones."""

PUBLISHED = 0.08
"""Relative error in the authors' example, of 256² pixels and 256 channels."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Reconstructions, one for each share.

    Attributes
    ----------
    truth
        The image, in [0, 1].
    images
        Images of the generator after the last step.
    losses
        Loss of each fit by step, relative to the first.
    side
        Side of the image in pixels.
    """

    truth: Gray
    images: Sequence[Gray]
    losses: Sequence[NDArray[np.float64]]
    side: int

    @property
    def errors(self) -> list[float]:
        """Norm of the error over that of the image."""
        return [float(np.linalg.norm(image - self.truth) / np.linalg.norm(self.truth)) for image in self.images]


class CompressiveSensing(Study[Measured]):
    """Fit a decoder through random signs, cosines and random rows of them, to the end.

    References
    ----------
    Heckel and Soltanolkotabi, "Compressive sensing with un-trained neural networks: Gradient descent finds a smooth approximation",
    ICML 2020, and the compressive sensing example of the authors' code.
    """

    def measure(self) -> Measured:
        """Fit each measurement, without a stop."""
        side, n_channels, n_scales, n_steps = FULL if self.setting.is_full else QUICK
        [(_, photograph)] = photographs(self.setting, side, 1)
        truth = photograph.mean(0)
        config = preset("paper").replace(
            {
                "device": str(self.setting.device),
                "generator.n_channels": n_channels,
                "generator.n_scales": n_scales,
                "generator.norm_init": NORM_INIT,
                "generator.extra_layer": "none",
                "n_steps": n_steps,
            }
        )
        images, losses = [], []
        for number, share in enumerate(SHARES):
            self.setting.report_progress(f"{format_share(share)} of the pixels", number / len(SHARES))
            sums = simulate(truth, problem="sensing", measured=share).measurement
            result = reconstruct(sums, config, problem="sensing", n_rows=side, n_columns=side)
            images.append(result.generator_image)
            losses.append(np.array(result.loss) / result.loss[0])
        return Measured(truth, images, losses, side)

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare the error at a third of the pixels, and its fall with the number of sums."""
        errors = measured.errors
        return [
            Claim(
                f"from a third as many sums as pixels the relative error is {PUBLISHED}",
                f"{errors[-1]:.3f} at {measured.side}² pixels",
                "a factor of 2: theirs is another image, with 16 times the pixels",
                PUBLISHED / 2 < errors[-1] < 2 * PUBLISHED,
            ),
            Claim(
                "the more sums, the smaller the error",
                ", ".join(f"{error:.3f} at {format_share(share)}" for share, error in zip(SHARES, errors, strict=True)),
                "it falls from each to the next",
                all(a > b for a, b in pairwise(errors)),
            ),
        ]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the image, what is made of its sums, and the course of the fits."""
        pictures = [Picture("image", measured.truth)]
        pictures += [Picture(format_share(share), image) for share, image in zip(SHARES, measured.images, strict=True)]
        steps = np.arange(1, len(measured.losses[0]) + 1)
        curves = [Curve(format_share(share), steps, loss) for share, loss in zip(SHARES, measured.losses, strict=True)]
        return [*pictures, Plot("Fits", "step", "loss (first: 1)", curves, "log", "log")]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the errors."""
        return {"side": measured.side, "shares": list(SHARES), "errors": measured.errors}

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the authors' setting."""
        return [describe_photographs(self.setting, 1, measured.side), NORM_NOTE]
