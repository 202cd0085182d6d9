"""The input of a reconstruction: the problem to solve, and what it needs beside the image."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_convgen.config import (
    GENERATOR_ALONE,
    BlurConfig,
    Config,
    ConfocalConfig,
    DownsamplingConfig,
    IdentityConfig,
    Kind,
    MicroscopeConfig,
    WidefieldConfig,
)
from napari_convgen.core.image import ArrayLike, Image, Layout
from napari_convgen.core.image.lengths import distances
from napari_convgen.core.operators.blurring import blurring
from napari_convgen.core.operators.masking import check_mask
from napari_convgen.core.optics.point_spread import PointSpread
from napari_convgen.errors import ConfigError, InputError, mismatch
from napari_convgen.run.setup.build import build_operator
from napari_convgen.run.setup.inputs import as_array, check_letters, resolve_config
from napari_convgen.run.setup.point_spreads import point_spread
from napari_convgen.run.setup.prepared import Prepared

OPERATORS: Mapping[str, tuple[type[Kind], ...]] = {
    "inpaint": (IdentityConfig,),
    "deblur": (BlurConfig, WidefieldConfig, ConfocalConfig),
    "enlarge": (DownsamplingConfig,),
}
"""Settings of the operators of each problem, the usual one first."""

ALONE = "A reconstruction is that of a single image"
"""Start of the sentence that refuses a stack."""

SAME_SIZE = 0.01
"""Relative difference of two pixel sizes that is none: files round them, and one percent widens a PSF by less than its own error."""


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
    chosen = resolve_config(config, default=GENERATOR_ALONE)
    changes = {name: value for name, value in changes.items() if value is not None}
    kind = {"operator.kind": _choose_kind(OPERATORS[problem], chosen.operator, changes)}
    if problem != "inpaint" and chosen.noise.is_modeled:
        # An operator maps intensities of each channel, so that no noise is stabilized, and none shared by channels.
        kind |= {"noise.kind": "gaussian", "noise.is_shared": "no"}
    return resolve_config(resolve_config(chosen, kind), changes)


def _choose_kind(kinds: Sequence[type[Kind]], own: Kind, changes: Mapping[str, Any]) -> str:
    """Return the configuration's own kind of operator, or else the first kind, that has the settings to change."""
    named = {name.removeprefix("operator.") for name in changes if name.startswith("operator.")}
    able = [kind for kind in kinds if named <= set(kind.model_fields)] or kinds
    chosen = type(own) if type(own) in able else able[0]
    name: str = chosen.model_fields["kind"].default
    return name


def prepare(
    image: ArrayLike | Image,
    config: Config,
    axes: str | None,
    is_missing: ArrayLike | None,
    psf: ArrayLike | Image | None,
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
        Point spread function, see `reconstruct`; the settings' own if ``None``.

    Raises
    ------
    InputError, ConfigError, DeviceError
        What cannot be reconstructed, in a sentence.
    """
    given = replace(image, data=as_array(image.data)) if isinstance(image, Image) else Image(as_array(image))
    make = functools.partial(Prepared, config=config, axes=axes, n_spared_threads=n_spared_threads, single=ALONE)
    if isinstance(config.operator, IdentityConfig):
        return make(_with_gaps(given, axes, config, is_missing)), None
    if not isinstance(config.operator, BlurConfig | MicroscopeConfig):
        return make(given, operator=functools.partial(build_operator, config)), None
    layout = _layout(given, axes, config)
    size, apart = layout.spatial_shape(given.data.shape), distances(given, layout.axes)
    if psf is None:
        spread = point_spread(config.operator, layout.spatial, size, apart)
    else:
        spread = _measured_psf(psf, layout.spatial, apart)
    return make(given, operator=lambda shape: blurring(shape, spread)), spread


def check_given(config: Config, changes: Mapping[str, Any], is_missing: Any, psf: Any) -> None:
    """Refuse a mask or a point spread function that the problem has no use for.

    Raises
    ------
    ConfigError
        One that is not for this problem, or a point spread function beside the settings of another one.
    """
    operator = config.operator
    if is_missing is not None and not isinstance(operator, IdentityConfig):
        raise ConfigError(
            "A mask is for filling in pixels. Choose the problem 'inpaint', or mark missing pixels by NaN."
        )
    if psf is None:
        return
    if not isinstance(operator, BlurConfig | MicroscopeConfig):
        raise ConfigError("A point spread function is for deblurring. Choose the problem 'deblur', or leave it out.")
    if isinstance(operator, MicroscopeConfig) or changes.get("operator.sigma") is not None:
        raise ConfigError(
            "A point spread function is given, and settings of another one too: those of a microscope, or sigma. Leave one of them out."
        )


def _layout(given: Image, axes: str | None, config: Config) -> Layout:
    """Return the meaning of an image's axes."""
    return Layout.of(given.data.shape, check_letters(given.axes if axes is None else axes), config.z_axis)


def _measured_psf(psf: ArrayLike | Image, spatial: str, apart: Mapping[str, float]) -> PointSpread:
    """Return a PSF that is given; refuse one whose pixels are known to have another size than the image's."""
    given = psf if isinstance(psf, Image) else Image(psf)
    spread = PointSpread.of(np.asarray(as_array(given.data, "point spread function")))
    own = distances(given, spatial)
    for letter in spatial:
        if letter in own and letter in apart and not math.isclose(own[letter], apart[letter], rel_tol=SAME_SIZE):
            raise InputError(
                mismatch(
                    f"The point spread function must have the image's distance between pixels along {letter}",
                    expected=f"{apart[letter]:.4g} micrometers",
                    got=f"{own[letter]:.4g}",
                    advice="Resample it, or correct the scale of one of them.",
                )
            )
    return spread


def _with_gaps(given: Image, axes: str | None, config: Config, is_missing: ArrayLike | None) -> Image:
    """Return an image with NaN where it is to be filled in."""
    data = np.asarray(given.data)
    layout = _layout(given, axes, config)
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
