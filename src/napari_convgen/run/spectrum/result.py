"""What the Jacobian of a generator says of an image, its pictures, and its form as a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import ImageTensor
from napari_convgen.core.spectra.descent import Descent
from napari_convgen.core.spectra.jacobian import Group
from napari_convgen.figures.panel import Curve, Panel, Picture, Plot

MARKS = (0.5, 0.9, 0.99)
"""Shares of an image's energy whose number of vectors is told."""

N_SHOWN_VECTORS = 6
"""Singular vectors in the figure."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The generator's Jacobian J after a number of steps of the fit, each channel's mean apart, beside the noisy image.

    All is in the generator's units: noise stabilized, image scaled to [0.05, 0.95].

    Attributes
    ----------
    step
        Steps that the fit had taken; 0 is the generator's start.
    singular_values
        The largest, falling.
    errors
        Bound of how far each is from one of J's, from its residual. Where singular values lie apart they are far nearer.
    left_vectors
        Of each, an image of length 1 whose channels have no mean: shape ``(rank, c, *spatial)``; 0 where the image is not observed. Of
        each pair of opposite signs the one whose largest value is positive.
    coefficients
        Of the noisy image, its means taken out, in these vectors.
    image_energy
        Share of the noisy image's energy in the first 1, 2, … vectors.
    noise_energy
        Share that white noise has there, on average: their number over that of all values less the means.
    sensitivity, sensitivity_error
        Diagonal of JJ', shape ``(c, *spatial)``: how far a pixel moves with the parameters, squared; and its standard error.
    trace, trace_error
        Sum of all squared singular values, and its standard error.
    tail_ranks, tail_values
        Beyond the largest: about how many singular values are larger than each of these.
    alignment
        Length of J'y for the image y, over that of y, means taken out.
    noise_alignment
        The same for draws of white noise.
    descent
        Gradient descent from here as the linearization foresees it; ``None`` if the noise level is not known.
    angles
        Between the vectors' space and that at the first of the steps, rising, in radians.
    """

    step: int
    singular_values: Float[np.ndarray, "r"]
    errors: Float[np.ndarray, "r"]
    left_vectors: Float[np.ndarray, "r c *spatial"]
    coefficients: Float[np.ndarray, "r"]
    image_energy: Float[np.ndarray, "r"]
    noise_energy: Float[np.ndarray, "r"]
    sensitivity: Float[np.ndarray, "c *spatial"]
    sensitivity_error: Float[np.ndarray, "c *spatial"]
    trace: float
    trace_error: float
    tail_ranks: Float[np.ndarray, "t"]
    tail_values: Float[np.ndarray, "t"]
    alignment: float
    noise_alignment: Float[np.ndarray, "d"]
    descent: Descent | None
    angles: Float[np.ndarray, "r"]

    @property
    def rank(self) -> int:
        """Number of singular values."""
        return len(self.singular_values)

    @property
    def marks(self) -> dict[float, int | None]:
        """How many vectors hold 50, 90 and 99 % of the image's energy; ``None`` if more than there are."""
        counts = {mark: int(np.searchsorted(self.image_energy, mark)) + 1 for mark in MARKS}
        return {mark: n if n <= self.rank else None for mark, n in counts.items()}


@dataclass(frozen=True, eq=False)
class SpectrumResult:
    """The Jacobian at one or several steps, beside an image.

    Attributes
    ----------
    spectra
        One for each step, rising.
    groups
        Of the parameters that the Jacobian is taken for.
    config
        Of the generator and its fit.
    image
        The frame in the generator's units.
    notes
        What the user should know.
    seconds
        That it took.
    device, n_threads
        That it was computed on.
    """

    spectra: tuple[Spectrum, ...]
    groups: tuple[Group, ...]
    config: Config
    image: ImageTensor
    notes: tuple[str, ...]
    seconds: float
    device: str
    n_threads: int

    def projection(self, n_vectors: int, position: int = 0) -> NDArray[Any]:
        """Return what the image has in the first vectors, and its means, in the image's shape, dtype and units.

        Parameters
        ----------
        n_vectors
            All if there are fewer.
        position
            Of the step.
        """
        spectrum = self.spectra[position]
        drawn = np.tensordot(spectrum.coefficients[:n_vectors], spectrum.left_vectors[:n_vectors], 1)
        values = self.image.values
        over = tuple(range(1, values.ndim))
        mean = np.mean(values, axis=over, keepdims=True, where=self.image.is_observed)
        return self.image.restore(drawn + mean, is_denoised=False)

    def remainder(self, n_vectors: int, position: int = 0) -> NDArray[np.float32]:
        """Return the image less its `projection`, in its units."""
        difference: NDArray[np.float32] = self.image.frame.astype(np.float32) - self.projection(n_vectors, position)
        return difference

    def report(self) -> dict[str, Any]:
        """Return all but the images, as JSON can write it."""
        return {
            "groups": list(self.groups),
            "config": self.config.model_dump(),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 2),
            "device": self.device,
            "n_threads": self.n_threads,
            "spectra": [_record(spectrum) for spectrum in self.spectra],
        }

    def table(self) -> list[tuple[str | float, ...]]:
        """Return the names of columns, and a row for each singular value of each step."""
        head = ("step", "number", "singular_value", "error", "coefficient", "image_energy", "noise_energy")
        rows: list[tuple[str | float, ...]] = [head]
        for spectrum in self.spectra:
            columns = (
                spectrum.singular_values,
                spectrum.errors,
                spectrum.coefficients,
                spectrum.image_energy,
                spectrum.noise_energy,
            )
            rows += [(spectrum.step, i, *map(float, row)) for i, row in enumerate(zip(*columns, strict=True), 1)]
        return rows

    def panels(self) -> list[Panel]:
        """Return the figure: values, energies, alignment and descent, then the first step's sensitivity and vectors."""
        panels: list[Panel] = [_values(self.spectra), _energies(self.spectra), _alignments(self.spectra)]
        panels += _descents(self.spectra)
        first = self.spectra[0]
        panels.append(Picture(f"Root of the sensitivity, step {first.step}", np.sqrt(_plane(first.sensitivity))))
        vectors = first.left_vectors[:N_SHOWN_VECTORS]
        titles = (f"Vector {i}, σ = {value:.3g}" for i, value in enumerate(first.singular_values, 1))
        return panels + [
            Picture(title, _plane(vector), is_signed=True) for title, vector in zip(titles, vectors, strict=False)
        ]


def _record(spectrum: Spectrum) -> dict[str, Any]:
    draws = spectrum.noise_alignment
    record: dict[str, Any] = {
        "step": spectrum.step,
        "rank": spectrum.rank,
        "trace": spectrum.trace,
        "trace_error": spectrum.trace_error,
        "vectors_for_energy": {f"{mark:.0%}": n for mark, n in spectrum.marks.items()},
        "alignment": {"image": spectrum.alignment, "noise": float(draws.mean()), "noise_deviation": float(draws.std())},
        "largest_angle": float(spectrum.angles[-1]),
    }
    if spectrum.descent is not None:
        descent = spectrum.descent
        record["descent"] = {
            "best_step": int(descent.steps[descent.best]),
            "loss": float(descent.loss[descent.best]),
            "risk": float(descent.risk[descent.best]),
            "freedom": float(descent.freedom[descent.best]),
            "rate": descent.rate,
            "is_last_foreseen": descent.best == len(descent.steps) - 1,
        }
    return record


def _values(spectra: Sequence[Spectrum]) -> Plot:
    curves = []
    for spectrum in spectra:
        name = f"step {spectrum.step}"
        curves.append(Curve(name, np.arange(1, spectrum.rank + 1), spectrum.singular_values))
        shown = spectrum.tail_values > 0
        curves.append(
            Curve(f"{name}, estimated", spectrum.tail_ranks[shown], spectrum.tail_values[shown], style="dashes")
        )
    return Plot("Singular values", "number", "singular value", curves, "log", "log")


def _energies(spectra: Sequence[Spectrum]) -> Plot:
    ranks = np.arange(1, spectra[0].rank + 1)
    curves = [Curve(f"image, step {spectrum.step}", ranks, spectrum.image_energy) for spectrum in spectra]
    curves.append(Curve("white noise", ranks, spectra[0].noise_energy, style="dashes"))
    marks = [(f"{mark:.0%}", n) for mark, n in spectra[0].marks.items() if n is not None]
    return Plot("Energy in the first vectors", "vectors", "share, means left out", curves, marks=marks)


def _alignments(spectra: Sequence[Spectrum]) -> Plot:
    curves = []
    for spectrum in spectra:
        draws = np.sort(spectrum.noise_alignment)
        curves.append(Curve(f"noise, step {spectrum.step}", draws, (np.arange(len(draws)) + 0.5) / len(draws)))
    marks = [(f"image, step {spectrum.step}", spectrum.alignment) for spectrum in spectra]
    return Plot("Length of J'y over that of y", "length", "share of draws below", curves, x_scale="log", marks=marks)


def _descents(spectra: Sequence[Spectrum]) -> list[Plot]:
    described = [(spectrum.step, spectrum.descent) for spectrum in spectra if spectrum.descent is not None]
    if not described:
        return []
    risk = [Curve(f"error, from step {step}", d.steps, d.risk.clamp_min(0)) for step, d in described]
    loss = [Curve(f"loss, from step {step}", d.steps, d.loss, style="dashes") for step, d in described]
    marks = [("best", float(d.steps[d.best])) for _, d in described]
    return [
        Plot("Gradient descent foreseen", "step", "mean squared", risk + loss, "log", "log", marks),
        Plot(
            "Degrees of freedom foreseen",
            "step",
            "values that the image follows",
            [Curve(f"from step {step}", d.steps, d.freedom) for step, d in described],
            "log",
            "log",
        ),
    ]


def _plane(image: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "rows columns"]:
    """The first channel, of a volume the middle slice, of a line a row."""
    channel = image[0]
    planes = channel.reshape(-1, *np.atleast_2d(channel).shape[-2:])
    plane: Float[np.ndarray, "rows columns"] = planes[len(planes) // 2]
    return plane
