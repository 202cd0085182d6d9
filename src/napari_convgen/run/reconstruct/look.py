"""The input of the verbs that look at a generator: an image, or the measurement of one through an operator."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import ImageTensor
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Units
from napari_convgen.errors import ConfigError
from napari_convgen.run.reconstruct.inputs import pose_problem
from napari_convgen.run.reconstruct.problems import InverseProblem
from napari_convgen.run.setup.inputs import ImageLike, refuse_operator
from napari_convgen.run.setup.prepared import Prepared


@dataclass(frozen=True, eq=False)
class Look:
    """A checked measurement.

    Attributes
    ----------
    prepared
        The checked input, with its operator.
    posed
        The problem that it poses; ``None`` for an image that is looked at itself.
    """

    prepared: Prepared
    posed: InverseProblem | None = None

    @functools.cached_property
    def _own(self) -> ImageTensor:
        return self.prepared.scaled(0)

    @property
    def scaled(self) -> ImageTensor:
        """Measurement in the generator's units; where it is no image, what takes its place."""
        return self._own if self.posed is None else self.posed.scaled

    @property
    def units(self) -> Units:
        """Conversion from the generator's images to the user's."""
        return self._own if self.posed is None else self.posed.units

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of these images."""
        return tuple(self.prepared.image.shape) if self.posed is None else self.posed.image_shape

    @property
    def pixel_ratio(self) -> tuple[int, ...]:
        """Number of their pixels in one of the measurement along each spatial axis."""
        return (1,) * len(self.prepared.size) if self.posed is None else self.posed.pixel_ratio

    @property
    def field_of_view(self) -> tuple[slice, ...] | EllipsisType:
        """Part of the generator's image, along the spatial axes, that the measurement shows."""
        return ... if self.posed is None else self.posed.field_of_view

    @property
    def measures_image(self) -> bool:
        """True if the measurement is an image."""
        return self.posed is None or self.posed.measures_image

    @property
    def find_out_share(self) -> float:
        """Share of the work that `find_out` is, where the measurement tells of the instrument, so that it finds another problem; else 0."""
        return 0.0 if self.posed is None else self.posed.find_out_share

    @property
    def has_instrument(self) -> bool:
        """True if the measurement tells of the instrument."""
        return self.find_out_share > 0

    def problem(self) -> Problem:
        """Return the problem in the generator's units, on the device; of one that is not linear, its linearization."""
        return self.prepared.problem(self.scaled)

    def find_out(self, is_stopping: Callable[[], bool]) -> Iterator[float]:
        """Find out what the measurement tells of the instrument; yield the share that is done. Afterwards the problem is another."""
        if self.posed is not None:
            yield from (share for _, share in self.posed.find_out(is_stopping))

    def notes(self) -> Iterator[str]:
        """Say what of the input the user should know."""
        if self.measures_image:
            yield from self.prepared.input_notes()
        if self.posed is not None:
            yield from () if self.measures_image else self.posed.left_out()
            yield from self.posed.notes

    def restore(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return an image of the generator, as it is, in the user's units."""
        if isinstance(self.units, ImageTensor):
            return self.units.restore(values, is_denoised=False)
        return self.units.restore(values)


def pose_look(
    problem: str | None,
    image: ImageLike,
    config: Config,
    axes: str | None,
    n_spared_threads: int,
    single: str,
    inputs: Mapping[str, Any],
) -> Look:
    """Return a checked measurement.

    Parameters
    ----------
    problem
        Name of the problem that it poses; ``None`` for an image that is looked at itself.
    image
        The measurement.
    config
        Settings.
    axes, n_spared_threads, single
        As for `Prepared`.
    inputs
        What the problem needs beside the measurement, by keyword; ``None`` among them is not given.

    Raises
    ------
    InputError, ConfigError, DeviceError
        What cannot be looked at, in a sentence.
    """
    if problem is None:
        if given := [name for name, value in inputs.items() if value is not None]:
            raise ConfigError(f"{', '.join(given)} belongs to a problem. Name the problem, or leave it out.")
        refuse_operator(config)
        return Look(Prepared(image, config, axes=axes, n_spared_threads=n_spared_threads, single=single))
    posed = pose_problem(problem, image, config, {}, axes, n_spared_threads, inputs)
    chosen = posed.prepared.config
    if chosen.generator.draws_from_image and not posed.prepared.has_identity:
        raise ConfigError(
            "A guided or taught network draws from the image, and what was measured is another one. Choose generator.kind = 'deep-decoder' "
            "or 'skip-network'."
        )
    return Look(posed.prepared, posed)
