"""The input of a reconstruction: the problem to solve, and what it needs beside the image."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_convgen.config import GENERATOR_ALONE, BlurConfig, Config, DownsamplingConfig, IdentityConfig, Kind
from napari_convgen.core.image import ArrayLike, Image, Layout
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.blurring import blurring
from napari_convgen.core.operators.masking import check_mask
from napari_convgen.core.optics.point_spread import PointSpread, gaussian_psf
from napari_convgen.errors import ConfigError, InputError
from napari_convgen.run.setup.build import build_operator
from napari_convgen.run.setup.inputs import as_array, check_letters, resolve_config
from napari_convgen.run.setup.prepared import Prepared

OPERATORS: Mapping[str, type[Kind]] = {"inpaint": IdentityConfig, "deblur": BlurConfig, "enlarge": DownsamplingConfig}
"""Settings of the operator of each problem."""

ALONE = "A reconstruction is that of a single image"
"""Start of the sentence that refuses a stack."""


def choose_config(problem: str, config: Config | str | None, changes: dict[str, Any]) -> Config:
    """Return the configuration of a problem: with its operator, and with noise that is the same everywhere unless it fills in pixels.

    Parameters
    ----------
    problem
        Name of the problem.
    config
        Configuration, or name of a preset; ``None`` for the preset ``"deep-decoder"``.
    changes
        New values by dotted name; ``None`` among them leaves a setting as it is.

    Raises
    ------
    ConfigError
        No such problem, or a setting that does not exist or is out of its range.
    """
    if not isinstance(problem, str) or problem not in OPERATORS:
        raise ConfigError(f"There is no problem {problem!r}. The problems are {', '.join(OPERATORS)}.")
    kind = {"operator.kind": OPERATORS[problem].model_fields["kind"].default}
    if (
        problem != "inpaint"
    ):  # an operator maps intensities of each channel, so that no noise is stabilized, and none shared by channels
        kind |= {"noise.kind": "gaussian", "noise.is_shared": "no"}
    return resolve_config(resolve_config(config, kind, default=GENERATOR_ALONE), changes)


def prepare(
    image: ArrayLike | Image,
    config: Config,
    axes: str | None,
    is_missing: ArrayLike | None,
    psf: ArrayLike | None,
    n_spared_threads: int,
) -> tuple[Prepared, PointSpread | None]:
    """Check the input of a reconstruction; return it, and the PSF if there is one.

    Parameters
    ----------
    image
        Measured image.
    config
        Settings, with the kind of operator.
    axes, n_spared_threads
        As for `Prepared`.
    is_missing
        Mask of the pixels to fill in, see `reconstruct`.
    psf
        Point spread function, see `reconstruct`.

    Raises
    ------
    InputError, ConfigError, DeviceError
        What cannot be reconstructed, in a sentence.
    """
    is_inpainting, is_deblurring = (isinstance(config.operator, kind) for kind in (IdentityConfig, BlurConfig))
    if is_missing is not None and not is_inpainting:
        raise ConfigError(
            "A mask is for filling in pixels. Choose the problem 'inpaint', or mark missing pixels by NaN."
        )
    if psf is not None and not is_deblurring:
        raise ConfigError("A point spread function is for deblurring. Choose the problem 'deblur', or leave it out.")
    given = image if isinstance(image, Image) else Image(as_array(image))
    make = functools.partial(Prepared, config=config, axes=axes, n_spared_threads=n_spared_threads, single=ALONE)
    if is_inpainting:
        return make(_with_gaps(given, axes, config, is_missing)), None
    if not is_deblurring:
        return make(given, operator=functools.partial(build_operator, config)), None
    spread = None if psf is None else PointSpread.of(np.asarray(as_array(psf, "point spread function")))

    def operator(shape: Sequence[int]) -> LinearMap:
        return blurring(shape, _spread(spread, config, len(shape) - 1))

    prepared = make(given, operator=operator)
    return prepared, _spread(spread, config, len(prepared.size))


def _spread(spread: PointSpread | None, config: Config, n_axes: int) -> PointSpread:
    """Return the PSF that is given, or else the Gaussian one of the settings."""
    if spread is None and isinstance(config.operator, BlurConfig):
        return gaussian_psf([config.operator.sigma] * n_axes)
    assert spread is not None
    return spread


def _with_gaps(given: Image, axes: str | None, config: Config, is_missing: ArrayLike | None) -> Image:
    """Return an image with NaN where it is to be filled in."""
    data = np.asarray(given.data)
    layout = Layout.of(data.shape, check_letters(given.axes if axes is None else axes), config.z_axis)
    if is_missing is None:
        if data.dtype.kind != "f" or not np.isnan(data).any():
            raise InputError("There is nothing to fill in: give a mask of the missing pixels, or mark them by NaN.")
        return given
    mask = np.asarray(as_array(is_missing, "mask")) != 0
    check_mask(torch.from_numpy(np.ascontiguousarray(mask)), layout.spatial_shape(data.shape))
    values: NDArray[Any] = data.astype(np.result_type(data.dtype, np.float32))
    first = values[np.newaxis] if layout.channel is None else np.moveaxis(values, layout.channel, 0)
    first[: 3 if layout.is_color else None, ..., mask] = np.nan
    return replace(given, data=values)
