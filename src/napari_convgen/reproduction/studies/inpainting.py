"""The deep image prior, fitted to half the pixels of a photograph and to a photograph with fewer pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from napari_convgen.config import Config, preset
from napari_convgen.core.baselines.inverse.interpolation import biharmonic
from napari_convgen.core.quality.metrics import Scores, psnr, ssim
from napari_convgen.figures.panel import Curve, Panel, Picture, Plot
from napari_convgen.reproduction.images import photographs
from napari_convgen.reproduction.study import Claim, Study
from napari_convgen.run.reconstruct.run import reconstruct
from napari_convgen.run.simulate import simulate

Gray = Float[np.ndarray, "h w"]
"""An image in [0, 1]."""

PRIOR, SPLINE, BICUBIC = "deep image prior", "biharmonic equation", "bicubic interpolation"

MISSING = 0.5
"""Share of the pixels that are missing: the paper's."""

FACTOR = 4
"""Enlargement along each axis: the paper's smaller one."""

PUBLISHED = (29.90, 28.43)
"""PSNR in dB of the deep image prior and of bicubic interpolation in the paper, the mean over the photographs Set5, 4 times enlarged."""

LEAST_LEAD = 0.2
"""Difference in dB below which a lead is small: near the end of the small fit its PSNR varies by as much from step to step."""

FULL, QUICK = (256, 128, 5, 11_000, 2000), (64, 32, 4, 3000, 1200)
"""Side of the photograph in pixels, channels, scales, and steps to fill in and to enlarge: those of the authors' code, and small ones."""


@dataclass(frozen=True, eq=False)
class Restored:
    """A photograph that was restored by the deep image prior, and by a classical method.

    Attributes
    ----------
    seen
        Measured image; NaN where pixels are missing.
    prior
        Image of the deep image prior after the last step.
    classical
        Image of the classical method.
    course
        PSNR of the deep image prior in dB by step.
    """

    seen: Gray
    prior: Gray
    classical: Gray
    course: Mapping[int, float]


@dataclass(frozen=True, eq=False)
class Measured:
    """The photograph, filled in and enlarged.

    Attributes
    ----------
    truth
        The photograph.
    filled, enlarged
        Restorations from half of its pixels, and from one with fewer pixels.
    """

    truth: Gray
    filled: Restored
    enlarged: Restored

    def scores(self, image: Gray) -> Scores:
        """Return PSNR and SSIM of an image."""
        return Scores(psnr(image, self.truth, 1.0), ssim(image, self.truth, 1.0, None))


class Inpainting(Study[Measured]):
    """Fill in missing pixels and enlarge by the deep image prior, each fit to its last step.

    References
    ----------
    Ulyanov, Vedaldi and Lempitsky, "Deep image prior", Int. J. Comput. Vis. 128, 2020 (CVPR 2018), sections on super-resolution and
    inpainting, and the notebooks ``super-resolution`` and ``restoration`` of the authors' code.
    """

    def measure(self) -> Measured:
        """Fit the deep image prior to both measurements, without a stop."""
        side, n_channels, n_scales, n_filling, n_enlarging = FULL if self.setting.is_full else QUICK
        [(_, photograph)] = photographs(self.setting, side, 1)
        truth = photograph.mean(0)
        config = preset("deep-image-prior").replace(
            {
                "device": str(self.setting.device),
                "generator.n_channels": n_channels,
                "generator.n_fine_channels": n_channels,
                "generator.n_scales": n_scales,
            }
        )
        self.setting.report_progress("half of the pixels", 0)
        filled = _filled(truth, config.replace({"n_steps": n_filling}))
        self.setting.report_progress("enlarged", 0.7)
        return Measured(truth, filled, _enlarged(truth, config.replace({"n_steps": n_enlarging})))

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare the deep image prior with the classical methods."""
        tasks = (measured.enlarged, measured.filled)
        ours = [[measured.scores(image) for image in (task.prior, task.classical)] for task in tasks]
        said = [" and ".join(f"{each.psnr:.2f} dB (SSIM {each.ssim:.2f})" for each in pair) for pair in ours]
        leads = [first.psnr - second.psnr for first, second in ours]
        return [
            Claim(
                f"{FACTOR} times enlarged, {PRIOR} {PUBLISHED[0]:.2f} dB, {BICUBIC} {PUBLISHED[1]:.2f} dB",
                said[0],
                "the PSNR of the first is higher",
                leads[0] > 0,
                _because(leads[0], BICUBIC),
            ),
            Claim(
                f"with half of the pixels, the {PRIOR} is ahead of convolutional sparse coding",
                f"{said[1]} by the {SPLINE}",
                f"the PSNR of the first is higher; the {SPLINE} takes the place of sparse coding, which this package does not have",
                leads[1] > 0,
                _because(leads[1], f"the {SPLINE}"),
            ),
        ]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the photograph, what was measured of it, what was made of that, and the course of the fits."""
        tasks = {
            "filled in": (measured.filled, SPLINE),
            "enlarged": (measured.enlarged, BICUBIC),
        }
        pictures = [Picture("photograph", measured.truth, (0, 1))]
        for title, (task, classical) in tasks.items():
            pictures += [
                Picture(f"to be {title}", np.nan_to_num(task.seen), (0, 1)),
                Picture(f"{title}: {PRIOR}, {measured.scores(task.prior).psnr:.1f} dB", task.prior, (0, 1)),
                Picture(f"{title}: {classical}, {measured.scores(task.classical).psnr:.1f} dB", task.classical, (0, 1)),
            ]
        curves = [Curve(title, list(task.course), list(task.course.values())) for title, (task, _) in tasks.items()]
        return [*pictures, Plot("Fits", "step", "PSNR (dB)", curves, "log")]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the scores."""
        numbers: dict[str, Any] = {"side": len(measured.truth)}
        for name, task in (("filled", measured.filled), ("enlarged", measured.enlarged)):
            prior, classical = measured.scores(task.prior), measured.scores(task.classical)
            numbers[name] = {
                "psnr": [prior.psnr, classical.psnr],
                "ssim": [prior.ssim, classical.ssim],
                "best_psnr": max(task.course.values()),
            }
        return numbers

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        side = len(measured.truth)
        return [
            f"One gray photograph of {side} × {side} pixels takes the place of the paper's sets of photographs.",
            "The image of the generator after the last step counts, a number that was set before.",
        ]


def _because(lead: float, rival: str) -> str:
    """Say what a lead in dB means that is small or below 0."""
    if lead <= 0:
        return f"Against {rival}: the photograph is smaller than the paper's, and the fit has fewer channels and steps."
    return (
        f"The lead over {rival} is less than {LEAST_LEAD} dB: neighboring steps of the fit differ by as much."
        if lead < LEAST_LEAD
        else ""
    )


def _filled(truth: Gray, config: Config) -> Restored:
    """Leave out pixels at random, and fill them in."""
    made = simulate(truth, problem="inpaint", missing=MISSING)
    assert made.is_missing is not None
    result = reconstruct(made.measurement, config, problem="inpaint", reference=truth, data_range=1.0)
    is_missing = np.asarray(made.is_missing.data)
    classical = biharmonic(truth[np.newaxis], is_missing)[0]  # it sets missing pixels to 0 before it begins
    return Restored(np.where(is_missing, np.nan, truth), result.generator_image, classical, result.psnr_by_step)


def _enlarged(truth: Gray, config: Config) -> Restored:
    """Take a photograph with fewer pixels, made by Lanczos' filter as in the paper, and enlarge it."""
    settings: dict[str, Any] = {"factor": FACTOR, "weighting": "lanczos"}
    seen = np.asarray(simulate(truth, problem="enlarge", **settings).measurement.data)
    result = reconstruct(seen, config, problem="enlarge", reference=truth, data_range=1.0, **settings)
    size = (truth.shape[1], truth.shape[0])
    classical = np.asarray(Image.fromarray(seen).resize(size, Image.Resampling.BICUBIC), np.float64)
    return Restored(seen, result.generator_image, classical, result.psnr_by_step)
