"""Accelerated magnetic resonance imaging: three generators fitted to the same undersampled k-space of several coils."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from napari_convgen.config import Config, preset
from napari_convgen.core.mri.simulation import equispaced, head, scan
from napari_convgen.core.quality.metrics import Scores, psnr, reference_range, ssim
from napari_convgen.figures.panel import Curve, Panel, Picture, Plot
from napari_convgen.reproduction.study import Claim, Study
from napari_convgen.run.labels import format_share
from napari_convgen.run.reconstruct.run import reconstruct

Gray = Float[np.ndarray, "h w"]
"""A magnitude image, with a maximum near 1."""

CONV_DECODER, DECODER, PRIOR = "ConvDecoder", "deep decoder", "deep image prior"

PUBLISHED = {CONV_DECODER: (31.62, 0.75), DECODER: (29.14, 0.67), PRIOR: (25.99, 0.42)}
"""PSNR in dB and SSIM of a slice of a knee, in the authors' notebook ``ConvDecoder_vs_DIP_vs_DD_multicoil``."""

LEARNING_RATE = 0.008
"""Learning rate of all fits: that of the authors' notebook."""

ACCELERATION = 4
"""Distance of the sampled rows of k-space, apart from those in the middle: the paper's acceleration, which counts these too."""

NOISE = 0.01
"""Standard deviation of the noise of k-space relative to the image's maximum, as in the sample scan of this package."""

PLAIN: Mapping[str, Any] = {"padding": "zeros", "input_noise": 0.0}
"""Settings of the deep image prior in the authors' notebook, where its preset has reflections and noise on the input."""

Nets = Mapping[str, Mapping[str, Any]]
"""Settings of each generator, by its name."""

FULL: tuple[tuple[int, int], int, int, Nets] = (
    (320, 320),
    26,
    20_000,
    {
        CONV_DECODER: {"kind": "conv-decoder", "n_channels": 160, "n_layers": 8, "latent_size": 8},
        DECODER: {"n_channels": 368, "n_scales": 5, "extra_layer": "none"},
        PRIOR: {"n_channels": 256, "n_fine_channels": 256, "n_scales": 7, **PLAIN},
    },
)
"""Size of the image, rows in the middle of k-space that are sampled, steps and nets: size and share of rows (8 %) are those of fastMRI;
channels, layers and steps those of the authors' notebook; scales what this image allows."""

QUICK: tuple[tuple[int, int], int, int, Nets] = (
    (80, 64),
    12,
    2000,
    {
        CONV_DECODER: {"kind": "conv-decoder", "n_channels": 20, "n_layers": 6, "latent_size": 8},
        DECODER: {"n_channels": 46, "n_scales": 4, "extra_layer": "none"},
        PRIOR: {"n_channels": 32, "n_fine_channels": 32, "n_scales": 5, **PLAIN},
    },
)
"""The same, small: an eighth of the channels, so that the fits are as long as a minute and a half on a core allows."""

SIZE_NOTE = (
    "The sizes of this small study were chosen after others had been tried. The order of the generators depends on channels and steps, and "
    "this is one image and one seed."
)
"""How far the small study can be trusted."""


def make_config(name: str, n_steps: int, generator: Mapping[str, Any], device: str) -> Config:
    """Return the configuration of a generator's fit to the end.

    Parameters
    ----------
    name
        Name of the generator.
    n_steps
        Number of steps.
    generator
        Settings of the generator.
    device
        Name of the device.
    """
    own = {f"generator.{setting}": value for setting, value in generator.items()}
    changes = {"device": device, "n_steps": n_steps, "optimizer.learning_rate": LEARNING_RATE}
    return preset("deep-image-prior" if name == PRIOR else "paper").replace({**own, **changes})


@dataclass(frozen=True, eq=False)
class Measured:
    """Images of the generators.

    Attributes
    ----------
    truth
        Magnitude of the image that was scanned.
    images
        Magnitude of each generator's image at the step of the least loss among those that were kept.
    courses
        PSNR of each generator's image in dB by step.
    """

    truth: Gray
    images: Mapping[str, Gray]
    courses: Mapping[str, Mapping[int, float]]

    @property
    def scores(self) -> dict[str, Scores]:
        """PSNR and SSIM of each image."""
        peak = reference_range(self.truth)
        return {
            name: Scores(psnr(image, self.truth, peak), ssim(image, self.truth, peak, None))
            for name, image in self.images.items()
        }


class AcceleratedMRI(Study[Measured]):
    """Fit a ConvDecoder, a deep decoder and a deep image prior to the same scan, for the same number of steps.

    References
    ----------
    Darestani and Heckel, "Accelerated MRI with un-trained neural networks", IEEE Trans. Comput. Imaging 7, 2021, and the notebook
    ``ConvDecoder_vs_DIP_vs_DD_multicoil`` of the authors' code.
    """

    @property
    def task(self) -> tuple[tuple[int, int], int, int, Nets]:
        """Size of the image, rows in the middle, steps, and nets."""
        return FULL if self.setting.is_full else QUICK

    def measure(self) -> Measured:
        """Fit each generator, and keep the step of the least loss, as the authors do."""
        size, n_calibration, n_steps, nets = self.task
        made = scan(head(size), equispaced(size, ACCELERATION, n_calibration), noise=NOISE)
        truth = np.abs(made.image)
        images, courses = {}, {}
        for number, (name, generator) in enumerate(nets.items()):
            self.setting.report_progress(name, number / len(nets))
            config = make_config(name, n_steps, generator, str(self.setting.device))
            result = reconstruct(made.kspace, config, problem="sense", reference=truth)
            images[name] = np.abs(min(result.snapshots, key=lambda snapshot: snapshot.loss).image)
            courses[name] = result.psnr_by_step
        return Measured(truth, images, courses)

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare each generator with those behind it in the authors' notebook."""
        scores = measured.scores
        ours = {name: f"{each.psnr:.2f} dB (SSIM {each.ssim:.2f})" for name, each in scores.items()}
        theirs = {name: f"{decibels:.2f} dB (SSIM {share:.2f})" for name, (decibels, share) in PUBLISHED.items()}
        claims = []
        for first, second in combinations(PUBLISHED, 2):
            agrees = scores[first].psnr > scores[second].psnr
            claims.append(
                Claim(
                    f"{first} {theirs[first]}, {second} {theirs[second]}",
                    f"{ours[first]} and {ours[second]}",
                    "the PSNR of the first is higher",
                    agrees,
                    "" if agrees else f"The {second} is ahead of the {first} on this image, with these nets and steps.",
                )
            )
        return claims

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the image, those of the generators, and the course of the fits."""
        limits = (0.0, float(measured.truth.max()))
        pictures = [Picture("image", measured.truth, limits)]
        for name, image in measured.images.items():
            pictures.append(Picture(f"{name}: {measured.scores[name].psnr:.1f} dB", image, limits))
        curves = [Curve(name, list(course), list(course.values())) for name, course in measured.courses.items()]
        return [*pictures, Plot("Fits", "step", "PSNR (dB)", curves, "log")]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the scores, and the best PSNR among the steps that were kept."""
        scores = measured.scores
        return {
            "psnr": {name: each.psnr for name, each in scores.items()},
            "ssim": {name: each.ssim for name, each in scores.items()},
            "best_psnr": {name: max(course.values()) for name, course in measured.courses.items()},
        }

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        (rows, columns), n_calibration, n_steps, _ = self.task
        share = equispaced((rows, columns), ACCELERATION, n_calibration).mean()
        return [
            f"The scan is of a head by formula, {rows} × {columns} pixels and 8 coils, one row of k-space in {ACCELERATION} and "
            f"{n_calibration} in the middle: {format_share(share)} of all rows. The paper's are knees of the fastMRI data, of whose lines "
            "a quarter was sampled, those in the middle included.",
            f"The images are the generators' own at the step of the least loss in {n_steps}, with estimated sensitivities of the coils. "
            "The authors fit an image for each coil, and put the measured k-space in the place of the generator's afterwards.",
            *(() if self.setting.is_full else (SIZE_NOTE,)),
        ]
