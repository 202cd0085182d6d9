"""The non-local estimate of a frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from napari_convgen.core.columns import as_column
from napari_convgen.core.cpu.threads import alone
from napari_convgen.core.noise import shaping_filter
from napari_convgen.core.non_local.chain import N_CHAIN_STEPS, Noisy, improve, patches_of
from napari_convgen.core.non_local.passes import computed_on
from napari_convgen.core.non_local.patches import Patches
from napari_convgen.core.non_local.scales import N_SCALES, half_shape, half_spectrum, halve, merge

ImageT = TypeVar("ImageT")

CORRELATED_LEVEL = 1.25
"""Level that correlated noise is taken to have, relative to its own: what is left of it in a pilot looks like structure that should be
kept. Chosen on the tuning images of benchmarks/non_local.py."""

END_SHARE = 0.5
"""Share of the estimate by planes in the first and the last slice of a volume. Blocks reach the slices at the ends from one side only, so
that few of them cover each pixel there. Chosen with benchmarks/stacks.py."""

END_THICKNESS = 4
"""Number of slices at each end among which planes are looked for. Our choice: planes are compared over three slices."""

VOLUME_SHARE = 0.8
"""Share of the time that a volume takes without its ends, about."""


@dataclass(frozen=True, eq=False)
class Stage(Generic[ImageT]):
    """An estimate so far.

    Attributes
    ----------
    image
        Image, in the units and the shape of the noisy one, channels first; a tensor or an array.
    share
        Share of the work that is done, about, from 0 to 1.
    """

    image: ImageT
    share: float


def non_local_estimate(
    values: Float[Tensor, "c *spatial"],
    noise_level: Float[Tensor, "c"],
    *,
    is_joint: bool = False,
    is_observed: Bool[Tensor, "c *spatial"] | None = None,
    noise_spectrum: Float[np.ndarray, "a b"] | None = None,
    is_stack: bool = False,
) -> Float[Tensor, "c *spatial"]:
    """Denoise a frame or a stack; parameters are those of `non_local_stages`."""
    image = values
    for stage in non_local_stages(
        values,
        noise_level,
        is_joint=is_joint,
        is_observed=is_observed,
        noise_spectrum=noise_spectrum,
        is_stack=is_stack,
    ):
        image = stage.image
    return image


def non_local_stages(
    values: Float[Tensor, "c *spatial"],
    noise_level: Float[Tensor, "c"],
    *,
    is_joint: bool = False,
    is_observed: Bool[Tensor, "c *spatial"] | None = None,
    noise_spectrum: Float[np.ndarray, "a b"] | None = None,
    is_stack: bool = False,
) -> Iterator[Stage[Tensor]]:
    """Denoise a frame step by step: the first estimate of each channel comes soon.

    Each patch becomes a linear combination of the patches around that are most like it, with the weights of the least risk; see
    `napari_convgen.core.non_local`. Coarse structures are taken from the same on coarser grids, where the noise is weaker.

    Parameters
    ----------
    values
        Frame whose noise has the same standard deviation everywhere, on any device; values that are not known must have been filled in.
        One to three spatial axes of any length.
    noise_level
        Standard deviation of the noise of each channel, in the unit of ``values``. A channel where it is 0 or NaN stays as it is.
    is_joint
        True if all channels have similar patches at the same places, those of the first channel with noise: luminance and color
        differences. Default False: each channel has its own.
    is_observed
        False where a value is not known; ``None``, the default, if all are.
    noise_spectrum
        Power of the noise at each frequency along the last two axes, see `napari_convgen.core.noise.noise_spectrum`; ``None``, the default,
        for white noise.
    is_stack
        True if the first spatial axis counts the frames of a stack of planes: patches are planes then, and similar ones are looked for in
        the frames before and after too. Default False.

    Yields
    ------
    Stage
        Better and better images.
    """
    home, device = values.device, computed_on(values.device)
    values, is_observed = values.to(device), None if is_observed is None else is_observed.to(device)
    factor = 1.0 if noise_spectrum is None else CORRELATED_LEVEL
    levels = factor * as_column(torch.nan_to_num(noise_level.to(values)), values.ndim)
    noisy = [i for i, level in enumerate(levels.flatten().tolist()) if level > 0]
    image = values.clone()
    groups = [noisy] if is_joint and noisy else [[i] for i in noisy]
    for position, channels in enumerate(groups):
        frame = _Frame(
            (values[channels] / levels[channels]).reshape(len(channels), *as_volume(values)).contiguous(),
            values.ndim - 1,
            None
            if is_observed is None
            else is_observed[channels].reshape(len(channels), *as_volume(values)).contiguous(),
            noise_spectrum,
            is_stack,
        )
        for estimate, share in _frame_stages(frame):
            image = image.clone()
            image[channels] = estimate.view(len(channels), *values.shape[1:]) * levels[channels]
            yield Stage(image.to(home), (position + share) / len(groups))
    if not groups:
        yield Stage(image.to(home), 1.0)


@dataclass(frozen=True, eq=False)
class _Frame:
    """Channels in standard deviations of their noise, on one grid."""

    values: Float[Tensor, "c z y x"]
    n_axes: int
    is_observed: Bool[Tensor, "c z y x"] | None
    spectrum: Float[np.ndarray, "a b"] | None
    is_stack: bool

    def stack(self, slices: slice) -> _Frame:
        """Return some slices of a volume as a stack of planes."""
        is_observed = None if self.is_observed is None else self.is_observed[:, slices].contiguous()
        return replace(self, values=self.values[:, slices].contiguous(), is_observed=is_observed, is_stack=True)

    def coarser(self, filled: Tensor) -> tuple[_Frame, float]:
        """Return the frame on the next coarser grid, and the standard deviation of its noise before it was made 1."""
        spectrum, level = (None, 1.0) if self.spectrum is None else half_spectrum(self.spectrum)
        return replace(self, values=halve(filled) / level, is_observed=None, spectrum=spectrum), level


def _frame_stages(frame: _Frame) -> Iterator[tuple[Float[Tensor, "c z y x"], float]]:
    """Yield estimates with the share of the work that is done; a volume's last one has better end slices."""
    estimate, depth = frame.values, frame.values.shape[1]
    has_ends = frame.n_axes == 3 and not frame.is_stack and depth > 1
    for estimate, share in _stages(frame, N_SCALES):
        yield estimate, share * (VOLUME_SHARE if has_ends else 1)
    if not has_ends:
        return
    estimate = estimate.clone()
    for end, slab in ((0, slice(END_THICKNESS)), (depth - 1, slice(max(0, depth - END_THICKNESS), depth))):
        *_, (planes, _) = _stages(frame.stack(slab), N_SCALES)
        estimate[:, end] = torch.lerp(estimate[:, end], planes[:, end - (slab.start or 0)], END_SHARE)
    yield estimate, 1.0


def _stages(frame: _Frame, n_scales: int) -> Iterator[tuple[Float[Tensor, "c z y x"], float]]:
    """Yield estimates with the share of the work that is done: on this grid, then with what coarser grids add."""
    shape = tuple(frame.values.shape[1:])
    has_coarser = n_scales > 1 and half_shape(shape) != shape
    own_share = 1 - 2.0 ** -len([n for n in shape if n > 1]) if has_coarser else 1.0
    estimate = first = frame.values
    for step, image in enumerate(improve(_noisy(frame)), start=1):
        first = image if step == 1 else first
        estimate = image
        yield estimate, own_share * step / N_CHAIN_STEPS
    if not has_coarser:
        return
    filled = frame.values if frame.is_observed is None else torch.where(frame.is_observed, frame.values, first)
    with alone():  # matrix products have other bits with other numbers of threads
        coarse, level = frame.coarser(filled)
    for image, share in _stages(coarse, n_scales - 1):
        if share == 1:
            with alone():
                estimate = merge(estimate, image * level)
            yield estimate, 1.0


def _noisy(frame: _Frame) -> Noisy:
    covariance = None
    if frame.spectrum is not None:
        patches = patches_of(frame.values.shape[1:], frame.n_axes, frame.is_stack)
        covariance = torch.from_numpy(patch_covariance(frame.spectrum, patches)).to(frame.values)
    return Noisy(frame.values, frame.n_axes, frame.is_observed, covariance, frame.is_stack)


def patch_covariance(spectrum: Float[np.ndarray, "a b"], patches: Patches) -> Float[np.ndarray, "n n"]:
    """Return the covariance of the noise between the pixels of a patch, 1 for a pixel with itself.

    Parameters
    ----------
    spectrum
        Power of the noise at each frequency along the last two axes, see `napari_convgen.core.noise.noise_spectrum`. Along Z the noise of
        two pixels is independent.
    patches
        Size of the patch.
    """
    n_rows, n_columns = (1 if n == 1 else 4 * max(n, p) for n, p in zip(spectrum.shape, patches.size[1:], strict=True))
    covariance = np.fft.irfft2(shaping_filter(spectrum, (n_rows, n_columns)) ** 2, (n_rows, n_columns))
    z, y, x = (each.ravel() for each in np.indices(patches.size))
    apart = covariance[np.subtract.outer(y, y) % n_rows, np.subtract.outer(x, x) % n_columns]
    return np.asarray(np.where(np.equal.outer(z, z), apart / covariance[0, 0], 0.0))


def as_volume(values: Tensor) -> tuple[int, int, int]:
    """Return the spatial shape with three axes."""
    sizes = (1, 1, *values.shape[1:])
    return sizes[-3], sizes[-2], sizes[-1]
