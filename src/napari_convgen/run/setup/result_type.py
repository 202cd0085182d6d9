"""The type of the values of a result: integers where rounding to them does no harm, floating point numbers elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from napari_convgen.core.image import Measured
from napari_convgen.core.image.scaling import ROUNDING_VARIANCE
from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.stopping import ErrorEstimate

Setting = Literal["auto", "same", "float32"]
"""A user's choice, see `napari_convgen.config.Config.dtype`."""

LARGEST_GAIN = 15.0
"""PSNR in dB that a denoiser gains where it gains most. The largest one of benchmarks/results/quality-default.md is 14.7 dB."""

SMALL_SHARE = 0.1
"""Largest variance of rounding, relative to the expected squared error of the result, that counts as small: it takes away 0.4 dB."""


@dataclass(frozen=True)
class ResultType:
    """The type of a result, decided before the first frame is fitted; one for all frames.

    Attributes
    ----------
    dtype
        Type of the result's values.
    note
        Sentence for the user if the type is not that of the input, or if rounding to it is a large part of the error; empty otherwise.
    setting
        Setting with which another run on the same image has this type too.
    """

    dtype: np.dtype[np.generic]
    note: str = ""
    setting: Setting = "auto"

    def with_rounding(self, error: ErrorEstimate | None) -> ErrorEstimate | None:
        """Return the estimated error of a fit's image after it was rounded; the error itself where it is not."""
        if error is None or self.dtype.kind not in "ui":
            return error
        return replace(error, mse=error.mse + ROUNDING_VARIANCE)

    @classmethod
    def of(
        cls,
        setting: Setting,
        own: np.dtype[np.generic],
        measured: Measured,
        is_color: bool,
        noise: Callable[[], NoiseModel],
    ) -> Self:
        """Decide on the type.

        The expected squared error is the mean variance of the noise, less `LARGEST_GAIN`. An image whose noise cannot be measured keeps its
        type, and so does one with values so large that a float32 has no fractions there, and one in color, as viewers show floating point
        colors from 0 to 1 only.

        Parameters
        ----------
        setting
            The user's choice.
        own
            Type of the image.
        measured
            What was measured of the first frame that is fitted.
        is_color
            True if the channels are samples of one color image.
        noise
            Function that returns the model of the frame's noise; called for integers only.
        """
        single = np.dtype(np.float32)
        if setting == "float32":
            return cls(single, f"The result is float32, not {own}, as chosen." if own != single else "", "float32")
        if own.kind not in "ui":
            return cls(own, setting=setting)
        values = np.where(measured.is_observed, measured.values, 0.0)
        variance = float(noise().variance_in(values).mean(where=measured.is_observed))
        has_fractions = np.spacing(np.float32(values.max())) < ROUNDING_VARIANCE
        if not (0 < SMALL_SHARE * variance / 10 ** (LARGEST_GAIN / 10) < ROUNDING_VARIANCE and has_fractions):
            return cls(own, setting="same")
        why = f"rounding to {own} can be a large part of the error of an image with so little noise"
        if setting == "auto" and not is_color:
            note = f"The result is float32: {why}. Choose dtype = 'same' to round it."
            return cls(single, note, "float32")
        return cls(own, f"The result is rounded: {why}. Choose dtype = 'float32' to keep the fractions.", "same")
