"""The conversion of a frame's intensities to the generator's units and back.

Each frame becomes an `ImageTensor`, which can restore the array's own shape, dtype and range.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped
from numpy.typing import DTypeLike, NDArray
from scipy import ndimage

from napari_convgen.core.columns import as_column
from napari_convgen.core.image.layout import Layout
from napari_convgen.core.image.measured import Measured
from napari_convgen.core.noise.estimation.correlation import correlation_length
from napari_convgen.core.noise.estimation.impulses import find_impulses
from napari_convgen.core.noise.estimation.spectrum import noise_spectrum
from napari_convgen.core.noise.models import NoiseModel
from napari_convgen.core.noise.stabilizer import Stabilizer, Unchanged

LOW, HIGH = 0.05, 0.95
"""Minimum and maximum of an image in the generator's units.

Chosen so that they lie within the range of the sigmoid at the output of a generator, 0 to 1, but not where it is flat."""

LEAST_SLOPE = 0.05
"""Least slope of the way back to the frame's units that an error is multiplied by, relative to the median: of magnitudes at the noise
floor, which are reduced to 0, nobody can be sure. Our choice, small enough not to count."""

ROUNDING_VARIANCE = 1 / 12
"""Variance of the error of rounding to integers, which is uniform from -1/2 to 1/2."""


@dataclass(frozen=True, eq=False)
class ImageTensor:
    """One frame in the generator's units, with the conversion back.

    If there is a model of the noise, the values are stabilized before they are scaled, so that the noise of a channel has the same standard
    deviation in all pixels.

    Attributes
    ----------
    values
        Values in the generator's units, channels first: the frame's minimum is `LOW` and its maximum is `HIGH`; values that are not
        observed are 0.5. Channels that share the same noise are replaced by their mean, as one channel; constant ones are left out.
    is_observed
        Mask of the values, False at impulses and where nothing was measured.
    low, high
        Minimum and maximum of the observed values of each channel, in the frame's units; the same for all channels of a color image.
    noise
        Model of the frame's noise; ``None`` if there is none.
    stabilizers
        Transform of each channel from the frame's units to units in which its noise is stabilized.
    differences
        Differences of the channels from their mean, in the frame's units, if they share the same noise; otherwise ``None``.
    frame
        Noisy frame, in its own shape and dtype.
    layout
        Axes of the array that the frame is from.
    measured
        What of the frame was measured; the rest of its channels, and areas of one exact value, are restored as they are.
    dtype
        Type of a denoised frame.
    weights
        Inverse variance of each value's noise, relative to the noise level, where it is not the same for all; ``None``, the default, if
        it is.
    """

    values: Float[np.ndarray, "c *spatial"]
    is_observed: Bool[np.ndarray, "c *spatial"]
    low: Float[np.ndarray, "c"]
    high: Float[np.ndarray, "c"]
    noise: NoiseModel | None
    stabilizers: tuple[Stabilizer, ...]
    differences: Float[np.ndarray, "n *spatial"] | None
    frame: NDArray[Any]
    layout: Layout
    measured: Measured
    dtype: np.dtype[Any]
    weights: Float[np.ndarray, "c *spatial"] | None = None

    @classmethod
    def of(
        cls,
        frame: NDArray[Any],
        layout: Layout,
        noise: NoiseModel | None = None,
        measured: Measured | None = None,
        dtype: DTypeLike | None = None,
    ) -> ImageTensor:
        """Return a frame in the generator's units; the alpha of an RGBA image is left out.

        Parameters
        ----------
        frame
            Frame of a checked array, see `check_array`; not constant.
        layout
            Axes of the array that the frame is from.
        noise
            Model of the noise of all channels that are fitted; ``None``, the default, scales the values without stabilization.
        measured
            What of the frame was measured; ``None``, the default, finds it.
        dtype
            Type of a denoised frame; ``None``, the default, for the frame's own.

        Raises
        ------
        InputError
            The frame has values that are impossible with this noise, such as negative magnitudes.
        """
        measured = Measured.of(frame, layout) if measured is None else measured
        values, is_observed = measured.values, measured.is_observed
        differences = None
        if noise is not None:
            values = noise.without_artifacts(values, is_observed)
            if noise.impulses:
                is_observed = is_observed & ~find_impulses(values, is_observed, noise.stabilizers_of(values.shape[1:]))
            noise.check(values, is_observed)
            if noise.is_shared:
                values, is_observed, differences = _split(values, is_observed)
        over = tuple(range(0 if layout.is_color else 1, values.ndim))
        low = np.min(values, axis=over, initial=np.inf, where=is_observed)
        high = np.max(values, axis=over, initial=-np.inf, where=is_observed)
        low = np.broadcast_to(np.where(np.isfinite(low), low, 0.0), len(values))
        high = np.broadcast_to(np.where(np.isfinite(high), high, 0.0), len(values))
        unknown = (Unchanged(np.nan),) * len(values)
        transforms = unknown if noise is None else noise.stabilizers_of(values.shape[1:])[: len(values)]
        own = np.dtype(frame.dtype if dtype is None else dtype)
        image = cls(values, is_observed, low, high, noise, transforms, differences, frame, layout, measured, own)
        return replace(image, values=np.where(is_observed, image.scale(values), 0.5))

    def within(self, low: Float[np.ndarray, "c"], high: Float[np.ndarray, "c"]) -> ImageTensor:
        """Return the same frame with another range in the place of its own minimum and maximum, given in the frame's units."""
        other = replace(self, low=low, high=high)
        least, most = (as_column(each, self.values.ndim) for each in other._ends())
        values = LOW + (HIGH - LOW) * (self._stable(self.values) - least) / np.where(most > least, most - least, 1.0)
        return replace(other, values=np.where(self.is_observed, values, 0.5))

    @property
    def is_stabilized(self) -> bool:
        """True if a channel was stabilized, by a transform that is not linear or not the same everywhere."""
        return not all(isinstance(each, Unchanged) for each in self.stabilizers)

    @property
    def is_rounded(self) -> bool:
        """True if a denoised frame has integers."""
        return self.dtype.kind in "ui"

    @property
    def noise_level(self) -> Float[np.ndarray, "c"]:
        """Standard deviation of each channel's noise, in the generator's units; NaN without a model. In dark pixels it can be lower."""
        return np.asarray(self._unit * np.array([each.noise_level for each in self.stabilizers]))

    @property
    def mean_noise_level(self) -> Float[np.ndarray, "c"]:
        """Root of the mean noise variance of each channel over all pixels, dark ones included, in the generator's units."""
        if self.noise is None or self.noise.stable is None:
            return self.noise_level
        return np.asarray(self._unit * np.array([each.level for each in self.noise.stable]))

    @functools.cached_property
    def noise_spectrum(self) -> Float[np.ndarray, "a b"] | None:
        """Power of the noise at each frequency along the last two axes; ``None`` for white noise. Estimated from the image."""
        length = (
            correlation_length(self.values, self.is_observed) if self.noise is None else self.noise.correlation_length
        )
        return None if length == 1 else noise_spectrum(self.values, self.is_observed)

    @property
    def noise_warnings(self) -> tuple[str, ...]:
        """Sentences on channels in which no noise was found; none without a model."""
        numbers = [self.measured.channels[i] for i in np.flatnonzero(~(self.mean_noise_level > 0))]
        if self.noise is None or not numbers:
            return ()
        where = f" in channel {', '.join(map(str, numbers))} (from 0)" if len(self.values) > 1 else ""
        return (
            f"Attention: no noise was found{where}, so noise cannot be told from structure, and the result may be as noisy as the image. "
            "If there is noise, give its standard deviation (noise.sigma).",
        )

    def noise_variance(self, values: NDArray[Any]) -> Float[np.ndarray, "c *spatial"]:
        """Return the variance of the noise at the clean values ``values``, in squared generator units; NaN without a model."""
        stable = self._stable(values.astype(np.float64))
        if self.noise is None or self.noise.stable is None:
            variance = [each.noise_variance(x) for each, x in zip(self.stabilizers, stable, strict=True)]
        else:
            variance = [each.variance_at(x) for each, x in zip(self.noise.stable, stable, strict=True)]
        return np.asarray(as_column(self._unit**2, values.ndim) * np.stack(variance))

    def scale(self, values: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return noisy values, given in the frame's units, in the generator's units."""
        low, high = (as_column(each, values.ndim) for each in self._ends())
        stable = np.stack([each.forward(x) for each, x in zip(self.stabilizers, values, strict=True)])
        return np.asarray(LOW + (HIGH - LOW) * (stable - low) / np.where(high > low, high - low, 1.0))

    def restore(self, values: NDArray[Any], *, is_denoised: bool = True) -> NDArray[Any]:
        """Return a generator's output in the frame's shape and range.

        The stabilization is inverted without bias. Values are clipped to the frame's range, which begins lower if the noise has raised the
        frame's minimum. An estimate of the clean image has the type ``dtype``, others have the frame's; integers are rounded. Alpha is that
        of the frame.

        Parameters
        ----------
        values
            Output of the generator, in its units, channels first.
        is_denoised
            True, the default, if the output is an estimate of the clean image. Then magnitudes at the noise floor are reduced to 0.
        """
        image = self._undo(values.astype(np.float64))
        if is_denoised:
            image = image * self.signal_share(values)
        least = self.low if self.noise is None else self.noise.least(self.low)
        image = np.clip(image, as_column(least, values.ndim), as_column(self.high, values.ndim))
        if self.differences is not None:
            image = image + self.differences
        dtype = self.dtype if is_denoised else self.frame.dtype
        if dtype.kind == "b":
            image = image > 0.5
        elif dtype.kind in "ui":
            largest = np.iinfo(dtype).max  # as a float it can exceed the type
            most = np.nextafter(float(largest), 0) if largest > 2**53 else largest
            image = np.clip(np.rint(image), np.iinfo(dtype).min, most)
        frame = self.frame.astype(dtype)
        self._insert(image, frame)
        return frame

    def signal_share(self, values: NDArray[Any]) -> Float[np.ndarray, "c *spatial"]:
        """Return the probability that each value has any signal, 0 to 1."""
        channels = zip(self.stabilizers, self._stable(values.astype(np.float64)), self.is_observed, strict=True)
        return np.stack([each.signal_share(x, seen) for each, x, seen in channels])

    def slope(self, values: NDArray[Any]) -> Float[np.ndarray, "c *spatial"]:
        """Return the error in the frame's units that an error of one in the generator's units causes, at the output ``values``.

        It is the slope of the conversion back, multiplied by the probability that a pixel has any signal.
        """
        channels = zip(self.stabilizers, self._stable(values.astype(np.float64)), strict=True)
        slope = np.stack([each.slope(x) for each, x in channels])
        unit = as_column(np.where(self._unit > 0, self._unit, np.inf), values.ndim)
        return np.asarray(slope / unit * self.signal_share(values))

    def restore_error(self, error: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the error of a restored output in the frame's units and shape, that of rounding included.

        Parameters
        ----------
        error
            Standard deviation of the error at each pixel, in the generator's units, channels first.
        values
            Output of the generator that has this error, in its units, channels first.
        """
        slope = self.slope(values)
        if (slope > 0).any():  # it is 0 where magnitudes are reduced to 0, of which nobody can be sure
            slope = np.maximum(slope, LEAST_SLOPE * np.median(slope[slope > 0]))
        deviation = error * slope
        if self.is_rounded:
            deviation = np.sqrt(deviation**2 + ROUNDING_VARIANCE)
        restored = np.zeros(self.frame.shape, np.float32)  # what is left as it is has no error
        self._insert(deviation, restored)
        return restored

    def _insert(self, values: Shaped[np.ndarray, "n *spatial"], frame: NDArray[Any]) -> None:
        """Write values of the fitted channels, or those that all of them share, into a frame, except in areas of one exact value."""
        channel = self.layout.frame_channel
        channels = frame[np.newaxis] if channel is None else np.moveaxis(frame, channel, 0)
        for number, kept, new in zip(
            self.measured.channels,
            self.measured.is_kept,
            np.broadcast_to(values, self.measured.values.shape),
            strict=True,
        ):
            np.copyto(channels[number], new, where=~kept, casting="unsafe")

    def _undo(self, values: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return values in the frame's units: invert the scaling and the stabilization."""
        stable = self._stable(values)
        return np.stack([each.inverse(x) for each, x in zip(self.stabilizers, stable, strict=True)])

    def _stable(self, values: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "c *spatial"]:
        """Return values in stabilized units: invert the scaling alone."""
        low, high = (as_column(each, values.ndim) for each in self._ends())
        return np.asarray(low + (values - LOW) / (HIGH - LOW) * (high - low))

    @property
    def has_counts(self) -> bool:
        """True if the noise comes from counting events such as photons, so that `counts` is defined."""
        return self.noise is not None and self.noise.has_counts

    @property
    def counts(self) -> Float[np.ndarray, "c *spatial"]:
        """Number of detected events in each pixel, approximately Poisson distributed; 0 where not observed. See `has_counts`.

        Read noise is replaced by a number of additional events with the same variance.
        """
        values = self._counting.without_artifacts(self.measured.values, self.measured.is_observed)
        return np.where(self.is_observed, self._counting.counts(values), 0.0)

    def from_counts(
        self, counts: Float[np.ndarray, "c *spatial"], share: float = 1.0
    ) -> Float[np.ndarray, "c *spatial"]:
        """Return detected events in the generator's units.

        Parameters
        ----------
        counts
            Numbers of detected events, see `counts`, of which each was kept with the probability ``share``.
        share
            Probability with which an event was kept, above 0 and at most 1, the default. The result has the same mean as with all events,
            to second order, and ``1 / sqrt(share)`` times the noise.
        """
        return self.scale(self._counting.from_counts(counts, share))

    @property
    def _counting(self) -> NoiseModel:
        """Model of the noise, which must come from counting events."""
        if self.noise is None or not self.noise.has_counts:
            raise TypeError(f"{self.noise or 'Unknown noise'}: no events are counted.")
        return self.noise

    @property
    def _unit(self) -> Float[np.ndarray, "c"]:
        """Size of one stabilized unit of each channel, in the generator's units; 0 for a channel that is constant."""
        low, high = self._ends()
        return np.asarray((HIGH - LOW) / np.where(high > low, high - low, np.inf))

    def _ends(self) -> tuple[Float[np.ndarray, "c"], Float[np.ndarray, "c"]]:
        """Return the minimum and the maximum of each channel, in stabilized units."""
        ranges = np.stack([self.low, self.high], axis=1)
        ends = np.stack([each.ends(x) for each, x in zip(self.stabilizers, ranges, strict=True)])
        return ends[:, 0], ends[:, 1]


def _split(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
) -> tuple[Float[np.ndarray, "1 *spatial"], Bool[np.ndarray, "1 *spatial"], Float[np.ndarray, "c *spatial"]]:
    """Return the mean of the channels, the mask of pixels at which all are observed, and the channels' differences from the mean.

    In all other pixels the differences are those of the nearest pixel at which all channels are observed.
    """
    is_whole = np.asarray(is_observed.all(0))
    mean = values.mean(0)
    differences = values - mean
    if is_whole.any() and not is_whole.all():
        nearest = ndimage.distance_transform_edt(~is_whole, return_distances=False, return_indices=True)
        differences = differences[(slice(None), *nearest)]
    return mean[np.newaxis], is_whole[np.newaxis], np.where(np.isfinite(differences), differences, 0.0)
