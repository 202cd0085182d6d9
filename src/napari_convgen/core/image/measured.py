"""What of a frame was measured, and what is left out of the fit, of its scale and of the estimate of its noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from napari_convgen.core.image.bad_lines import find_bad_lines
from napari_convgen.core.image.fill import find_fill
from napari_convgen.core.image.layout import Layout, channels_first, frame_channels_first
from napari_convgen.core.image.outliers import find_outliers

LEAST_MEASURED = 0.02
"""Least share of a channel outside of its areas of one value: a channel with less is a drawing, such as a mask. Our choice, no
benchmark."""

MOST_NAMED = 3
"""Number of values that a note names."""


@dataclass(frozen=True)
class LeftOut:
    """What of some frames is left out, in numbers.

    Attributes
    ----------
    n_missing
        Number of missing (NaN) values.
    n_outliers
        Number of values far outside the range of all others, see `find_outliers`.
    n_in_bad_lines
        Number of values in bad rows and columns, see `find_bad_lines`.
    n_filled
        Number of pixels in areas of one exact value, see `find_fill`, by this value.
    constant
        Number of frames in which a channel is constant, by the number of the channel.
    """

    n_missing: int = 0
    n_outliers: int = 0
    n_in_bad_lines: int = 0
    n_filled: Counter[float] = field(default_factory=Counter)
    constant: Counter[int] = field(default_factory=Counter)

    @classmethod
    def sum(cls, parts: Sequence[LeftOut]) -> LeftOut:
        """Return what is left out of several frames together."""
        return cls(
            sum(part.n_missing for part in parts),
            sum(part.n_outliers for part in parts),
            sum(part.n_in_bad_lines for part in parts),
            sum((part.n_filled for part in parts), Counter()),
            sum((part.constant for part in parts), Counter()),
        )

    def sentences(self, are_areas_drawn: bool = False) -> Iterator[str]:
        """Say what is left out, and what becomes of it.

        Parameters
        ----------
        are_areas_drawn
            True if areas of one exact value are filled in too; default False: they are unchanged.
        """
        if self.n_missing:
            yield f"{self.n_missing} missing (NaN) pixels were left out of the fit and filled in."
        if self.n_outliers:
            pixels = "1 pixel" if self.n_outliers == 1 else f"{self.n_outliers} pixels"
            yield f"Left out of the fit and filled in: {pixels} far outside the range of all others, without relation to the neighbors."
        if self.n_in_bad_lines:
            yield (
                f"Left out of the fit and filled in: {self.n_in_bad_lines} pixels of single rows or columns with an offset, no signal, "
                "or much more noise than those beside them."
            )
        if self.n_filled:
            values = [f"{value:g}" for value, _ in self.n_filled.most_common(MOST_NAMED)]
            more, fate = ", …" * (len(self.n_filled) > MOST_NAMED), "filled in" if are_areas_drawn else "unchanged"
            yield (
                f"{self.n_filled.total()} pixels in large areas of one exact value ({', '.join(values)}{more}) were taken for a mask or "
                f"padding: they were left out of the fit and of the noise estimate, and are {fate}."
            )
        if self.constant:
            numbers = ", ".join(str(number) for number in sorted(self.constant))
            yield f"Nothing varies in channel {numbers} (from 0): left out of the fit, and unchanged."


@dataclass(frozen=True, eq=False)
class Measured:
    """The measured part of a frame.

    Attributes
    ----------
    values
        Values of the channels that are fitted, channels first; NaN where not observed.
    is_observed
        False at missing values, outliers, in bad lines and in areas of one exact value.
    is_kept
        True in areas of one exact value, which a result takes over from the frame.
    channels
        Numbers of the channels that are fitted: those that are not constant, or all if there is none.
    left_out
        The rest in numbers.
    """

    values: Float[np.ndarray, "c *spatial"]
    is_observed: Bool[np.ndarray, "c *spatial"]
    is_kept: Bool[np.ndarray, "c *spatial"]
    channels: tuple[int, ...]
    left_out: LeftOut

    @classmethod
    def whole(cls, frame: NDArray[Any], layout: Layout) -> Measured:
        """Return all of a frame but its missing (NaN) values."""
        values, is_observed = channels_first(frame, layout)
        nothing = np.zeros_like(is_observed)
        return cls(values, is_observed, nothing, tuple(range(len(values))), LeftOut(int((~is_observed).sum())))

    @classmethod
    def of(cls, frame: NDArray[Any], layout: Layout) -> Measured:
        """Find what of a frame was not measured; of an image of truth values all was.

        Parameters
        ----------
        frame
            Frame of an array, without infinite values.
        layout
            Axes of the array.
        """
        whole = cls.whole(frame, layout)
        values, is_seen = whole.values, whole.is_observed
        if frame.dtype.kind == "b" or not any(_varies(values, is_seen)):
            return whole
        is_kept = np.stack([find_fill(x, seen) for x, seen in zip(values, is_seen, strict=True)])
        over = tuple(range(1, values.ndim))
        is_kept[(is_seen & ~is_kept).mean(over) < LEAST_MEASURED] = False
        left = is_seen & ~is_kept
        outliers = np.stack([find_outliers(x, seen) for x, seen in zip(values, left, strict=True)])
        left = left & ~outliers
        bad_lines = np.stack([find_bad_lines(x, seen) for x, seen in zip(values, left, strict=True)])
        is_observed = left & ~bad_lines
        varies = _varies(values, is_observed)
        channels = tuple(np.flatnonzero(varies).tolist()) if any(varies) else whole.channels
        chosen = list(channels)
        kept, counts = np.unique(values[chosen][is_kept[chosen]], return_counts=True)
        left_out = LeftOut(
            int((~is_seen[chosen]).sum()),
            int(outliers[chosen].sum()),
            int(bad_lines[chosen].sum()),
            Counter(dict(zip(kept.tolist(), counts.tolist(), strict=True))),
            Counter(set(whole.channels) - set(channels)),
        )
        values = np.where(is_observed, values, np.nan)
        return cls(values[chosen], is_observed[chosen], is_kept[chosen], channels, left_out)

    def only(self, is_wanted: Bool[np.ndarray, "c"]) -> Measured:
        """Return the measured part of some of the channels, one truth value for each of `channels`."""
        chosen = np.flatnonzero(is_wanted)
        channels = tuple(self.channels[each] for each in chosen)
        return replace(
            self,
            values=self.values[chosen],
            is_observed=self.is_observed[chosen],
            is_kept=self.is_kept[chosen],
            channels=channels,
        )

    def take(self, frame: NDArray[Any], layout: Layout) -> Float[np.ndarray, "c *spatial"]:
        """Return the values of the fitted channels of another frame of this shape, channels first."""
        return np.asarray(frame_channels_first(frame, layout)[list(self.channels)].astype(np.float64))


def _varies(values: Float[np.ndarray, "c *spatial"], is_seen: Bool[np.ndarray, "c *spatial"]) -> list[bool]:
    """Return for each channel whether it has more than one value where it is seen."""
    return [bool(seen.any() and x[seen].min() < x[seen].max()) for x, seen in zip(values, is_seen, strict=True)]
