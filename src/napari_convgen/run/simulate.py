"""Simulate what an instrument measures of a known truth, by the operators that `reconstruct` inverts."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import Image, Layout
from napari_convgen.core.image.layout import channels_first
from napari_convgen.errors import InputError
from napari_convgen.run.reconstruct.inputs import choose_config
from napari_convgen.run.reconstruct.problems import Given
from napari_convgen.run.reconstruct.problems.base import SIMULATION, Observation
from napari_convgen.run.setup.forecast import CROP, check_memory
from napari_convgen.run.setup.inputs import ImageLike, as_image

MOST_PHOTONS = 1e12
"""Largest number of photons of a pixel: their noise is a millionth of the signal, less than float32 holds."""

SIMULATED_BYTES = 112
"""Bytes of each value of a truth at the peak of a simulation: its margins, the transforms of a blur, and the noise; measured with
blurred volumes and noise."""

MOST_COUNTED = 128
"""Largest number of coils, and distance of rows: more than scanners have."""

OWNERS = {
    "missing": "inpaint",
    "n_coils": "sense",
    "acceleration": "sense",
    "measured": "sensing",
    "n_planes": "phase",
    "aberrations": "phase",
}
"""Problem for which each input is that only a simulation has."""


@dataclass(frozen=True, eq=False)
class Simulation:
    """A simulated measurement, and what is needed to reconstruct its truth.

    Attributes
    ----------
    measurement
        Measurement in the truth's units, float32, with the distance between its own pixels; NaN where pixels are missing. K-space is
        complex64, of the axes (coils, rows, columns), and 0 where it was not sampled. Sums of pixels are a row of numbers, of the axis
        X, or one for each channel (CX). Images of a phase have the axes (images, rows, columns).
    is_missing
        Truth values over the spatial axes: True where a pixel is missing; ``None`` if none is.
    psf
        Point spread function over the spatial axes, float32; ``None`` if there is none.
    coil_maps, is_sampled
        Sensitivities of the coils, and truth values over rows and columns: True where k-space was sampled; ``None`` if the measurement is
        no k-space.
    pixel_ratio
        Number of the measurement's pixels in one of the truth along each spatial axis.
    layout
        Meaning of the measurement's axes.
    config
        Settings of the operator, for `reconstruct`.
    notes
        Sentences that the user should know.
    """

    measurement: Image
    is_missing: Image | None
    psf: Image | None
    coil_maps: Image | None
    is_sampled: Image | None
    pixel_ratio: float
    layout: Layout
    config: Config
    notes: tuple[str, ...]


def simulate(
    truth: ImageLike,
    config: Config | str | None = None,
    *,
    problem: str,
    axes: str | None = None,
    photons: float | None = None,
    noise: float | None = None,
    missing: float | None = None,
    n_coils: int | None = None,
    acceleration: int | None = None,
    n_planes: int | None = None,
    aberrations: Sequence[float] | None = None,
    measured: float | None = None,
    seed: int | None = None,
    changes: Mapping[str, Any] | None = None,
    **inputs: Any,
) -> Simulation:
    """Simulate what an instrument measures of a known truth, so that a reconstruction can be scored against it.

    Parameters
    ----------
    truth
        Image without noise, a single frame; alpha is left out.
    config
        Configuration, or name of a preset, of which the forward operator counts; ``None``, the default, for that of the problem.
    problem
        Name of the problem: ``"inpaint"`` (pixels are left out at random), ``"deblur"`` (the truth, mirrored at its borders, is blurred),
        ``"enlarge"`` (pixels become larger), ``"sense"`` (coils around a magnitude image measure some rows of its k-space),
        ``"sensing"`` (weighted sums of all pixels are measured) or ``"phase"`` (images of a phase in radians, mirrored at its borders,
        through focus or under several lights).
    axes
        One letter for each axis of ``truth``; guessed if ``None``.
    photons
        Number of photons in the brightest pixel of the measurement, for Poisson noise; ``None``, the default, for none. A value of 0
        is no light.
    noise
        Standard deviation of Gaussian noise, in the truth's units; of k-space that of the real and of the imaginary part of each coil.
        ``None``, the default, for none.
    missing
        Share of the pixels to leave out, for ``"inpaint"``; ``None``, the default, for a half.
    n_coils
        Number of coils, for ``"sense"``; ``None``, the default, for 8.
    acceleration
        Distance of the sampled rows of k-space, for ``"sense"``; ``None``, the default, for 4. The ``n_calibration`` rows in the middle
        (24 by default) are sampled too.
    n_planes
        Number of planes through focus, for ``"phase"``; ``None``, the default, for 7.
    aberrations
        Zernike aberrations in radians from defocus on, in Noll's order, for ``"phase"``; ``None``, the default, for none.
    measured
        Number of sums relative to that of the pixels, for ``"sensing"`` without patterns, at most 1; ``None``, the default, for 0.25.
    seed
        Seed of the noise, of the missing pixels and of the phase; that of the configuration if ``None``.
    changes
        New settings by dotted name, in the place of the configuration's.
    **inputs
        What the problem needs beside the image, as for `napari_convgen.reconstruct`: ``psf``, ``sigma``, ``factor``, ``n_calibration``,
        ``matrix``, ``matrix_seed``, ``z_step``, ``lights``, or ``is_missing`` or ``patterns`` in the place of a share.

    Raises
    ------
    InputError, ConfigError, ShortMemoryError
        What cannot be simulated, in a sentence.
    """
    kind, chosen = choose_config(problem, config, {"seed": seed} | dict(changes or {}), inputs)
    simulated: dict[str, Any] = {
        "missing": missing,
        "n_coils": n_coils,
        "acceleration": acceleration,
        "measured": measured,
    }
    simulated |= {"n_planes": n_planes, "aberrations": aberrations}
    for name, value in simulated.items():
        if value is not None and problem != OWNERS[name]:
            raise InputError(f"{name} is for the problem {OWNERS[name]!r}. Leave it out.")
    if missing is not None and inputs.get("is_missing") is not None:
        raise InputError("A mask of the missing pixels is given, and their share too. Leave one of them out.")
    if measured is not None and inputs.get("patterns") is not None:
        raise InputError("Patterns are given, one for each sum, and the share of sums too. Leave one of them out.")
    if photons is not None and problem == "sense":
        raise InputError("K-space has no photons: its noise is Gaussian. Use noise.")
    for name, value in (("photons", photons), ("noise", noise), ("missing", missing), ("measured", measured)):
        _check_number(name, value)
    for name in ("n_coils", "acceleration", "n_planes"):
        _check_count(name, simulated[name])
    given = Given(as_image(truth, "truth", axes), chosen, axes, 0)
    n_values = math.prod(given.image.data.shape)
    check_memory(SIMULATED_BYTES * n_values, torch.device("cpu"), f"{CROP}.", SIMULATION)
    own = simulated | {name: each for name, each in inputs.items() if name in kind.inputs}
    rng, own = np.random.default_rng(chosen.seed), {name: each for name, each in own.items() if each is not None}
    seen = kind.observe(given, _values(given), rng, **own)
    noisy = _with_noise(seen.values, photons, noise, rng)
    if seen.is_missing is not None:
        noisy = np.where(seen.is_missing, np.nan, noisy)
    layout, image = given.layout, given.image
    psf = None if seen.psf is None else seen.psf.astype(np.float32)
    measurement = _measured(noisy, seen, image, layout)
    return Simulation(
        measurement=measurement,
        is_missing=None if seen.is_missing is None else _over(layout.spatial, seen.is_missing, image, layout),
        psf=None if psf is None else _over(layout.spatial, psf, image, layout),
        pixel_ratio=seen.pixel_ratio,
        coil_maps=None if seen.coil_maps is None else Image(seen.coil_maps.astype(np.complex64), "CYX"),
        is_sampled=None if seen.is_sampled is None else _over(layout.spatial, seen.is_sampled, image, layout),
        layout=layout if measurement.axes == layout.axes else _own_layout(measurement),
        config=chosen.replace(seen.settings),
        notes=(*given.image.notes, *seen.notes),
    )


def _measured(noisy: NDArray[np.inexact[Any]], seen: Observation, image: Image, layout: Layout) -> Image:
    """Return a measurement with the distance between its pixels, as far as the truth knows it."""
    if seen.axes is not None:
        return Image(_of_its_own(noisy, seen), seen.axes, name=image.name)
    if seen.spacing is None:
        return _over(layout.axes, _arranged(noisy, layout), image, layout, seen.pixel_ratio)
    images, step = noisy.astype(np.float32), seen.depth_step
    if step is None:
        return Image(images, "TYX", (1.0, *seen.spacing), ("", "micrometer", "micrometer"), image.name)
    return Image(images, "ZYX", (step, *seen.spacing), ("micrometer",) * 3, image.name)


def _own_layout(measurement: Image) -> Layout:
    """Return the meaning of the axes of a measurement that has other ones than the truth."""
    assert measurement.axes is not None
    if "C" in measurement.axes:
        return Layout(measurement.axes, measurement.axes.removeprefix("C"))
    return Layout.of(measurement.data.shape, measurement.axes)


def _check_number(name: str, value: float | None) -> None:
    if value is not None and not (isinstance(value, numbers.Real) and 0 < value <= MOST_PHOTONS):
        raise InputError(f"{name} must be a number above 0 and up to {MOST_PHOTONS:g}, got {value!r}.")


def _check_count(name: str, value: float | None) -> None:
    if value is not None and not (
        isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_COUNTED
    ):
        raise InputError(f"{name} must be a whole number from 1 to {MOST_COUNTED}, got {value!r}.")


def _values(given: Given) -> NDArray[np.float64]:
    """Return the values of the truth, channels first, checked."""
    data, layout = np.asarray(given.image.data), given.layout
    frames = list(layout.frames(data.shape))
    if len(frames) != 1:
        raise InputError(f"A simulation is that of a single image, got {len(frames)} frames. Choose one of them.")
    if data.dtype.kind not in "buif":
        raise InputError(f"The truth must have real numbers as values, got {data.dtype}. Convert it.")
    values, _ = channels_first(data[frames[0]], layout)
    if not np.isfinite(values).all():
        raise InputError("The truth has values that are infinite or not a number. Replace them, or crop the image.")
    return values


def _with_noise(
    values: NDArray[np.inexact[Any]], photons: float | None, noise: float | None, rng: np.random.Generator
) -> NDArray[np.inexact[Any]]:
    """Return a measurement with the noise of photons and of the read-out."""
    noisy = values
    if photons is not None:
        light = values.real
        least, peak = float(light.min()), float(light.max())
        if least < 0 or not peak:
            raise InputError(
                f"Photons need a measurement without negative values and not all of it dark, got values from {least:g} to {peak:g}. "
                "Give a truth or patterns without them, or use noise."
            )
        noisy = rng.poisson(light * (photons / peak)) * (peak / photons)
    if noise is not None:
        noisy = noisy + rng.normal(0, noise, values.shape)
        if np.iscomplexobj(noisy):
            noisy = noisy + 1j * rng.normal(0, noise, values.shape)
    return noisy


def _arranged(values: NDArray[np.inexact[Any]], layout: Layout) -> NDArray[np.float32]:
    """Return values with all axes of the image, which has one frame."""
    channel = layout.frame_channel
    frame = values[0] if channel is None else np.moveaxis(values, 0, channel)
    return np.expand_dims(frame, layout.frame_axes()).astype(np.float32)


def _of_its_own(values: NDArray[np.inexact[Any]], seen: Observation) -> NDArray[Any]:
    """Return the values of a measurement that is no image, 0 where k-space was not sampled."""
    if seen.is_sampled is not None:
        return (values * seen.is_sampled).astype(np.complex64)
    return values.astype(np.float32)


def _over(axes: str, data: NDArray[Any], image: Image, layout: Layout, ratio: float = 1) -> Image:
    """Return an image over some of the axes of another one, with their units, and their distances divided by a ratio in space."""
    places = [layout.axes.index(letter) for letter in axes]
    scale, units = image.scale, image.units
    if scale is not None:
        scale = tuple(scale[place] / (ratio if layout.axes[place] in layout.spatial else 1) for place in places)
    return Image(data, axes, scale, None if units is None else tuple(units[place] for place in places), image.name)
