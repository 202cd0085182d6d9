"""What every problem offers: its settings, its checked input, and the way from the generator's images to the user's."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.config import Config, Kind
from napari_convgen.core.image import ArrayLike, Image, ImageTensor, Layout
from napari_convgen.core.operators.forward_model import ForwardModel
from napari_convgen.core.regularized.smooth_share import least_curved
from napari_convgen.core.snapshot import Units
from napari_convgen.errors import ConfigError
from napari_convgen.run.reconstruct.units import ReconstructionUnits
from napari_convgen.run.setup.inputs import check_letters
from napari_convgen.run.setup.prepared import Prepared

ALONE = "A reconstruction is that of a single image"
"""Start of the sentence that refuses a stack."""

SIMULATION = "The simulation"
"""What needs memory while a measurement is simulated."""


@dataclass(frozen=True, eq=False)
class Given:
    """What every problem is given.

    Attributes
    ----------
    image
        The measurement.
    config
        Settings, with the kind of operator of the problem.
    axes
        One letter for each axis of the measurement; ``None`` takes the image's own, or guesses.
    n_spared_threads
        Number of threads that ``n_threads = "auto"`` leaves to others, such as a window.
    """

    image: Image
    config: Config
    axes: str | None
    n_spared_threads: int

    @property
    def layout(self) -> Layout:
        """Meaning of the axes of the measurement."""
        axes = self.image.axes if self.axes is None else self.axes
        return Layout.of(self.image.data.shape, check_letters(axes), self.config.z_axis)

    def prepare(
        self,
        image: Image | None = None,
        operator: Callable[[Sequence[int]], ForwardModel] | None = None,
        kind: type[Prepared] = Prepared,
    ) -> Prepared:
        """Check the measurement, or an image in its place, with its operator; see `Prepared`, or the ``kind`` of it that is made."""
        return kind(
            self.image if image is None else image,
            self.config,
            axes=self.axes,
            n_spared_threads=self.n_spared_threads,
            single=ALONE,
            operator=operator,
        )


@dataclass(frozen=True, eq=False)
class Observation:
    """What an instrument would measure of a known truth, without noise.

    Attributes
    ----------
    values
        Measurement, channels first; k-space is complex, coils first.
    is_missing
        True where a pixel is missing, over the spatial axes; ``None``, the default, if none is.
    psf
        Point spread function over the spatial axes; ``None``, the default, if there is none.
    coil_maps
        Sensitivities of coils, in the shape of the values; ``None``, the default, if there are none.
    is_sampled
        True where k-space is sampled, over the spatial axes; ``None``, the default, if the values are no k-space.
    depths
        Distance of each image from the focus in micrometers, of a stack along the first axis; ``None``, the default, if there is no stack.
    spacing
        Distance between rows and between columns of the images of a stack, in micrometers; ``None``, the default, if there is no stack.
    pixel_ratio
        Number of the measurement's pixels in one of the truth along each spatial axis; default 1.
    axes
        Axes of a measurement that is no image, such as ``"CX"``; ``None``, the default, for those of the truth.
    settings
        Settings of the operator, by dotted name, that follow from the truth; none by default.
    notes
        Sentences that the user should know.
    """

    values: NDArray[np.inexact[Any]]
    is_missing: NDArray[np.bool_] | None = None
    psf: NDArray[np.float64] | None = None
    coil_maps: NDArray[np.complex128] | None = None
    is_sampled: NDArray[np.bool_] | None = None
    depths: NDArray[np.float64] | None = None
    spacing: tuple[float, float] | None = None
    pixel_ratio: float = 1.0
    axes: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def depth_step(self) -> float | None:
        """Distance between neighboring images of a stack in micrometers; ``None`` if they are not evenly spaced, or are no stack."""
        steps = np.diff(() if self.depths is None else self.depths)
        return float(steps[0]) if len(steps) and steps[0] > 0 and np.allclose(steps, steps[0]) else None


class InverseProblem(ABC):
    """A problem with its checked input.

    A subclass has a constructor that takes what is `Given`, and its own inputs by keyword; it checks them and calls this one.

    Parameters
    ----------
    prepared
        The checked input.
    field_of_view
        Part of the generator's image, along the spatial axes, that the measurement shows; all by default.
    notes
        Sentences on the inputs that the user should know; none by default.
    measured
        The measurement, where it is not the image that was prepared.

    Attributes
    ----------
    operators
        Settings of the forward operators that it can have, by the name of their kind; the usual one is the first.
    preset
        Name of the preset that it begins with if none is named.
    measures_image
        True, the default, if the measurement is an image, with pixels and channels.
    changes
        Settings by dotted name in which it differs from the preset. An operator maps the intensities of each channel, so that no noise
        is shared by channels.
    inputs
        What can be given beside the image: a noun phrase by the name of the keyword.
    settings
        Settings that can be given like inputs: their dotted name by the name of the keyword.
    find_out_share
        Share of the time before the fit that `find_out` takes, about; 0 by default.
    replaced
        Settings whose place an input takes: their dotted names by its keyword; none by default.
    stop_doubt
        Sentence on the step that is kept of a generator alone, where held-out entries hardly tell it; none by default.
    prepared, notes
        The checked input, and the sentences on it.
    measured
        The measurement, as it was given or with NaN where it is to be filled in.
    scaled
        The measurement in the generator's units.
    """

    operators: ClassVar[Mapping[str, type[Kind]]]
    preset: ClassVar[str] = "quick"
    measures_image: ClassVar[bool] = True
    changes: ClassVar[Mapping[str, Any]] = {"noise.is_shared": "no"}
    inputs: ClassVar[Mapping[str, str]] = {}
    settings: ClassVar[Mapping[str, str]] = {}
    find_out_share: ClassVar[float] = 0.0
    replaced: ClassVar[Mapping[str, Collection[str]]] = {}
    stop_doubt: ClassVar[str] = ""

    def __init__(
        self,
        prepared: Prepared,
        field_of_view: tuple[slice, ...] | EllipsisType = ...,
        notes: Sequence[str] = (),
        measured: ArrayLike | None = None,
    ) -> None:
        self.prepared = prepared
        self.notes = tuple(notes)
        self.measured: ArrayLike = prepared.image if measured is None else measured
        self.scaled: ImageTensor = prepared.scaled(0)
        self._operator_units = ReconstructionUnits(self.scaled, field_of_view)

    @classmethod
    def observe(cls, given: Given, truth: NDArray[np.float64], rng: np.random.Generator, **inputs: Any) -> Observation:
        """Return what would be measured of a truth.

        Parameters
        ----------
        given
            The truth as it is given, and the settings.
        truth
            Its values, channels first.
        rng
            Source of chance.
        **inputs
            Inputs of the problem.

        Raises
        ------
        ConfigError
            This problem cannot be simulated.
        """
        raise ConfigError("Measurements of this problem cannot be simulated yet. Choose another problem.")

    def find_out(self, is_stopping: Callable[[], bool]) -> Iterator[tuple[NDArray[Any], float]]:
        """Find out, before the fit, what the measurement tells of the instrument; by default nothing has to be.

        What is yielded is the image so far, in the user's units, and the share that is done. ``is_stopping`` is a function that tells
        whether to end with what there is.
        """
        yield from ()

    def aligned(self, reference: NDArray[Any]) -> NDArray[Any]:
        """Return a truth without what the measurement cannot tell of it; by default it can tell all."""
        return reference

    @property
    def units(self) -> Units:
        """Conversion from the generator's units to the user's."""
        return self._operator_units

    @property
    def field_of_view(self) -> tuple[slice, ...] | EllipsisType:
        """Part of the generator's image, along the spatial axes, that the measurement shows."""
        return self._operator_units.field_of_view

    @property
    def pixel_ratio(self) -> tuple[int, ...]:
        """Number of the image's pixels in one of the measurement along each spatial axis."""
        return (1,) * len(self.prepared.size)

    def residual(self, values: Tensor, image: NDArray[Any]) -> NDArray[Any]:
        """Return the predicted measurement minus the actual one, in its units, channels first; NaN where nothing was measured.

        Parameters
        ----------
        values, image
            The reconstruction, in the generator's units and in the user's.
        """
        problem = self.prepared.problem(self.scaled)
        residual = torch.where(problem.weights > 0, problem.residual(values), torch.nan)
        return self.difference(residual.cpu().numpy())

    def difference(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a difference of measurements in the generator's units in those of the measurement, channels first."""
        return self._operator_units.residual(values)

    def measured_as(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return another measurement, given in the generator's units, in the units and the shape of the actual one."""
        problem = self.prepared.problem(self.scaled)
        seen = (problem.weights > 0).cpu().numpy()
        difference = np.where(seen, values - problem.measurement.cpu().numpy(), 0)
        measured = np.asarray(self.measured)
        return np.asarray(measured + self.difference(difference).reshape(measured.shape))

    @property
    def measurement_unit(self) -> float | None:
        """Units of the measurement in one of the generator's; ``None`` if it is not the same in all channels."""
        units = set(self._operator_units.unit.tolist())
        return units.pop() if len(units) == 1 else None

    @property
    def held_out_error(self) -> float | None:
        """Root mean square error of held-out entries before the fit, in units of the measurement; by default it is not known."""
        return None

    @property
    def has_baseline(self) -> bool:
        """True, the default, if there is a `baseline` of this measurement."""
        return True

    def baseline(self) -> NDArray[Any]:
        """Return a classical image, in the user's units: by default that of the least curvature.

        Of an image with missing pixels it is the smoothest filling; of a blurred one what a Wiener filter with open borders makes.
        """
        return self.units.restore(least_curved(self.prepared.problem(self.scaled)).x.cpu().numpy())

    @property
    def extras(self) -> Mapping[str, NDArray[Any]]:
        """Other results of the problem by name; none by default."""
        return {}

    def left_out(self) -> Iterator[str]:
        """Say what of the measurement is left out of the fit."""
        yield from self.prepared.check(0).left_out.sentences(are_areas_drawn=self.units is not self.scaled)

    def place(self, image: NDArray[Any]) -> Image:
        """Return a reconstruction of which the distance between pixels is known as far as the measurement knows it."""
        return Image(image, self.layout.axes)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of a reconstruction: that of the measurement with as many pixels as the image has, and without alpha."""
        layout = self.prepared.layout
        ratios = dict(zip(layout.spatial, self.pixel_ratio, strict=True))
        lengths = zip(layout.axes, self.prepared.image.shape, strict=True)
        return tuple(3 if letter == "S" else n * ratios.get(letter, 1) for letter, n in lengths)

    @property
    def layout(self) -> Layout:
        """Meaning of the axes of a reconstruction."""
        return self.prepared.layout

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values of a reconstruction."""
        return np.dtype(np.float32)

    @property
    def n_bytes(self) -> int:
        """Bytes of a reconstruction."""
        return int(np.prod(self.prepared.image_size)) * self.prepared.n_outputs * np.dtype(np.float32).itemsize
