"""The input of the verbs that look at a generator: an image, or the measurement of one through an operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import ImageTensor
from napari_convgen.core.snapshot import Units
from napari_convgen.errors import ConfigError
from napari_convgen.run.reconstruct.inputs import pose_problem
from napari_convgen.run.reconstruct.problems import PROBLEMS
from napari_convgen.run.setup.inputs import ImageLike
from napari_convgen.run.setup.prepared import Prepared


@dataclass(frozen=True, eq=False)
class Look:
    """A checked measurement.

    Attributes
    ----------
    prepared
        The checked input, with its operator.
    scaled
        Measurement in the generator's units.
    units
        Conversion from the generator's images to the user's.
    image_shape
        Shape of these images.
    pixel_ratio
        Number of their pixels in one of the measurement along each spatial axis.
    """

    prepared: Prepared
    scaled: ImageTensor
    units: Units
    image_shape: tuple[int, ...]
    pixel_ratio: tuple[int, ...]

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
        The measurement, an image.
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
        prepared = Prepared(
            image, config, axes=axes, n_spared_threads=n_spared_threads, single=single, has_operator=False
        )
        scaled = prepared.scaled(0)
        return Look(prepared, scaled, scaled, tuple(prepared.image.shape), (1,) * len(prepared.size))
    if problem in PROBLEMS and not PROBLEMS[problem].measures_image:
        able = [repr(name) for name, each in PROBLEMS.items() if each.measures_image]
        raise ConfigError(
            f"The measurement of the problem {problem!r} is no image to look at. Choose {' or '.join(able)}."
        )
    posed = pose_problem(problem, image, config, {}, axes, n_spared_threads, inputs)
    return Look(posed.prepared, posed.scaled, posed.units, posed.image_shape, posed.pixel_ratio)
