"""What a run returns, and its form as a report."""

from __future__ import annotations

import functools
import math
import platform
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen import __version__
from napari_convgen.config import Config
from napari_convgen.core.image import Layout
from napari_convgen.core.quality.metrics import Scores, psnr, reference_range, ssim
from napari_convgen.core.snapshot import Outcome, Snapshot, StopReason
from napari_convgen.figures.panel import Panel
from napari_convgen.run.denoise.frame_result import FrameResult
from napari_convgen.run.labels import format_place, format_seconds
from napari_convgen.run.shown import ShownResult, fit_plots, shown_planes


@dataclass(frozen=True, eq=False)
class Reference:
    """The ground truth to score against.

    Attributes
    ----------
    image
        Ground truth in the input's shape.
    data_range
        Peak of the scores, in the image's units.
    """

    image: NDArray[Any]
    data_range: float


@dataclass(frozen=True, eq=False, repr=False)
class DenoiseResult(ShownResult):
    """The outcome of a denoising. In a terminal it is shown in five lines, in a notebook with pictures and curves.

    Attributes
    ----------
    image
        Denoised image, in the input's shape and range; its type is the input's or float32, see ``config.dtype``.
    config
        Configuration that reproduces it.
    frames
        Results of the frames that were fitted: a single one unless the input is a stack; or of their tiles.
    notes
        Sentences that the user should know: missing pixels, restarts, frames left as they were.
    device
        Device that the fit ran on.
    n_threads
        Number of threads that it used on the CPU.
    seconds
        Seconds that the fit took, with the estimates that guide it, without loading, previews and pauses.
    layout
        Meaning of the input's axes.
    input
        Image that was denoised.
    backend
        What computed the generator: ``"numba"``, ``"triton"`` or ``"torch"``.
    reference
        Ground truth; ``None`` if it was not given.
    guide_seconds
        Seconds of the estimates that guide the fits; 0, the default, if there are none.
    n_tiles
        Number of tiles of a frame; 1, the default, if it is whole.
    chosen_step
        Step that the user has chosen, see `keep`; ``None``, the default, if it is that of the run.
    """

    image: NDArray[Any]
    config: Config
    frames: tuple[FrameResult, ...]
    notes: tuple[str, ...]
    device: str
    n_threads: int
    backend: str
    seconds: float
    layout: Layout
    input: Any
    reference: Reference | None = None
    guide_seconds: float = 0.0
    n_tiles: int = 1
    chosen_step: int | None = None

    @property
    def step(self) -> int:
        """The step that is kept; the latest over the frames of a stack."""
        return max(frame.step for frame in self.frames)

    @property
    def reason(self) -> StopReason:
        """Why the fit ended; for a stack, how its frames did."""
        if len(self.frames) == 1:
            return self.frames[0].reason
        steps = [frame.step for frame in self.frames]
        outcomes = {frame.reason.outcome for frame in self.frames}
        pieces = f"{len(steps)} {'tiles' if self.n_tiles > 1 else 'frames'}"
        if max(steps) > 1:
            middle = statistics.median_low(steps)
            kept = f"the steps kept lie between {min(steps)} and {max(steps)}, at {middle} in the median"
            sentence = f"{pieces} were fitted; {kept if min(steps) < max(steps) else f'step {middle} of each is kept'}."
        else:
            sentence = f"{pieces} were denoised."
        return StopReason(outcomes.pop() if len(outcomes) == 1 else Outcome.RULE, sentence)

    @property
    def n_steps_taken(self) -> int:
        """Steps that were computed, over all frames."""
        return sum(len(frame.loss) for frame in self.frames)

    @property
    def curves(self) -> dict[str, NDArray[Any]]:
        """Columns of one table: ``frame`` (its number), ``step``, ``loss``, ``criterion``; the frames below each other."""
        return {
            "frame": np.concatenate([np.full(len(f.loss), f.number) for f in self.frames]),
            "step": np.concatenate([np.arange(1, len(f.loss) + 1) for f in self.frames]),
            "loss": np.concatenate([np.array(f.loss) for f in self.frames]),
            "criterion": np.concatenate([np.array(f.criterion) for f in self.frames]),
        }

    @functools.cached_property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """Snapshots of the whole input. Frames that ended sooner rest at their last one, frames not fitted at the input."""
        if self.is_single:
            return self.frames[0].snapshots
        steps = sorted({s.step for frame in self.frames for s in frame.snapshots})
        room = self.config.snapshot_memory * 2**20 // (2 * self.image.nbytes)
        stride = max(1, math.ceil(len(steps) / max(1, room)))
        steps = sorted({*steps[::-stride], self.step})
        return tuple(self._assemble(step) for step in steps)

    @property
    def is_single(self) -> bool:
        """True if the image is one frame, fitted whole."""
        return self.n_tiles == 1 and not self.layout.frame_axes()

    def _assemble(self, step: int) -> Snapshot:
        iterate, average = np.copy(self.image), np.copy(self.image)
        parts = [frame.at(step) for frame in self.frames]
        error = None if parts[0].expected_error is None else np.full(self.image.shape, np.nan, np.float32)
        for frame, part in zip(self.frames, parts, strict=True):
            iterate[frame.index], average[frame.index] = part.iterate, part.average
            if error is not None:
                error[frame.index] = part.expected_error
        return Snapshot(
            step,
            statistics.fmean(part.loss for part in parts),
            statistics.fmean(part.criterion for part in parts),
            iterate,
            average,
            error,
            self.config.output,
        )

    @property
    def expected_error(self) -> NDArray[np.float32] | None:
        """Standard deviation of the error that is expected at each pixel, in the image's units; ``None`` for a single generator.

        A structure fainter than this may not exist: the generator can invent it. NaN in frames that were not fitted.
        """
        if self.is_single:
            return self.frames[0].expected_error
        if any(frame.expected_error is None for frame in self.frames):
            return None
        error = np.full(self.image.shape, np.nan, np.float32)
        for frame in self.frames:
            error[frame.index] = frame.expected_error
        return error

    def keep(self, step: int) -> DenoiseResult:
        """Return this result with another step kept: in each frame the latest snapshot that is not after ``step``.

        The estimate of the error, which holds at the rule's own step, is dropped.
        """
        image = np.copy(self.image)
        frames = []
        for frame in self.frames:
            snapshot = frame.at(step)
            reason = StopReason(Outcome.USER, f"Step {snapshot.step} was chosen by the user.")
            error = frame.error if snapshot.step == frame.step else None
            frames.append(replace(frame, step=snapshot.step, reason=reason, error=error))
            image[frame.index] = snapshot.image
        return replace(self, image=image, frames=tuple(frames), chosen_step=step)

    @property
    def estimated_psnr(self) -> tuple[float, float] | None:
        """PSNR in dB estimated without a reference, and its standard error; ``None`` if a frame's error is not known, or is 0.

        What a frame's estimate is off by, such as the level of the noise, others are off by too: their mean has the mean standard error.
        The peak is the reference's data range if there is one, otherwise that of the image, see `data_range`.
        """
        errors = [frame.error for frame in self.frames]
        known = [error for error in errors if error is not None]
        mse = statistics.fmean(error.mse for error in known) if known else 0.0
        if len(known) < len(errors) or mse <= 0 or self.data_range <= 0:
            return None
        deviation = statistics.fmean(error.deviation for error in known)
        return 10 * math.log10(self.data_range**2 / mse), 10 / math.log(10) * deviation / mse

    @property
    def data_range(self) -> float:
        """Peak of scores and estimates: as given with the reference, or else 255 for uint8, 1 for bool, the image's own span."""
        return self.reference.data_range if self.reference else reference_range(self.image, self.input.dtype)

    def scores(self, image: NDArray[Any]) -> Scores:
        """Score an image of the input's shape against the reference, which must have been given."""
        assert self.reference is not None
        return score(image, self.reference, self.layout)

    @functools.cached_property
    def psnr_by_step(self) -> dict[int, float]:
        """PSNR in dB of each snapshot against the reference; empty without one."""
        if self.reference is None:
            return {}
        truth, data_range = without_alpha(self.reference.image, self.layout), self.reference.data_range
        return {s.step: psnr(without_alpha(s.image, self.layout), truth, data_range) for s in self.snapshots}

    def save(self, path: str | Path) -> None:
        """Write the whole run to a file, completely or not at all; `napari_convgen.load` and *Open run …* in napari read it.

        Parameters
        ----------
        path
            File to write, ending in ``.npz``. The image alone is written by `napari_convgen.write_image`.

        Raises
        ------
        FileError
            The ending is another one, or the operating system refuses.
        """
        from napari_convgen.run.denoise.saved import save_run

        save_run(path, self)

    def panels(self) -> list[Panel]:
        """Return the content of `plot`: input and result (the middle of a stack or volume), and the curves of the last frame's fit."""
        last = self.frames[-1]
        planes = shown_planes({"Input": self.input, f"Step {self.step}": self.image}, self.layout)
        return [
            *planes,
            *fit_plots(last.loss, last.criterion, self.config.stopping.criterion, last.step, last.interval),
        ]

    def lines(self) -> Iterator[str]:
        """Say in five lines what the result is."""
        shape = " × ".join(map(str, self.image.shape))
        yield f"{type(self).__name__}: {shape} ({self.layout.axes}), {self.image.dtype}"
        yield f"Kept step {self.step}. {self.reason}"
        noises = {str(frame.noise): None for frame in self.frames if frame.noise is not None}
        yield f"{next(iter(noises), 'No noise was modeled')}{f', and {len(noises) - 1} more' if len(noises) > 1 else ''}."
        if (estimate := self.estimated_psnr) is None:
            yield "The error of the image is not known."
        else:
            yield f"Estimated PSNR {estimate[0]:.1f} ± {estimate[1]:.1f} dB, data range {self.data_range:g}."
        yield f"{format_seconds(self.seconds)} on {format_place(self.device, self.backend, self.n_threads)}, {self._count_notes()}."

    def report(self) -> dict[str, Any]:
        """Return the run as plain values for JSON: what was run, how it ended, the curves, and the scores if there is a reference."""
        report: dict[str, Any] = {
            "config": self.config.model_dump(),
            "versions": versions(),
            "seed": self.frames[0].seed,
            "device": self.device,
            "n_threads": self.n_threads,
            "backend": self.backend,
            "step": self.step,
            "chosen_step": self.chosen_step,
            "reason": str(self.reason),
            "outcome": self.reason.outcome.value,
            "notes": list(self.notes),
            "axes": self.layout.axes,
            "n_tiles": self.n_tiles,
            "dtype": str(self.image.dtype),
            "input_dtype": str(self.input.dtype),
            "seconds": self.seconds,
            "guide_seconds": self.guide_seconds,
            "seconds_per_step": (self.seconds - self.guide_seconds) / self.n_steps_taken,
            "noise": [None if frame.noise is None else asdict(frame.noise) for frame in self.frames],
            "interval": [frame.interval for frame in self.frames],
            "votes": [dict(frame.votes) for frame in self.frames],
            "curves": {name: _plain(column) for name, column in self.curves.items()},
        }
        if (estimate := self.estimated_psnr) is not None:
            report["estimated_psnr"] = {"psnr": estimate[0], "deviation": estimate[1], "data_range": self.data_range}
        if len(self.frames) > 1:
            report["frames"] = [
                {
                    "index": [i if isinstance(i, int) else [i.start, i.stop] for i in frame.index if i != slice(None)],
                    "step": frame.step,
                    "seed": frame.seed,
                    "reason": str(frame.reason),
                }
                for frame in self.frames
            ]
        if self.reference is not None:
            result, before = self.scores(self.image), self.scores(self.input)
            best_step = max(self.psnr_by_step, key=self.psnr_by_step.__getitem__)
            report |= {
                "psnr": result.psnr,
                "ssim": result.ssim,
                "input_psnr": before.psnr,
                "input_ssim": before.ssim,
                "data_range": self.reference.data_range,
                "psnr_by_step": {
                    "step": list(self.psnr_by_step),
                    "psnr": list(self.psnr_by_step.values()),
                },
                "best_step": best_step,
                "best_psnr": self.psnr_by_step[best_step],
            }
        plain: dict[str, Any] = without_nan(report)
        return plain


def score(image: NDArray[Any], reference: Reference, layout: Layout) -> Scores:
    """Score an image against a reference: PSNR over all of it, SSIM as the mean over its frames; alpha does not count."""
    image, truth = without_alpha(np.asarray(image), layout), without_alpha(reference.image, layout)
    values = [
        ssim(image[index], truth[index], reference.data_range, layout.frame_channel)
        for index in layout.frames(image.shape)
    ]
    return Scores(psnr(image, truth, reference.data_range), statistics.fmean(values))


def without_alpha(image: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Return the red, green and blue of a color image; any other image as it is."""
    channel = layout.channel
    return np.take(image, range(3), channel) if layout.is_color and channel is not None else image


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    names = ["torch", "numpy", *(name for name in ("numba", "triton") if find_spec(name))]
    own = {"python": platform.python_version(), "napari-convgen": __version__}
    return own | {name: version(name) for name in names}


def _plain(column: NDArray[Any]) -> list[Any]:
    values: list[Any] = column.tolist()
    return values


def without_nan(value: Any) -> Any:
    """Return a value for JSON, which knows no NaN and no infinity: they become null."""
    if isinstance(value, Mapping):
        return {key: without_nan(v) for key, v in value.items()}
    if isinstance(value, list):
        return [without_nan(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
