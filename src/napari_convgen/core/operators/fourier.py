"""The operator of Cartesian MRI: coil sensitivities, the centered Fourier transform, and the points of k-space that were sampled."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Complex, Int
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.constant import Constant
from napari_convgen.core.operators.forward_model import NEVER_HELD_OUT
from napari_convgen.errors import InputError, mismatch


def fourier(
    coil_maps: Complex[Tensor, "coils *spatial"],
    is_sampled: Bool[Tensor, "*grid"],
    *,
    readout_axis: int | None = None,
    n_calibration: int = 0,
) -> LinearMap:
    """Return the map from an image to the k-space of each coil.

    The image has two real channels, its real and its imaginary part; the measurement is complex, a channel for each coil, and 0 where
    k-space was not sampled. With coil maps whose squares sum to 1 at most in each pixel, the norm of the map is at most 1.

    Parameters
    ----------
    coil_maps
        Sensitivity of each coil in each pixel.
    is_sampled
        True at points of k-space that were sampled, its origin in the middle (at index n // 2 along each axis).
    readout_axis
        Spatial axis, from 0, along which k-space was read at once: each line along it is held out as a whole. ``None``, the default, holds
        out single points, such as readouts that are perpendicular to the image.
    n_calibration
        Width of the calibration region, fully sampled lines in the middle of k-space, which are never held out, since without them nothing
        is known of the coarse structure; 0, the default, for none. See `calibration_width`.

    Raises
    ------
    InputError
        Maps and sampling that do not fit, nothing sampled, lines that were sampled in part, or a calibration region that was not.
    """
    size = tuple(coil_maps.shape[1:])
    _check_maps(coil_maps)
    lines = _lines(is_sampled, size, readout_axis)
    if n_calibration > (width := calibration_width(is_sampled, readout_axis)):
        raise InputError(
            f"The calibration region must be fully sampled: {n_calibration} lines are asked for, and only {width} in the middle of "
            "k-space were. Choose fewer."
        )
    axes = tuple(range(1, len(size) + 1))
    maps, mask = Constant(coil_maps), Constant(is_sampled)

    def apply(x: Tensor) -> Tensor:
        return mask.like(x) * centered_fft(maps.like(x) * torch.complex(x[0], x[1]), axes)

    def adjoint(y: Tensor) -> Tensor:
        combined = (maps.like(y).conj() * centered_ifft(mask.like(y) * y, axes)).sum(0)
        return torch.stack((combined.real, combined.imag))

    groups = torch.arange(lines.numel()).view(lines.shape)
    groups[_middle(lines.shape, n_calibration)] = NEVER_HELD_OUT
    return LinearMap(
        apply, (2, *size), tuple(coil_maps.shape), adjoint, entry_groups=_along_readout(groups, size, readout_axis)
    )


def centered_fft(x: Complex[Tensor, "*shape"], axes: tuple[int, ...]) -> Complex[Tensor, "*shape"]:
    """Return the orthonormal Fourier transform over some axes, with the origin of both spaces at index n // 2."""
    transform = torch.fft.fftn(torch.fft.ifftshift(x, axes), dim=axes, norm="ortho")
    centered: Tensor = torch.fft.fftshift(transform, axes)
    return centered


def centered_ifft(y: Complex[Tensor, "*shape"], axes: tuple[int, ...]) -> Complex[Tensor, "*shape"]:
    """Return the inverse, which is the adjoint, of `centered_fft`."""
    transform = torch.fft.ifftn(torch.fft.ifftshift(y, axes), dim=axes, norm="ortho")
    centered: Tensor = torch.fft.fftshift(transform, axes)
    return centered


def calibration_width(is_sampled: Bool[Tensor, "*spatial"], readout_axis: int | None = None) -> int:
    """Return the number of lines, along each axis but that of the readout, of the largest fully sampled region in the middle of k-space.

    Parameters
    ----------
    is_sampled, readout_axis
        As for `fourier`.
    """
    lines = is_sampled if readout_axis is None else is_sampled.all(readout_axis)
    width = 0
    while width < max(lines.shape) and bool(lines[_middle(lines.shape, width + 1)].all()):
        width += 1
    return width


def _middle(shape: torch.Size, width: int) -> tuple[slice, ...]:
    """Return the middle of k-space, ``width`` lines along each axis or all that there are."""
    starts = [max(0, n // 2 - width // 2) for n in shape]
    return tuple(slice(start, min(n, start + width)) for start, n in zip(starts, shape, strict=True))


def _along_readout(lines: Int[Tensor, "*lines"], size: tuple[int, ...], axis: int | None) -> Int[Tensor, "*spatial"]:
    return lines if axis is None else lines.unsqueeze(axis).expand(size).clone()


def _check_maps(maps: Complex[Tensor, "coils *spatial"]) -> None:
    if not torch.isfinite(torch.view_as_real(maps)).all():
        raise InputError("The coil maps have values that are infinite or not a number. Estimate them again.")
    if not maps.any():
        raise InputError("The coil maps are 0 throughout: no coil sees anything. Estimate them again.")


def _lines(is_sampled: Bool[Tensor, "*grid"], size: tuple[int, ...], axis: int | None) -> Bool[Tensor, "*lines"]:
    """Check where k-space was sampled, and return True for each line that was."""
    if tuple(is_sampled.shape) != size:
        raise InputError(
            mismatch(
                "The sampling of k-space must have the shape of the coil maps",
                expected=size,
                got=tuple(is_sampled.shape),
                advice="Give maps of the same grid.",
            )
        )
    if not is_sampled.any():
        raise InputError("No point of k-space was sampled. Give the k-space of a scan, 0 where it was not sampled.")
    if axis is None:
        return is_sampled
    if not -len(size) <= axis < len(size) or len(size) < 2:
        raise InputError(f"The axis of the readout must be one of {len(size)} spatial axes of k-space, got {axis}.")
    lines = is_sampled.all(axis)
    if not torch.equal(lines, is_sampled.any(axis)):
        n_partial = int((is_sampled.any(axis) & ~lines).sum())
        raise InputError(
            f"Lines of k-space must be sampled as a whole along axis {axis}, and {n_partial} of {math.prod(lines.shape)} were in part. "
            "Choose the axis of the readout, or None for single points."
        )
    return lines
