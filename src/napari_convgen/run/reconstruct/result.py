"""What a reconstruction returns."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import Layout, magnitude
from napari_convgen.core.optics.zernike import FIRST
from napari_convgen.core.quality.metrics import Scores
from napari_convgen.core.snapshot import Snapshot, StopReason
from napari_convgen.figures.panel import Curve, Panel, Picture, Plot
from napari_convgen.run.denoise.result import Reference, score, versions, without_nan
from napari_convgen.run.labels import format_place, format_seconds
from napari_convgen.run.shown import ShownResult, fit_plots, shown_planes

BAR = 0.3
"""Half the width of a bar of an aberration."""


def _bars(values: NDArray[Any]) -> Curve:
    """Return a curve that outlines a bar for each aberration, from defocus on."""
    x, y = [], []
    for noll, value in enumerate(values, FIRST):
        x += [noll - BAR, noll - BAR, noll + BAR, noll + BAR]
        y += [0.0, float(value), float(value), 0.0]
    return Curve("", x, y)


@dataclass(frozen=True, eq=False, repr=False)
class ReconstructResult(ShownResult):
    """The outcome of a reconstruction. In a terminal it is shown in five lines, in a notebook with a picture and curves.

    Attributes
    ----------
    problem
        Name of the problem that was solved.
    image
        Reconstructed image in the measurement's units, near the generator's and in agreement with the measurement; float32 but for
        ``"inpaint"``. It has the measurement's axes, with more pixels along them for ``"enlarge"``.
    generator_image
        Image of the generator at the step that is kept.
    rho
        Weight of the distance between both, relative to the squared norm of the operator; infinite if they are the same.
    residual
        Difference between the measurement that ``image`` predicts and the actual one, in its units, channels first; NaN where nothing was
        measured.
    config
        Configuration that reproduces it.
    measurement_error
        Root mean square error with which entries of the measurement are predicted that were held out, noise included, in the units of
        the measurement: it is not the error of the image. ``None`` if nothing was held out, or channels have different units.
    extras
        Other results by name. ``"sense"`` has ``coil_maps``, ``is_sampled`` and ``first_image``, a coarse image after a few steps of
        conjugate gradients (CG-SENSE), and ``"sensing"`` has ``first_image``, the smoothest one: the range of its values is that of the
        generator. ``"phase"`` has ``zernikes``, the aberrations in radians from Noll's number 4 on, ``pupil``, their
        sum over the frequencies of the phase (NaN beyond the aperture), and ``held_out_errors``, the error of each start, and of the best
        one's conjugate twin, at held-out entries relative to their noise.
    step
        Step that is kept.
    reason
        Reason why the fit ended.
    seed
        Seed of the start that led here: the configuration's, or a later one after a restart.
    loss, criterion
        Loss and criterion by step, from step 1; the criterion is NaN where the rule has none.
    snapshots
        Images of the generator at some steps; the one at ``step`` is among them.
    notes
        Sentences that the user should know.
    pixel_ratio
        Number of the image's pixels in one of the measurement along each spatial axis: 1 but for ``"enlarge"``.
    layout
        Meaning of the image's axes, which are the measurement's but for ``"sense"`` and ``"sensing"``.
    input
        Measurement that was given; NaN where it was to be filled in.
    device, n_threads, backend
        Device, number of threads of the CPU, and what computed the generator.
    seconds
        Seconds that it took, without loading and pauses.
    reference
        Ground truth in the shape of ``image``; ``None`` if it was not given.
    """

    problem: str
    image: NDArray[Any]
    generator_image: NDArray[Any]
    rho: float
    residual: NDArray[np.float32]
    measurement_error: float | None
    extras: Mapping[str, NDArray[Any]]
    config: Config
    step: int
    reason: StopReason
    seed: int
    loss: tuple[float, ...]
    criterion: tuple[float, ...]
    snapshots: tuple[Snapshot, ...]
    notes: tuple[str, ...]
    pixel_ratio: tuple[int, ...]
    layout: Layout
    input: Any
    device: str
    n_threads: int
    backend: str
    seconds: float
    reference: Reference | None = None

    def scores(self, image: NDArray[Any]) -> Scores:
        """Score an image of the reconstruction's shape, or its magnitude, against the reference, which must have been given."""
        assert self.reference is not None
        return score(magnitude(image), self.reference, self.layout)

    @functools.cached_property
    def psnr_by_step(self) -> dict[int, float]:
        """PSNR in dB of each snapshot, an image of the generator, against the reference; empty without one."""
        return {} if self.reference is None else {s.step: self.scores(s.image).psnr for s in self.snapshots}

    @property
    def _image_layout(self) -> Layout:
        """Meaning of the axes of the image, which has no coils."""
        spatial = self.layout.spatial
        return self.layout if len(self.layout.axes) == self.image.ndim else Layout(spatial, spatial)

    def panels(self) -> list[Panel]:
        """Return the content of `plot`: the image (the middle of a volume), and the curves of the fit."""
        planes = shown_planes({f"Step {self.step}": self.image}, self._image_layout)
        fit = fit_plots(self.loss, self.criterion, self.config.stopping.criterion, self.step)
        return [*planes, *self.instrument_panels(), *fit]

    def instrument_panels(self) -> list[Panel]:
        """Return what was found of the instrument: the aberrations of a microscope, and the phase of its pupil; else nothing."""
        if "pupil" not in self.extras or not len(self.extras["zernikes"]):
            return []
        found, pupil = self.extras["zernikes"], self.extras["pupil"]
        seen = np.isfinite(pupil)
        pupil = np.nan_to_num(pupil[seen.any(1)][:, seen.any(0)])
        most = np.abs(pupil).max()
        return [
            Plot("Aberrations", "Noll's number", "radians", [_bars(found)]),
            Picture(f"Phase of the pupil (radians, up to ±{most:.2g})", pupil, is_signed=True),
        ]

    def lines(self) -> Iterator[str]:
        """Say in five lines what the result is."""
        shape = " × ".join(map(str, self.image.shape))
        yield f"{type(self).__name__} of the problem {self.problem!r}: {shape} ({self._image_layout.axes}), {self.image.dtype}"
        yield f"Kept step {self.step}. {self.reason}"
        near = (
            "the generator's" if math.isinf(self.rho) else "near the generator's, and in agreement with the measurement"
        )
        yield f"The image is {near}."
        yield self.prediction or "No entry of the measurement was held out."
        yield f"{format_seconds(self.seconds)} on {format_place(self.device, self.backend, self.n_threads)}, {self._count_notes()}."

    @property
    def prediction(self) -> str:
        """Sentence on how well held-out entries of the measurement are predicted, not on the error of the image; empty without any."""
        if self.measurement_error is None:
            return ""
        return (
            f"Held-out entries of the measurement are predicted to {self.measurement_error:.3g}, their noise included."
        )

    def report(self) -> dict[str, Any]:
        """Return the run as plain values for JSON: what was run, how it ended, the curves, and the scores if there is a reference."""
        report: dict[str, Any] = {
            "problem": self.problem,
            "config": self.config.model_dump(),
            "versions": versions(),
            "seed": self.seed,
            "device": self.device,
            "n_threads": self.n_threads,
            "backend": self.backend,
            "step": self.step,
            "reason": str(self.reason),
            "measurement_error": self.measurement_error,
            "outcome": self.reason.outcome.value,
            "rho": self.rho,
            "notes": list(self.notes),
            "axes": self.layout.axes,
            "pixel_ratio": list(self.pixel_ratio),
            "dtype": str(self.image.dtype),
            "input_dtype": str(self.input.dtype),
            "seconds": self.seconds,
            "seconds_per_step": self.seconds / len(self.loss),
            "curves": {
                "step": list(range(1, len(self.loss) + 1)),
                "loss": list(self.loss),
                "criterion": list(self.criterion),
            },
        }
        report |= {name: self.extras[name].tolist() for name in ("zernikes", "held_out_errors") if name in self.extras}
        if self.reference is not None:
            result, generator = self.scores(self.image), self.scores(self.generator_image)
            report |= {
                "psnr": result.psnr,
                "ssim": result.ssim,
                "generator_psnr": generator.psnr,
                "generator_ssim": generator.ssim,
                "data_range": self.reference.data_range,
                "psnr_by_step": {"step": list(self.psnr_by_step), "psnr": list(self.psnr_by_step.values())},
            }
        plain: dict[str, Any] = without_nan(report)
        return plain
