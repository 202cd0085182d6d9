"""A run in a few lines for the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from napari_convgen.core.snapshot import Outcome
from napari_convgen.run.labels import format_place, format_seconds

if TYPE_CHECKING:
    from napari_convgen.run.denoise.result import DenoiseResult


def summarize(result: DenoiseResult, report: Mapping[str, Any], name: str = "") -> str:
    """Say which step is kept and why, how good the image is, and what the user should know.

    Parameters
    ----------
    result, report
        Result and report of the run, with the step that is kept now.
    name
        Name of the layer with the result, where there are several; empty by default.
    """
    return "\n".join([*([f"'{name}':"] if name else []), *_lines(result, report)])


def _lines(result: DenoiseResult, report: Mapping[str, Any]) -> Iterator[str]:
    yield _choice(result)
    if (estimate := result.estimated_psnr) is not None:
        psnr, deviation = estimate
        data_range = f" (data range {result.data_range:g})" if result.reference is None else ""
        yield f"Estimated PSNR {psnr:.1f} ± {deviation:.1f} dB{data_range}."
    if result.reference is not None:
        yield (
            f"PSNR {report['input_psnr']:.2f} → {report['psnr']:.2f} dB, SSIM {report['input_ssim']:.3f} → {report['ssim']:.3f} "
            f"(data range {report['data_range']:g}). Best: step {report['best_step']}, {report['best_psnr']:.2f} dB."
        )
    yield from result.notes
    yield f"{format_seconds(result.seconds)} on {format_place(result.device, result.backend, result.n_threads)}."


def _choice(result: DenoiseResult) -> str:
    """Say which step is kept, and from which others it cannot be told."""
    interval = result.frames[0].interval
    if len(result.frames) > 1 or interval is None or interval[0] == interval[1]:
        return str(result.reason)
    first, last = interval
    likes = f"steps {first} to {last} cannot be told from the best"
    if result.reason.outcome is Outcome.RULE:
        return f"Step {result.step} is kept; {likes}."
    return f"{result.reason} {likes.capitalize()}."
