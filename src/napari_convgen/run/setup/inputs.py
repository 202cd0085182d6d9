"""Checks of what a verb is given: the image, the configuration, and the ground truth to score against."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from napari_convgen.config import Config, IdentityConfig, preset
from napari_convgen.core.image import ArrayLike, Image
from napari_convgen.core.quality.metrics import reference_range
from napari_convgen.errors import ConfigError, InputError, mismatch
from napari_convgen.files.images import read_image
from napari_convgen.run.denoise.result import Reference
from napari_convgen.run.setup.not_arrays import NOT_ARRAYS, describe_member, describe_type, is_fastest_first

ImageLike: TypeAlias = ArrayLike | Image | str | PathLike[str]
"""What a verb takes for an image: an array, one that knows its axes, or the path of an image file."""


def as_image(image: ImageLike, name: str = "image", axes: str | None = None) -> Image:
    """Return what is given for an image as one whose data are an array, or a lazy array.

    Parameters
    ----------
    image
        Array, `Image`, or path of an image file, which is read with its axes and distances.
    name
        Name for messages; default ``"image"``.
    axes
        One letter for each axis of a file, if it names none or wrong ones; ``None``, the default, for its own.

    Raises
    ------
    InputError
        It is no array of numbers, see `as_array`, or one of nibabel without the letters of its axes.
    FileError
        The file cannot be read.
    """
    if isinstance(image, str | PathLike):
        file = read_image(Path(image), check_letters(axes))
        return replace(file.image, notes=file.notes)
    given = image if isinstance(image, Image) else Image(image)
    if name == "image" and axes is None and given.axes is None and is_fastest_first(given.data):
        raise InputError(
            f"The axes of {describe_type(given.data)} are X, Y, Z, and would be taken for Z, Y, X. Name them: axes = 'XYZ', or with time "
            "'XYZT'; or read the file: napari_convgen.read_image(path).image."
        )
    return replace(given, data=as_array(given.data, name))


def as_array(image: Any, name: str = "image") -> ArrayLike:
    """Return an image as an array; one that can be sliced lazily stays as it is.

    Parameters
    ----------
    image
        Array of any library, `Image`, nested sequences of numbers, or path of an image file.
    name
        Name for messages; default ``"image"``.

    Raises
    ------
    InputError
        The image is no array of numbers; the sentence says what it is, and what to give instead.
    FileError
        The file cannot be read.
    """
    if isinstance(image, str | PathLike):
        return read_image(Path(image)).data
    if isinstance(image, Image):
        image = image.data
    for kind in NOT_ARRAYS:
        if kind.is_one(image):
            raise InputError(f"The {name} must be an array of numbers, got {kind.describe(image)}. {kind.advice}")
    if _is_lazy(image):
        array: ArrayLike = image
        return array
    try:
        values = np.asarray(image)  # of a list, or a tensor of another library
    except Exception as error:  # other libraries raise almost anything
        _refuse_member(image, name)
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"The {name} cannot be read as an array: {reason or type(error).__name__}. Give a NumPy array of numbers."
        ) from error
    if values.dtype == object:
        _refuse_member(image, name)
    if values.dtype.kind in "US":
        advice = "Name one file, or use denoise_files for several." if name == "image" else "Give a NumPy array."
        raise InputError(f"The {name} must be an array of numbers, got text. {advice}")
    if values.dtype == object and not values.shape:
        raise InputError(
            f"The {name} must be an array of numbers, got {describe_type(image)}. Give its values as a NumPy array."
        )
    return values


def _refuse_member(image: Any, name: str) -> None:
    """Refuse a list with something that is no array.

    Raises
    ------
    InputError
        It has such a member.
    """
    if described := describe_member(image):
        raise InputError(f"The {name} must be an array of numbers, {described}")


def as_numbers(values: Any, name: str) -> Float[np.ndarray, "..."]:
    """Return an array of real numbers in double precision.

    Parameters
    ----------
    values, name
        As for `as_array`.

    Raises
    ------
    InputError
        They are no array of real numbers.
    """
    array = np.asarray(as_array(values, name))
    if array.dtype.kind not in "buif":
        raise InputError(f"The {name} must be real numbers, got {array.dtype}. Give a NumPy array of numbers.")
    return array.astype(np.float64)


def resolve_config(
    config: Config | str | None, changes: Mapping[str, Any] | None = None, *, default: str = "default"
) -> Config:
    """Return a configuration from a preset's name, or from itself, with some settings changed.

    Parameters
    ----------
    config
        Configuration, name of a preset, or ``None`` for a default preset.
    changes
        New values by dotted name; ``None`` among them leaves a setting as it is.
    default
        Name of the preset that is taken if none is named; ``"default"`` if it is not given.

    Raises
    ------
    ConfigError
        A preset or setting that does not exist, or a value out of its range.
    """
    chosen = config if isinstance(config, Config) else preset(default if config is None else config)
    return chosen.replace({name: value for name, value in (changes or {}).items() if value is not None})


def with_known_noise(config: Config, image: Image) -> Config:
    """Return a configuration with the kind of noise that an image's source says, if the configuration leaves it to the image."""
    if image.noise_kind is None or config.noise.kind != "auto":
        return config
    return config.replace({"noise.kind": image.noise_kind})


def _is_lazy(image: Any) -> bool:
    """Return True for what has a shape, a dtype that NumPy knows, and can be indexed."""
    try:
        np.dtype(image.dtype)
        return isinstance(image, np.ndarray) or (hasattr(image, "__getitem__") and len(image.shape) >= 0)
    except (AttributeError, TypeError):
        return False


def check_letters(axes: Any) -> str | None:
    """Return the letters of the axes that a user gives, ``None`` if they are to be guessed.

    Raises
    ------
    InputError
        They are no text.
    """
    if axes is not None and not isinstance(axes, str):
        raise InputError(f"axes must be a text with a letter for each axis, got {axes!r}. Use for example 'TYX'.")
    return axes


def refuse_operator(config: Config) -> None:
    """Refuse settings with a forward operator, where an image is denoised or looked at itself."""
    if not isinstance(config.operator, IdentityConfig):
        raise ConfigError(
            "This is for denoising only, and there is a forward operator. Choose operator.kind = 'identity'."
        )


def check_reference(reference: ImageLike | None, data_range: float | None, shape: tuple[int, ...]) -> Reference | None:
    """Return the ground truth that an image is scored against, with its data range.

    Parameters
    ----------
    reference
        Ground truth; ``None`` for none, which returns ``None``.
    data_range
        Positive range of the ground truth's values, in image units, which PSNR and SSIM refer to; ``None`` takes `reference_range`.
        Without ground truth it must be ``None``.
    shape
        Shape of the image.

    Raises
    ------
    InputError
        The ground truth has another shape, no real numbers, or no range.
    ConfigError
        A range, and no ground truth.
    """
    if reference is None:
        if data_range is not None:
            raise ConfigError(
                f"A data range is for scores against a reference, and there is none: got data_range = {data_range}. "
                "Give the reference too, or leave the data range out."
            )
        return None
    truth = np.asarray(as_image(reference, "reference").data)
    if truth.shape != tuple(shape):
        raise InputError(
            mismatch(
                "The reference must have the shape of the image",
                expected=tuple(shape),
                got=truth.shape,
                advice="Crop or resample one of them.",
            )
        )
    if truth.dtype.kind not in "buif":
        raise InputError(f"The reference must have real numbers as values, got {truth.dtype}. Convert it.")
    if not isinstance(data_range, numbers.Real | None):
        raise InputError(
            f"data_range must be a positive number, got {data_range!r}. Leave it out for that of the reference."
        )
    peak = reference_range(truth) if data_range is None else float(data_range)
    if not (math.isfinite(peak) and peak > 0):
        raise InputError(
            f"The data range of the scores must be positive, got {peak}: give data_range, or a reference that is not constant."
        )
    return Reference(truth, peak)
