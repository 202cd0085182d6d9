"""The phase of cells from a few images through focus, with the aberrations of the microscope found and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from napari_convgen.config import preset
from napari_convgen.core.image import Image
from napari_convgen.core.optics.zernike import FIRST
from napari_convgen.figures.panel import Curve, Panel, Picture, Plot
from napari_convgen.reproduction.study import Claim, Study
from napari_convgen.run.reconstruct.run import reconstruct
from napari_convgen.run.simulate import simulate
from napari_convgen.samples import (
    CELLS_ABERRATIONS,
    CELLS_PHOTONS,
    CELLS_PIXEL,
    CELLS_PLANES,
    CELLS_SEED,
    CELLS_STEP,
    phase_of_cells,
)

Phase = Float[np.ndarray, "h w"]
"""A phase in radians, with a mean of 0."""

FULL, QUICK = (128, 64, 1000, 3), (64, 48, 300, 2)
"""Side in pixels, channels, steps and starts: the sample's side and the preset's channels and starts; small ones."""

MOST_SHARE = 1 / 3
"""Largest error of the coefficients, relative to their size, that counts as found. Our choice, no number of the paper."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Phases and aberrations.

    Attributes
    ----------
    truth
        The phase of the cells.
    calibrated, ignored
        Phases that were found together with the aberrations, and with aberrations of 0.
    aberrations
        Zernike coefficients that were found, in radians from defocus on.
    in_focus
        Image of the plane in focus, relative to its mean.
    """

    truth: Phase
    calibrated: Phase
    ignored: Phase
    aberrations: Float[np.ndarray, " k"]
    in_focus: Float[np.ndarray, "h w"]

    def error(self, phase: Phase) -> float:
        """Return the root mean square error of a phase in radians, without its mean, which no image shows."""
        return float(np.std(phase - self.truth))

    @property
    def aberration_error(self) -> float:
        """Norm of the error of the coefficients: the root mean square over the pupil, in radians."""
        return float(np.linalg.norm(self.aberrations - np.array(CELLS_ABERRATIONS)))


class PhaseDecoder(Study[Measured]):
    """Fit a deep decoder to images of a phase through focus, with unknown aberrations and with none.

    References
    ----------
    Bostan, Heckel, Chen, Kellman and Waller, "Deep phase decoder: self-calibrating phase microscopy with an untrained deep neural network",
    Optica 7, 2020.
    """

    def measure(self) -> Measured:
        """Simulate the images, and fit both."""
        side, n_channels, n_steps, n_starts = FULL if self.setting.is_full else QUICK
        phase = phase_of_cells(np.random.default_rng(CELLS_SEED), side)
        seen = simulate(
            Image(phase, "YX", (CELLS_PIXEL, CELLS_PIXEL), ("micrometer", "micrometer")),
            problem="phase",
            n_planes=CELLS_PLANES,
            z_step=CELLS_STEP,
            aberrations=CELLS_ABERRATIONS,
            photons=CELLS_PHOTONS,
        ).measurement
        config = preset("deep-decoder").replace(
            {
                "device": str(self.setting.device),
                "generator.n_channels": n_channels,
                "n_steps": n_steps,
                "n_seeds": 1,
                "output": "iterate",
                "stopping.kind": "fixed",
            }
        )
        results = []
        for number, n_zernikes in enumerate((len(CELLS_ABERRATIONS), 0)):
            self.setting.report_progress(f"{n_zernikes} aberrations", number / 2)
            results.append(reconstruct(seen, config, problem="phase", n_zernikes=n_zernikes, n_starts=n_starts))
        calibrated, ignored = (result.generator_image for result in results)
        middle = np.asarray(seen.data)[CELLS_PLANES // 2]
        return Measured(
            phase - phase.mean(), calibrated, ignored, results[0].extras["zernikes"], middle / middle.mean()
        )

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare the aberrations with those of the simulation, and both phases."""
        size, error = float(np.linalg.norm(CELLS_ABERRATIONS)), measured.aberration_error
        calibrated, ignored = measured.error(measured.calibrated), measured.error(measured.ignored)
        return [
            Claim(
                "the aberrations are found from the images alone, together with the phase",
                f"{len(CELLS_ABERRATIONS)} Zernike coefficients to {error:.3f} radians, where their root sum of squares is {size:.3f}",
                "the root sum of squares of the errors is below a third of that",
                error < MOST_SHARE * size,
            ),
            Claim(
                "the phase is better than without a calibration of the aberrations",
                f"root mean square error {calibrated:.3f} radians, {ignored:.3f} if aberrations are taken to be 0",
                "the first is smaller",
                calibrated < ignored,
            ),
        ]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show an image, the phases, and the aberrations."""
        limits = (float(measured.truth.min()), float(measured.truth.max()))
        nolls = FIRST + np.arange(len(CELLS_ABERRATIONS))
        bars = [
            Curve("simulated", nolls, CELLS_ABERRATIONS, "line"),
            Curve("found", nolls, measured.aberrations, "dots"),
        ]
        return [
            Picture("image in focus", measured.in_focus),
            Picture("phase", measured.truth, limits),
            Picture("aberrations found", measured.calibrated, limits),
            Picture("aberrations ignored", measured.ignored, limits),
            Plot("Aberrations", "Noll's number", "radians", bars),
        ]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the coefficients and the errors, in radians."""
        return {
            "simulated": list(CELLS_ABERRATIONS),
            "found": measured.aberrations.tolist(),
            "aberration_error": measured.aberration_error,
            "phase_error": measured.error(measured.calibrated),
            "phase_error_if_ignored": measured.error(measured.ignored),
            "phase_size": float(np.std(measured.truth)),
        }

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        side = len(measured.truth)
        return [
            f"The images are simulated: {CELLS_PLANES} planes of {side} × {side} pixels of cells by formula, with at most "
            f"{CELLS_PHOTONS:g} photons a pixel. The paper's are measured.",
            "Aberrations and a first phase are found from several starts, as this package always does; the decoder is then fitted to the "
            "images near them. The paper fits the decoder and the aberrations in one descent.",
        ]
