"""The state of a comparison while it runs, and its forecast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from napari_convgen.run.compare.result import MethodResult
from napari_convgen.run.denoise.progress import DenoiseProgress
from napari_convgen.run.labels import format_bytes, format_method, format_seconds
from napari_convgen.run.setup.forecast import Forecast
from napari_convgen.run.task import Progress


@dataclass(frozen=True, kw_only=True)
class CompareProgress(Progress):
    """The state of a comparison.

    Attributes
    ----------
    method, position, n_methods
        Method at work, its place from 0, and number of methods.
    frame, n_frames
        Number of the frame that it works on, from 0, and of all frames.
    fit
        Progress of the generator's fit; ``None`` for a baseline, which reports only when it begins a frame.
    done
        Outcome of the method, if it has just ended.
    """

    method: str
    position: int
    n_methods: int
    frame: int
    n_frames: int
    fit: DenoiseProgress | None = None
    done: MethodResult | None = None

    @property
    def share(self) -> float:
        """Share of the methods that is done, 0 to 1; each method counts the same."""
        if self.done is not None:
            part = 1.0
        else:
            frame = self.frame if self.fit is None else self.frame + self.fit.frame_share
            part = frame / self.n_frames
        return (self.position + part) / self.n_methods


@dataclass(frozen=True)
class CompareForecast:
    """Memory and time of a comparison.

    Attributes
    ----------
    fits
        Forecast of each fit of a generator, by the method's name.
    n_bytes_others, n_bytes_free
        Bytes that the other methods take at their peak, about, and bytes that are free.
    """

    fits: Mapping[str, Forecast]
    n_bytes_others: int
    n_bytes_free: int

    @property
    def n_bytes(self) -> int:
        """Bytes at the peak, about: the methods run one after the other."""
        return max([self.n_bytes_others, *(fit.n_bytes for fit in self.fits.values())])

    @property
    def seconds(self) -> float:
        """Seconds of all fits at most, were each to use all its steps; the other methods come on top."""
        return sum(fit.seconds for fit in self.fits.values())

    def __str__(self) -> str:
        memory = f"About {format_bytes(self.n_bytes)} of memory, {format_bytes(self.n_bytes_free)} are free."
        parts = [
            f"{format_method(name)} takes at most {format_seconds(fit.seconds)}" for name, fit in self.fits.items()
        ]
        return (
            f"{memory} {'; '.join(parts) or 'No generator is fitted'}. The time of classical methods is not predicted."
        )
