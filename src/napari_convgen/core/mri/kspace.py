"""K-space as a scanner hands it over: what is checked, where it was sampled, and how strong its noise is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from numpy.typing import NDArray

from napari_convgen.core.operators.fourier import calibration_width
from napari_convgen.errors import InputError, mismatch

FORM = "Give k-space as complex numbers of the shape (coils, rows, columns), its origin at index n // 2 along rows and columns."
"""Sentence on what is expected."""

LEAST_CALIBRATION, MOST_CALIBRATION = 8, 24
"""Lines of the calibration region, at least and at most: with fewer than 8 there are hardly more blocks than unknowns, and more than 24
do not make the sensitivities better (Uecker et al. 2014), while they can be held out."""

MIDDLE_SHARE = 0.25
"""Least share of the energy in the middle quarter of rows and columns: that of an image is near 1/16, that of k-space above 1/2."""

OUTER_QUANTILE = 0.95
"""Share of the sampled points that are nearer to the middle than those from which noise is estimated where corners were not sampled. Our
choice, no benchmark."""

CORNER_RADIUS = 1.0
"""Distance from the origin from which on k-space has noise alone, relative to the half axes: what lies outside of their ellipse."""

MOST_UNEVEN = 1.3
"""Ratio of the power in the inner and the outer half of the corners from which on it is signal. Noise has 1; a few hundred points give a
ratio below 1.3."""


@dataclass(frozen=True, eq=False)
class Sampling:
    """Where k-space was sampled.

    Attributes
    ----------
    is_sampled
        True where it was.
    readout_axis
        Axis, 0 or 1, along which lines were read at once; ``None`` if single points were.
    n_calibration
        Width of the fully sampled region in the middle that is used for calibration, in lines.
    """

    is_sampled: Bool[np.ndarray, "y x"]
    readout_axis: int | None
    n_calibration: int

    @property
    def acceleration(self) -> float:
        """Number of all points over that of the sampled ones."""
        return self.is_sampled.size / int(self.is_sampled.sum())

    @property
    def calibration_region(self) -> tuple[slice, ...]:
        """Index of the calibration region: at most `MOST_CALIBRATION` points along the readout, too, and no more than there are."""
        sides = [self.n_calibration] * 2
        if self.readout_axis is not None:
            sides[self.readout_axis] = min(MOST_CALIBRATION, self.is_sampled.shape[self.readout_axis])
        sides = [min(side, n) for side, n in zip(sides, self.is_sampled.shape, strict=True)]
        starts = [n // 2 - side // 2 for n, side in zip(self.is_sampled.shape, sides, strict=True)]
        return tuple(slice(start, start + side) for start, side in zip(starts, sides, strict=True))


def check_kspace(kspace: NDArray[Any]) -> Complex[np.ndarray, "coils y x"]:
    """Return k-space with a coil axis, checked.

    Parameters
    ----------
    kspace
        K-space of one slice, with or without a coil axis.

    Raises
    ------
    InputError
        Another number of axes, real numbers, values that are not finite, no values but 0, or energy that is not in the middle.
    """
    if kspace.dtype.kind != "c":
        raise InputError(
            f"K-space must have complex numbers as values, got {kspace.dtype}: this looks like an image. {FORM}"
        )
    if kspace.ndim not in (2, 3) or 0 in kspace.shape:
        raise InputError(f"K-space must be that of one slice, got the shape {kspace.shape}. {FORM}")
    coils = kspace if kspace.ndim == 3 else kspace[np.newaxis]
    n_bad = int((~np.isfinite(coils)).sum())
    if n_bad:
        found = "1 value that is" if n_bad == 1 else f"{n_bad} values that are"
        raise InputError(
            f"K-space has {found} infinite or not a number (NaN). Replace by 0, which marks what was not sampled."
        )
    if not coils.any():
        raise InputError("K-space is 0 throughout: no point was sampled. Give the k-space of a scan.")
    if not coils.imag.any():
        raise InputError(
            f"K-space has an imaginary part of 0 throughout: this is the real part or the magnitude alone. {FORM}"
        )
    _check_center(np.square(np.abs(coils / np.abs(coils).max()), dtype=np.float64).sum(0))
    checked: Complex[np.ndarray, "coils y x"] = coils
    return checked


def _check_center(energy: Float[np.ndarray, "y x"]) -> None:
    def middle_share(values: NDArray[Any]) -> float:
        middle = tuple(slice(n // 2 - max(1, n // 8), n // 2 + max(1, n // 8) + 1) for n in values.shape)
        return float(values[middle].sum() / values.sum())

    share = middle_share(energy)
    if share >= MIDDLE_SHARE:
        return
    if middle_share(np.fft.fftshift(energy)) >= MIDDLE_SHARE:
        raise InputError(
            "K-space has its origin at index 0. Move it to the middle: numpy.fft.fftshift over rows and columns."
        )
    raise InputError(
        f"K-space must have its energy in the middle, and {100 * share:.0f} % of it is there: this looks like an image, or its origin is "
        f"elsewhere. {FORM}"
    )


def find_sampling(
    kspace: Complex[np.ndarray, "coils y x"],
    is_sampled: NDArray[Any] | None = None,
    n_calibration: int | None = None,
) -> Sampling:
    """Find where k-space was sampled, along which axis it was read, and how wide its calibration region is.

    Parameters
    ----------
    kspace
        Checked k-space.
    is_sampled
        Mask of what was sampled, of the shape (rows, columns), (rows, 1) for whole rows or (1, columns) for whole columns;
        ``None``, the default, takes what is not 0.
    n_calibration
        Lines of the calibration region; ``None``, the default, takes the fully sampled ones, at most `MOST_CALIBRATION`.

    Raises
    ------
    InputError
        A mask of another shape, or of points that are 0 throughout, or a calibration region that was not fully sampled.
    """
    size = kspace.shape[1:]
    found = np.asarray((kspace != 0).any(0))
    mask = found if is_sampled is None else _as_mask(is_sampled, size)
    if not (mask & found).any():
        raise InputError(
            "K-space is 0 wherever the mask says that it was sampled. Give the mask of this scan, or none."
        )
    lines = [axis for axis in (1, 0) if (mask == mask.any(axis, keepdims=True)).all()]
    readout_axis = lines[0] if lines else None
    width = calibration_width(torch.from_numpy(mask), readout_axis)
    wanted = min(width, MOST_CALIBRATION) if n_calibration is None else n_calibration
    if not 0 <= wanted <= width:
        raise InputError(
            f"n_calibration must be 0 to {width}, the number of fully sampled lines in the middle of k-space, got {wanted}. Choose fewer."
        )
    return Sampling(mask, readout_axis, wanted)


def _as_mask(given: NDArray[Any], size: tuple[int, ...]) -> Bool[np.ndarray, "y x"]:
    mask: Bool[np.ndarray, "*shape"] = np.asarray(given) != 0
    if mask.shape == size[:1]:
        mask = mask[:, np.newaxis]
    if mask.shape not in (size, (size[0], 1), (1, size[1])):
        raise InputError(
            mismatch(
                "The mask of the sampled points must have the shape of k-space",
                expected=f"{size}, or {(size[0], 1)} for whole rows, {(1, size[1])} for whole columns",
                got=mask.shape,
                advice="Give the mask of this scan, or none.",
            )
        )
    return np.broadcast_to(mask, size).copy()


def check_calibration(sampling: Sampling) -> None:
    """Refuse to estimate sensitivities from too little.

    Raises
    ------
    InputError
        Fewer calibration lines than `LEAST_CALIBRATION`.
    """
    if sampling.n_calibration < LEAST_CALIBRATION:
        raise InputError(
            f"Sensitivities need at least {LEAST_CALIBRATION} fully sampled lines in the middle of k-space, got {sampling.n_calibration}. "
            "Give coil_maps or a larger n_calibration, or measure a calibration region."
        )


@dataclass(frozen=True, eq=False)
class KSpaceNoise:
    """Noise of the coils.

    Attributes
    ----------
    level
        Root mean square of the noise of a point (real and imaginary part together) after whitening, mean over the coils.
    whitening
        Matrix that the coils are multiplied by, so that their noise has the same level and is independent.
    is_bound
        True if the corners of k-space have signal, so that the level is at most this.
    """

    level: float
    whitening: Complex[np.ndarray, "coils coils"]
    is_bound: bool = False

    @classmethod
    def known(cls, level: float, n_coils: int) -> KSpaceNoise:
        """Return noise of a level that is given, the same and independent in all coils."""
        return cls(level, np.eye(n_coils, dtype=np.complex128))

    @classmethod
    def of(cls, kspace: Complex[np.ndarray, "coils y x"], is_sampled: Bool[np.ndarray, "y x"]) -> KSpaceNoise:
        """Estimate the noise from the corners of k-space, which hardly have signal.

        Where the power still falls outwards, or the corners were not sampled, it is signal too: then it is a bound on the noise, and coils
        stay as they are.

        Parameters
        ----------
        kspace, is_sampled
            Checked k-space, and where it was sampled.
        """
        y, x = np.meshgrid(*((np.arange(n) - n // 2) / (n / 2) for n in is_sampled.shape), indexing="ij")
        radius = np.where(is_sampled & (kspace != 0).any(0), np.hypot(y, x), 0)
        has_corners = (radius > CORNER_RADIUS).sum() > 4 * len(kspace)
        threshold = CORNER_RADIUS if has_corners else np.quantile(radius[radius > 0], OUTER_QUANTILE)
        is_outer = radius > threshold
        values = kspace[:, is_outer if is_outer.any() else radius > 0].astype(np.complex128)
        power, order = (
            np.square(np.abs(values)).sum(0),
            np.argsort(radius[is_outer] if is_outer.any() else radius[radius > 0]),
        )
        inner, outer = (float(part.mean()) for part in np.array_split(power[order], 2))
        level = math.sqrt(float(power.mean()) / len(kspace))
        if not has_corners or inner > MOST_UNEVEN * outer or values.shape[1] < 4 * len(kspace) or not level:
            return cls(level, np.eye(len(kspace), dtype=np.complex128), is_bound=True)
        covariance = values @ values.conj().T / values.shape[1]
        whitening = level * np.linalg.inv(np.linalg.cholesky(covariance + 1e-6 * level**2 * np.eye(len(kspace))))
        return cls(level, whitening)
