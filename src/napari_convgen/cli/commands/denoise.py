"""``denoise``: an image file in, a denoised one out."""

from __future__ import annotations

import argparse
import dataclasses
import glob
import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from napari_convgen.cli.interrupts import INTERRUPTED
from napari_convgen.cli.options import (
    add_config,
    add_dry_run,
    add_fit,
    add_force,
    add_input,
    add_quiet,
    add_reference,
    add_report,
    add_result_type,
    add_snapshots,
    check_outputs,
    notes_of,
    read_chosen_step,
    read_config,
    read_input,
    read_reference,
)
from napari_convgen.cli.progress import advance
from napari_convgen.cli.terminal import deliver, tell
from napari_convgen.core.image import identity_of
from napari_convgen.errors import ConfigError, FileError, FitError, InputError
from napari_convgen.files.atomic import check_writable, write_text
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.images import check_image, write_image
from napari_convgen.files.stack import check_stack, write_stack
from napari_convgen.run.labels import format_place, format_seconds, format_share, format_time_left

if TYPE_CHECKING:
    from napari_convgen.run.denoise.progress import DenoiseProgress
    from napari_convgen.run.denoise.result import DenoiseResult
    from napari_convgen.run.denoise.run import DenoiseTask

HELP = "denoise an image file"
DESCRIPTION = (
    "Denoise an image: combine its similar patches (the non-local estimate), fit an untrained generator and stop before it fits the noise, "
    "or do both; the preset decides."
)
EPILOG = (
    "Ctrl-C ends the fit and writes the best image so far, with all other files; the exit status is then 130. "
    "A second Ctrl-C aborts, and nothing more is written. A file is written completely or not at all."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add_input(parser)
    add("others", nargs="*", type=Path, help=argparse.SUPPRESS)  # refused in a sentence
    add("-o", "--output", type=Path, metavar="FILE", help=_OUTPUT)
    add_dry_run(parser)
    add_config(parser)
    add_fit(parser)
    add_result_type(parser)
    add_reference(parser)
    add_snapshots(parser)
    add("--expected-error", type=Path, metavar="FILE", help=_EXPECTED_ERROR)
    add("--keep", type=int, metavar="STEP", help=_KEEP)
    add_report(parser)
    add_force(parser)
    add_quiet(parser)


_KEEP = (
    "step to keep, in the place of the one that the rule chooses: the latest snapshot up to it (default: the rule's, or the one that was "
    "chosen in the report given as --config)"
)
_OUTPUT = (
    "denoised image to write, needed unless --dry-run: .tif, .ome.tif, .nii.gz, .nii, .zarr and .cfl keep all metadata of such an image, "
    ".png resolution and color profile"
)
_EXPECTED_ERROR = (
    "image to write, of the error to expect at each pixel, in image units; needs n_seeds=2 or more (default: none)"
)


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    config = read_config(options)
    if options.output is None and not options.dry_run:
        raise ConfigError("--output is missing: name the file for the denoised image, or give --dry-run.")
    if options.expected_error and config.n_seeds < 2:
        raise ConfigError(
            f"--expected-error compares generators with different starts: n_seeds must be at least 2, got {config.n_seeds}."
        )
    if options.expected_error and config.generator.is_guide_alone:
        raise ConfigError(
            "--expected-error compares networks, and none is fitted with these settings. Choose another preset than 'quick', or set "
            "generator.network_share = 'auto'."
        )
    chosen_step = read_chosen_step(options)
    if chosen_step is not None and chosen_step < 1:
        raise ConfigError(f"--keep must be a step, 1 or more, got {chosen_step}.")
    image, reference = _read_input(options), read_reference(options)
    if options.output is not None:
        _check_outputs(options, image)
    from napari_convgen.run.denoise.run import DenoiseTask

    denoising = DenoiseTask(
        image.image,
        config,
        reference=None if reference is None else reference.data,
        data_range=options.data_range,
        keeps_snapshots=bool(options.snapshots or options.reference or chosen_step),
    )
    if options.dry_run:
        deliver("\n".join(_forecast(denoising, notes_of(image, reference))))
        return 0
    _check_type(options.output, image, denoising.prepared.result_type.dtype)
    failure = None
    try:
        is_interrupted = advance(denoising, describe, is_quiet=options.quiet)
        result = denoising.result()
    except (MemoryError, OSError, RuntimeError, InputError) as error:  # some are found as a frame is read
        if not denoising.has_result:
            raise
        failure, is_interrupted, result = error, False, denoising.result()
    if chosen_step is not None:
        result = result.keep(chosen_step)
    _write(options, result, image)
    if not options.quiet:
        tell("\n".join(_summary(options, result, notes_of(image, reference))))
    if failure is not None:
        what = "tiles" if result.n_tiles > 1 else "frames"
        done = f"{len(result.frames)} of {denoising.n_pieces} {what}"
        raise FitError(f"After {done}, which are written: {failure}.") from failure
    return INTERRUPTED if is_interrupted else 0


def _read_input(options: argparse.Namespace) -> ImageFile:
    """Read the noisy image; of several, of a pattern and of a folder that is no image, say how all images are denoised."""
    names = [str(options.input), *map(str, options.others)]
    batch = shlex.join(["napari-convgen", "batch", *names, "--output", "FOLDER"])
    if options.others:
        raise ConfigError(f"denoise takes one image, got {len(names)}. To denoise several: {batch}")
    try:
        return read_input(options)
    except FileError as error:
        if options.input.is_dir():
            raise FileError(f"{error} To denoise all images of a folder: {batch}") from error
        if glob.has_magic(names[0]) and not options.input.exists():
            raise FileError(f"{error} To denoise all images that match a pattern: {batch}") from error
        raise


def _check_outputs(options: argparse.Namespace, image: ImageFile) -> None:
    """Refuse what could not be written, before the fit."""
    check_image(options.output, image)
    if options.snapshots:
        check_stack(options.snapshots, image)
    if options.expected_error:
        check_image(options.expected_error, _as_error(image))
    if options.report:
        check_writable(options.report, (".json",))
    check_outputs(
        {"INPUT": options.input, "--reference": options.reference, "--config": options.config},
        {
            "--output": options.output,
            "--snapshots": options.snapshots,
            "--expected-error": options.expected_error,
            "--report": options.report,
        },
        is_forced=options.force or options.dry_run,
    )


def _as_error(image: ImageFile) -> ImageFile:
    """Return an image file whose values are of the type of errors."""
    return dataclasses.replace(image, data=np.broadcast_to(np.float32(0), image.data.shape))


def _check_type(path: Path, image: ImageFile, dtype: DTypeLike) -> None:
    """Refuse a result of a type that its file cannot hold, before the fit."""
    try:
        check_image(path, image, dtype)
    except FileError as error:
        raise FileError(
            f"{error} Or give --dtype same, which rounds the result to {image.data.dtype}, although that can be a large part of its error."
        ) from error


def describe(progress: DenoiseProgress) -> str:
    """Return a line on the progress of a run, and the longest time that is left."""
    p = progress
    frame = f"frame {p.frame + 1}/{p.n_frames}  " if p.n_frames > 1 else ""
    place = f"{frame}tile {p.tile + 1}/{p.n_tiles}  " if p.n_tiles > 1 else frame
    if p.found is not None:
        return str(p)
    if not p.step:
        return f"{place}first estimate: {format_share(p.guide_share or 0)}"
    left = format_time_left(p.seconds_left, "at most")
    return f"{place}step {p.step}/{p.n_steps}  loss {p.losses[-1]:.3g}  {left}".rstrip()


def _write(options: argparse.Namespace, result: DenoiseResult, image: ImageFile) -> None:
    write_image(options.output, result.image, image)
    if options.snapshots:
        snapshots = result.snapshots
        write_stack(options.snapshots, [s.image for s in snapshots], "step", [s.step for s in snapshots], image)
    if options.expected_error and result.expected_error is not None:
        write_image(options.expected_error, result.expected_error, image)
    if options.report:
        report = {**result.report(), "input": identity_of(options.input.name, image.data, str(options.input))}
        write_text(options.report, json.dumps(report, indent=2, allow_nan=False) + "\n")


def _forecast(denoising: DenoiseTask, notes: Sequence[str]) -> Iterator[str]:
    forecast = denoising.forecast()
    yield f"Axes {denoising.prepared.layout.axes}, {' × '.join(map(str, denoising.image.shape))}."
    if forecast.noise is not None:
        yield f"{forecast.noise}."
    yield str(forecast)
    yield from (f"Note: {note}" for note in notes)


def _summary(options: argparse.Namespace, result: DenoiseResult, notes: Sequence[str]) -> Iterator[str]:
    yield f"Kept step {result.step}. {result.reason}"
    noises = {str(frame.noise): None for frame in result.frames if frame.noise is not None}
    yield from (f"{noise}." for noise in noises if len(noises) == 1)
    if result.estimated_psnr is not None:
        psnr, deviation = result.estimated_psnr
        yield f"Estimated PSNR {psnr:.1f} ± {deviation:.1f} dB, data range {result.data_range:g}."
    yield from (f"Note: {note}" for note in (*notes, *result.notes))
    if result.reference is not None:
        before, after = result.scores(result.input), result.scores(result.image)
        yield (
            f"PSNR from {before.psnr:.2f} to {after.psnr:.2f} dB, SSIM from {before.ssim:.3f} to {after.ssim:.3f}, "
            f"data range {result.reference.data_range:g}."
        )
    place = format_place(result.device, result.backend, result.n_threads)
    yield f"Fitted {result.n_steps_taken} step{'s' * (result.n_steps_taken != 1)} in {format_seconds(result.seconds)} on {place}."
    error = options.expected_error if result.expected_error is not None else None
    written = (options.output, options.snapshots, error, options.report)
    yield f"Wrote {', '.join(str(path) for path in written if path)}."
