"""``denoise``: an image file in, a denoised one out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_convgen.cli.options import (
    add_config,
    add_input,
    add_reference,
    check_distinct,
    read_config,
    read_reference,
)
from napari_convgen.cli.progress import progress_display
from napari_convgen.cli.status import INTERRUPTED, first_interrupt
from napari_convgen.errors import ConfigError, FitError
from napari_convgen.files.atomic import check_writable, write_text
from napari_convgen.files.images import (
    ImageFile,
    check_image,
    check_stack,
    read_image,
    write_image,
    write_stack,
)
from napari_convgen.run.labels import format_place, format_seconds

if TYPE_CHECKING:
    from napari_convgen.run.denoise.progress import DenoiseProgress
    from napari_convgen.run.denoise.result import DenoiseResult
    from napari_convgen.run.denoise.run import DenoiseTask

HELP = "denoise an image file"
DESCRIPTION = "Fit an untrained generator to an image and stop before it draws the noise."
EPILOG = (
    "Ctrl-C ends the fit and writes everything asked for with the best image so far; the exit status is then 130. "
    "A second Ctrl-C aborts, and nothing more is written. No file is ever left half written."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = parser.add_argument
    add_input(parser)
    add("-o", "--output", type=Path, help="denoised image: .tif keeps all metadata, .png what it can")
    add("--dry-run", action="store_true", help="say what memory and time the run will take, and write nothing")
    add_config(parser)
    add_reference(parser)
    add("--snapshots", type=Path, metavar="FILE", help="write the image at many steps as one TIFF stack")
    add("--expected-error", type=Path, metavar="FILE", help="write the error to expect at each pixel, as .tif")
    add("--report", type=Path, metavar="FILE", help="write configuration, outcome, curves and scores as .json")
    add("--quiet", action="store_true", help="print nothing but errors")


def run(options: argparse.Namespace) -> int:
    """Carry the command out; return the exit status."""
    config = read_config(options)
    if options.output is None and not options.dry_run:
        raise ConfigError("--output is missing: name the file for the denoised image, or give --dry-run.")
    if options.expected_error and config.n_seeds < 2:
        raise ConfigError(
            f"--expected-error compares generators with different starts: n_seeds must be at least 2, got {config.n_seeds}."
        )
    image, reference = read_image(options.input, options.axes), read_reference(options)
    if options.output is not None:
        _check_outputs(options, image)
    from napari_convgen.run.denoise.run import DenoiseTask

    denoising = DenoiseTask(
        image.data,
        config,
        axes=image.axes,
        reference=None if reference is None else reference.data,
        data_range=options.data_range,
    )
    if options.dry_run:
        print(denoising.forecast())
        return 0
    failure = None
    try:
        is_interrupted = _go_through(denoising, options.quiet)
        result = denoising.result()
    except (MemoryError, OSError, RuntimeError) as error:
        if not denoising.has_result:
            raise
        failure, is_interrupted, result = error, False, denoising.result()
    _write(options, result, image)
    if not options.quiet:
        print("\n".join(_summary(options, result, image)))
    if failure is not None:
        done = f"{len(result.frames)} of {denoising.n_frames}"
        raise FitError(f"After {done} frames, which are written: {failure}.") from failure
    return INTERRUPTED if is_interrupted else 0


def _check_outputs(options: argparse.Namespace, image: ImageFile) -> None:
    """Refuse what could not be written, before the fit."""
    check_image(options.output, image)
    if options.snapshots:
        check_stack(options.snapshots)
    if options.expected_error:
        check_stack(options.expected_error)
    if options.report:
        check_writable(options.report, (".json",))
    check_distinct(
        {"INPUT": options.input, "--reference": options.reference, "--config": options.config},
        {
            "--output": options.output,
            "--snapshots": options.snapshots,
            "--expected-error": options.expected_error,
            "--report": options.report,
        },
    )


def _go_through(denoising: DenoiseTask, is_quiet: bool) -> bool:
    """Advance the run to its end, or to the first Ctrl-C; return whether there was one."""
    with first_interrupt() as interrupts, progress_display(is_quiet) as show:
        for progress in denoising:
            show(describe(progress), progress.step / progress.n_steps)
            if interrupts:
                denoising.stop()
        return bool(interrupts)


def describe(progress: DenoiseProgress) -> str:
    """Say where a run is, and how long it can still take."""
    p = progress
    frame = f"frame {p.frame + 1}/{p.n_frames}  " if p.n_frames > 1 else ""
    return f"{frame}step {p.step}/{p.n_steps}  loss {p.losses[-1]:.3g}  at most {p.seconds_left:.0f} s left"


def _write(options: argparse.Namespace, result: DenoiseResult, image: ImageFile) -> None:
    write_image(options.output, result.image, image)
    if options.snapshots:
        snapshots = result.snapshots
        write_stack(options.snapshots, [s.image for s in snapshots], "step", [s.step for s in snapshots], image)
    if options.expected_error and result.expected_error is not None:
        write_image(options.expected_error, result.expected_error, image)
    if options.report:
        write_text(options.report, json.dumps(result.report(), indent=2, allow_nan=False) + "\n")


def _summary(options: argparse.Namespace, result: DenoiseResult, image: ImageFile) -> Iterator[str]:
    yield f"Kept step {result.step}. {result.reason}"
    noises = {str(frame.noise): None for frame in result.frames if frame.noise is not None}
    yield from (f"{noise}." for noise in noises if len(noises) == 1)
    if result.estimated_psnr is not None:
        psnr, deviation = result.estimated_psnr
        yield f"Estimated PSNR {psnr:.1f} ± {deviation:.1f} dB, data range {result.data_range:g}."
    yield from (f"Note: {note}" for note in (*image.notes, *result.notes))
    if result.reference is not None:
        before, after = result.scores(result.input), result.scores(result.image)
        yield (
            f"PSNR from {before.psnr:.2f} to {after.psnr:.2f} dB, SSIM from {before.ssim:.3f} to {after.ssim:.3f}, "
            f"data range {result.reference.data_range:g}."
        )
    place = format_place(result.device, result.backend, result.n_threads)
    yield f"Fitted {result.n_steps_taken} steps in {format_seconds(result.seconds)} on {place}."
    written = (options.output, options.snapshots, options.expected_error, options.report)
    yield f"Wrote {', '.join(str(path) for path in written if path)}."
