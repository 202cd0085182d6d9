"""The result of a spectrum: a generator's Jacobian compared with an image, its figures, and its report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.columns import as_column
from napari_convgen.core.image import ImageTensor
from napari_convgen.core.snapshot import Units
from napari_convgen.core.spectra.descent import Descent
from napari_convgen.core.spectra.jacobian import Group
from napari_convgen.errors import ConfigError
from napari_convgen.figures.panel import Curve, Panel, Picture, Plot
from napari_convgen.run.labels import format_seconds, format_share
from napari_convgen.run.shown import ShownResult

MARKS = (0.5, 0.9, 0.99)
"""Shares of the image's energy for which the number of vectors is reported.

Chosen so that they tell how fast the energy rises: to half, most and nearly all of it."""

N_SHOWN_VECTORS = 6
"""Number of singular vectors in the figure. Chosen so that the figure fills three rows of four panels."""


FITTED = "The descent is predicted from step 0 alone: what a fitted generator has of the noise is not accounted for."
"""Note on later steps than 0."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The Jacobian J of the generator after a number of steps of the fit, compared with the noisy image.

    All values are in the generator's units: the noise is stabilized and the image is scaled to [0.05, 0.95]. Each channel's mean is removed
    from the image and from the outputs of J.

    Attributes
    ----------
    step
        Number of steps that the fit had taken, from 0, the start of the generator.
    singular_values
        Largest singular values of J, in falling order.
    errors
        Bounds on the errors of the singular values, computed from the residuals of the vectors: J has a singular value within this
        distance. Singular values that are well separated are far more accurate.
    left_vectors
        Left singular vectors as images of shape ``(rank, c, *spatial)``, each of Euclidean norm 1 and without a mean in any channel; 0
        where the image is not observed. The sign is the one for which the value of largest magnitude is positive. Of a measurement that is
        no image they have its shape, complex for k-space, and lack what constant images would measure.
    coefficients
        Coefficients of the noisy image in the left singular vectors.
    image_energy
        Share of the noisy image's energy in the first 1, 2, … vectors, 0 to 1.
    noise_energy
        Mean share of the energy of white noise in the first 1, 2, … vectors: the number of vectors over the number of observed values less
        the number of channels.
    sensitivity, sensitivity_error
        Estimated diagonal of JJ', shape ``(c, *spatial)``, and its standard error. It is the squared norm of the derivative of a pixel, or
        entry of the measurement, with respect to all parameters.
    trace, trace_error
        Estimated sum of all squared singular values, and its standard error.
    tail_ranks, tail_values
        Estimated numbers of singular values that are larger than each of ``tail_values``, to continue the curve beyond the largest values.
    alignment
        Euclidean norm of J'y for the noisy image y, over that of y.
    noise_alignment
        The same ratio for each of several images of white noise.
    descent
        Gradient descent from this step as predicted by the linearized generator; ``None`` if the noise level is not known.
    angles
        Principal angles between the span of the left singular vectors and that at the first of the steps, rising, in radians.
    images
        Images of the linearized generator that are measured as the left vectors, shape ``(rank, c, *spatial)``; ``None``, the default, if
        the measurement is an image, which the left vectors then are.
    levels
        Value of each channel with which constant images explain the measurement best, where it is no image; else ``None``, the default.
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
    images: Float[np.ndarray, "r c *spatial"] | None = None
    levels: Float[np.ndarray, "c"] | None = None

    @property
    def rank(self) -> int:
        """Number of singular values."""
        return len(self.singular_values)

    @property
    def marks(self) -> dict[float, int | None]:
        """Number of vectors that hold each share in `MARKS` of the image's energy; ``None`` if more than `rank` are needed."""
        counts = {mark: int(np.searchsorted(self.image_energy, mark)) + 1 for mark in MARKS}
        return {mark: n if n <= self.rank else None for mark, n in counts.items()}


@dataclass(frozen=True, eq=False, repr=False)
class SpectrumResult(ShownResult):
    """The Jacobian of a generator at one or several steps, compared with an image.

    Attributes
    ----------
    spectra
        Spectra of the Jacobian, one for each step, in the order of the steps.
    groups
        Groups of parameters that the Jacobian is taken with respect to.
    config
        Configuration of the generator and its fit.
    image
        Noisy frame in the generator's units; where the measurement is no image, what takes its place.
    notes
        Sentences that the user should know.
    seconds
        Seconds that the computation took.
    device, n_threads
        Device of the computation, such as ``"cpu"``, and number of threads of the CPU.
    units
        Conversion from the generator's images to the user's, where the measurement is no image; else ``None``, the default.
    field_of_view
        Part of these images, along the spatial axes, that the measurement shows; all by default.
    """

    spectra: tuple[Spectrum, ...]
    groups: tuple[Group, ...]
    config: Config
    image: ImageTensor
    notes: tuple[str, ...]
    seconds: float
    device: str
    n_threads: int
    units: Units | None = None
    field_of_view: tuple[slice, ...] | EllipsisType = ...

    def vector(self, number: int, position: int = 0) -> Float[np.ndarray, "c *spatial"]:
        """Return a left singular vector as an image, or the image that is measured as one, of Euclidean norm 1.

        Parameters
        ----------
        number
            Number of the vector, from 0.
        position
            Position of the step in ``spectra``, 0 by default.
        """
        spectrum = self.spectra[position]
        if spectrum.images is None:
            return np.asarray(spectrum.left_vectors[number])
        seen = self._seen(spectrum.images[number])
        return np.asarray(seen / max(float(np.linalg.norm(seen)), np.finfo(seen.dtype).tiny))

    def _seen(self, image: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        if isinstance(self.field_of_view, EllipsisType):
            return image
        return np.asarray(image[(slice(None), *self.field_of_view)])

    def projection(self, n_vectors: int, position: int = 0) -> NDArray[Any]:
        """Return the projection of the image onto the first vectors plus the channels' means, in the image's shape, dtype and units.

        Where the measurement is no image, it is the image of the linearized generator that is measured as that projection, in the shape and
        units of a reconstruction: complex for k-space.

        Parameters
        ----------
        n_vectors
            Number of left singular vectors, from 0; all of them if there are fewer.
        position
            Position of the step in ``spectra``, 0 by default.
        """
        spectrum = self.spectra[position]
        if spectrum.images is not None:
            return self._image_of(spectrum, n_vectors)
        drawn = np.einsum("n,n...->...", spectrum.coefficients[:n_vectors], spectrum.left_vectors[:n_vectors])
        values = self.image.values
        over = tuple(range(1, values.ndim))
        mean = np.mean(values, axis=over, keepdims=True, where=self.image.is_observed)
        return self.image.restore(drawn + mean, is_denoised=False)

    def _image_of(self, spectrum: Spectrum, n_vectors: int) -> NDArray[Any]:
        assert spectrum.images is not None
        assert spectrum.levels is not None
        assert self.units is not None
        images = spectrum.images[:n_vectors]
        drawn = np.einsum("n,n...->...", spectrum.coefficients[:n_vectors], images)
        return self.units.restore(drawn + as_column(spectrum.levels, images.ndim - 1))

    def remainder(self, n_vectors: int, position: int = 0) -> NDArray[np.float32]:
        """Return the image minus its `projection`, in its units; the parameters are the same.

        Raises
        ------
        ConfigError
            The measurement is no image.
        """
        if self.spectra[position].images is not None:
            raise ConfigError(
                "The measurement is no image, so that there is none of what is left of it. Look at coefficients and left_vectors."
            )
        difference: NDArray[np.float32] = self.image.frame.astype(np.float32) - self.projection(n_vectors, position)
        return difference

    def report(self) -> dict[str, Any]:
        """Return everything but the images as plain values for JSON."""
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
        """Return a table: a row with the names of the columns, then a row for each singular value of each step."""
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

    def lines(self) -> Iterator[str]:
        """Say how many vectors hold the image at each step."""
        yield f"{type(self).__name__}: the Jacobian with respect to {', '.join(self.groups)}"
        for spectrum in self.spectra:
            counts = [f"{format_share(mark)} in {n}" for mark, n in spectrum.marks.items() if n is not None]
            beyond = [format_share(mark) for mark, n in spectrum.marks.items() if n is None]
            counts += [f"{', '.join(beyond)} in more than {spectrum.rank}"] * bool(beyond)
            yield f"Step {spectrum.step}: of the image's energy, {', '.join(counts)} vectors."
        yield f"{format_seconds(self.seconds)} on {self.device}, {self._count_notes()}."

    def panels(self) -> list[Panel]:
        """Return the figure: singular values, energies, alignment and descent; then sensitivity and vectors at the first step."""
        panels: list[Panel] = [_values(self.spectra), _energies(self.spectra), _alignments(self.spectra)]
        panels += _descents(self.spectra)
        first = self.spectra[0]
        if first.images is None:
            panels.append(Picture(f"Root of the sensitivity, step {first.step}", np.sqrt(_plane(first.sensitivity))))
        values = first.singular_values[:N_SHOWN_VECTORS]
        return panels + [
            Picture(f"Vector {i + 1}, σ = {value:.3g}", _plane(self.vector(i)), is_signed=True)
            for i, value in enumerate(values)
        ]


def _record(spectrum: Spectrum) -> dict[str, Any]:
    """Return the numbers of a spectrum that a report has."""
    draws = spectrum.noise_alignment
    record: dict[str, Any] = {
        "step": spectrum.step,
        "rank": spectrum.rank,
        "trace": spectrum.trace,
        "trace_error": spectrum.trace_error,
        "vectors_for_energy": {format_share(mark): n for mark, n in spectrum.marks.items()},
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
            "is_last_predicted": descent.best == len(descent.steps) - 1,
        }
    return record


def _values(spectra: Sequence[Spectrum]) -> Plot:
    """Return a plot of the singular values, computed and estimated."""
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
    """Return a plot of the energy of the image and of white noise in the first vectors."""
    ranks = np.arange(1, spectra[0].rank + 1)
    curves = [Curve(f"image, step {spectrum.step}", ranks, spectrum.image_energy) for spectrum in spectra]
    curves.append(Curve("white noise", ranks, spectra[0].noise_energy, style="dashes"))
    marks = [(format_share(mark), n) for mark, n in spectra[0].marks.items() if n is not None]
    return Plot("Energy in the first vectors", "vectors", "share, means left out", curves, marks=marks)


def _alignments(spectra: Sequence[Spectrum]) -> Plot:
    """Return a plot of the image's alignment against the distribution of that of white noise."""
    curves = []
    for spectrum in spectra:
        draws = np.sort(spectrum.noise_alignment)
        curves.append(Curve(f"noise, step {spectrum.step}", draws, (np.arange(len(draws)) + 0.5) / len(draws)))
    marks = [(f"image, step {spectrum.step}", spectrum.alignment) for spectrum in spectra]
    return Plot("Length of J'y over that of y", "length", "share of draws below", curves, x_scale="log", marks=marks)


def _descents(spectra: Sequence[Spectrum]) -> list[Plot]:
    """Return plots of the predicted descents: error and loss, then degrees of freedom; none without a noise level."""
    described = [(spectrum.step, spectrum.descent) for spectrum in spectra if spectrum.descent is not None]
    if not described:
        return []
    risk = [Curve(f"error, from step {step}", d.steps, d.risk.clamp_min(0)) for step, d in described]
    loss = [Curve(f"loss, from step {step}", d.steps, d.loss, style="dashes") for step, d in described]
    marks = [("best", float(d.steps[d.best])) for _, d in described]
    return [
        Plot("Predicted gradient descent", "step", "mean squared", risk + loss, "log", "log", marks),
        Plot(
            "Predicted degrees of freedom",
            "step",
            "values that the image reproduces",
            [Curve(f"from step {step}", d.steps, d.freedom) for step, d in described],
            "log",
            "log",
        ),
    ]


def _plane(image: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "rows columns"]:
    """Return the first channel as a plane: the middle slice of a volume, or a line as a single row."""
    channel = image[0]
    planes = channel.reshape(-1, *np.atleast_2d(channel).shape[-2:])
    plane: Float[np.ndarray, "rows columns"] = planes[len(planes) // 2]
    return plane
