"""``reconstruct``: a measured image file in, a reconstructed one out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_convgen.cli import kspace
from napari_convgen.cli.commands.denoise import describe
from napari_convgen.cli.course import require_output, run_and_write
from napari_convgen.cli.options import (
    add_config,
    add_dry_run,
    add_fit,
    add_force,
    add_input,
    add_quiet,
    add_reference,
    add_report,
    add_settings,
    add_snapshots,
    check_outputs,
    notes_of,
    read_changes,
    read_input,
    read_named_config,
    read_reference,
)
from napari_convgen.core.image import magnitude
from napari_convgen.files.atomic import check_writable, write_text
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.images import check_image, new_image, read_image, write_image
from napari_convgen.files.kspace.reading import read_kspace
from napari_convgen.files.lights import read_lights
from napari_convgen.files.resampled import resampled
from napari_convgen.files.stack import check_stack, write_stack
from napari_convgen.run.labels import format_place, format_seconds

if TYPE_CHECKING:
    from napari_convgen.run.reconstruct.result import ReconstructResult
    from napari_convgen.run.reconstruct.run import ReconstructTask

HELP = "fill in missing pixels of an image file, deblur or enlarge it, or make the image of an MRI scan, of sums of pixels, or a phase"
DESCRIPTION = (
    "Reconstruct an image from what was measured of it, through a model of the measurement: by the non-local estimate, alternating with "
    "agreement with the measurement, or by an untrained generator that is fitted to it. The image is written as float32 "
    "(float64 where pixels of such an image are filled in); of an MRI scan that is the magnitude."
)
EPILOG = (
    "Ctrl-C ends the fit and writes the best image so far, with all other files; the exit status is then 130. "
    "A second Ctrl-C aborts, and nothing more is written. A file is written completely or not at all."
)

PROBLEMS = (
    "inpaint (fill in missing pixels), deblur (remove the blur of a point spread function), enlarge (make smaller pixels), sense (make "
    "the image of an MRI scan from undersampled k-space of several coils), sensing (make the image of weighted sums of all its pixels) or "
    "phase (find the phase of a thin object from images through focus, or under several lights)"
)
"""The problems that can be named, in words."""

BLUR_SETTINGS = {
    "--sigma": "sigma",
    "--na": "numerical_aperture",
    "--wavelength": "wavelength",
    "--refractive-index": "refractive_index",
    "--pixel-size": "pixel_size",
    "--z-step": "z_step",
    "--excitation-wavelength": "excitation_wavelength",
    "--pinhole": "pinhole",
}
"""Settings of a blur, by the option for each; a microscope's choose a widefield one, those of a laser and a pinhole a confocal one."""

SIZE_SETTINGS = {"--factor": "factor", "--weighting": "weighting"}
"""Settings of a smaller image, by the option for each."""

PHASE_SETTINGS = {"--focus": "focus", "--zernikes": "n_zernikes", "--starts": "n_starts"}
"""Settings of a phase, by the option for each, beside those of the objective, which a blur has too."""
SUM_SETTINGS = {
    "--rows": "n_rows",
    "--columns": "n_columns",
    "--matrix": "matrix",
    "--matrix-seed": "matrix_seed",
}
"""Settings of sums of pixels, by the option for each."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add_input(parser, "measured image, or k-space as a BART, fastMRI or ISMRMRD file")
    add("-o", "--output", type=Path, metavar="FILE", help=_OUTPUT)
    add("--problem", required=True, metavar="NAME", help=f"problem to solve: {PROBLEMS}")
    add_dry_run(parser)
    add("--mask", type=Path, metavar="FILE", help=_MASK)
    add("--psf", type=Path, metavar="FILE", help=_PSF)
    add_patterns(parser)
    add_settings(parser, BLUR_SETTINGS | SIZE_SETTINGS | SUM_SETTINGS | PHASE_SETTINGS)
    add("--lights", type=Path, metavar="FILE", help=LIGHTS)
    kspace.add_inputs(parser)
    add_config(parser, default="quick, and for sense default")
    add_fit(parser)
    add_reference(parser)
    kspace.add_outputs(parser)
    add_snapshots(parser)
    add_report(parser)
    add_force(parser)
    add_quiet(parser)


def add_patterns(parser: argparse.ArgumentParser) -> None:
    """Add the file of the patterns of weights."""
    about = "stack of the patterns of weights, for sensing: an image for each sum (default: drawn as the settings say)"
    parser.add_argument("--patterns", type=Path, metavar="FILE", help=about)


_OUTPUT = (
    "reconstructed image to write as .tif, .nii.gz and others, needed unless --dry-run; it has the pixel size of the input, divided by the "
    "enlargement"
)
_MASK = "image file of the missing pixels, for inpaint: those that are not 0 there are filled in (default: pixels that are NaN)"
_PSF = "image file of the point spread function, for deblur: the image of a point (default: computed from the settings)"


LIGHTS = (
    "text file of the direction of the light of each image, for phase: a row each with sin θ along rows and along columns of the image, "
    "separated by a comma or blanks (default: a stack through focus)"
)


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    config = read_named_config(options)
    require_output(options, "file for the reconstructed image")
    kspace.check_problem(options, "slice", "coil_maps", "sampling", "phase", "write_coil_maps")
    is_scan, reference = options.problem == "sense", read_reference(options)
    scan = read_kspace(options.input, options.slice, options.axes) if is_scan else None
    image = read_input(options) if scan is None else scan.like
    beside = (options.mask, options.psf, options.patterns)
    mask, psf, patterns = (None if path is None else read_image(path) for path in beside)
    from napari_convgen.run.reconstruct.run import ReconstructTask

    task = ReconstructTask(
        image.image if scan is None else scan.image,
        config,
        problem=options.problem,
        reference=None if reference is None else reference.data,
        data_range=options.data_range,
        changes=read_changes(options),
        is_missing=None if mask is None else mask.data,
        psf=None if psf is None else psf.image,
        lights=None if options.lights is None else read_lights(options.lights),
        patterns=None if patterns is None else patterns.data,
        **({} if scan is None else kspace.read_beside(options, scan)),
        **read_settings(options),
    )
    written = (options.output, options.phase, options.write_coil_maps, options.snapshots, options.report)
    return run_and_write(
        options,
        task,
        lambda: _Files(options, image, task),
        describe,
        lambda result: _summary(result, notes_of(image if scan is None else scan, reference, mask, psf, patterns)),
        ", ".join(str(path) for path in written if path),
    )


def read_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of the operator that are given, by name."""
    settings = BLUR_SETTINGS | SIZE_SETTINGS | SUM_SETTINGS | PHASE_SETTINGS | kspace.SETTINGS
    return {name: value for name in settings.values() if (value := getattr(options, name, None)) is not None}


class _Files:
    """The files of a reconstruction.

    Parameters
    ----------
    options
        Options with the files to write.
    image
        Measured image, whose metadata the files get.
    task
        Reconstruction that is to be run.
    """

    def __init__(self, options: argparse.Namespace, image: ImageFile, task: ReconstructTask) -> None:
        self._output, self._snapshots, self._report = options.output, options.snapshots, options.report
        posed, dtype = task.posed, task.posed.dtype.type(0).real.dtype
        if posed.layout.axes == image.axes:
            ratios = dict(zip(posed.layout.spatial, posed.pixel_ratio, strict=True))
            self._like = resampled(image, posed.image_shape, dtype, ratios)
        else:
            self._like = new_image(posed.place(np.broadcast_to(np.zeros((), dtype), posed.image_shape)))
        self._of_scan = kspace.KSpaceOutputs(options, self._like)

    def check(self, read: dict[str, Path | None], *, is_forced: bool) -> None:
        """Refuse files that could not be written, that are read, or are there already."""
        check_image(self._output, self._like)
        self._of_scan.check()
        if self._snapshots:
            check_stack(self._snapshots, self._like)
        if self._report:
            check_writable(self._report, (".json",))
        written = {"--output": self._output, "--snapshots": self._snapshots, "--report": self._report}
        check_outputs(read, written | self._of_scan.paths, is_forced=is_forced)

    def write(self, result: ReconstructResult) -> None:
        """Write the image, its snapshots and the report."""
        write_image(self._output, magnitude(result.image), self._like)
        self._of_scan.write(result)
        if self._snapshots:
            steps = [snapshot.step for snapshot in result.snapshots]
            write_stack(
                self._snapshots, [magnitude(each.image) for each in result.snapshots], "step", steps, self._like
            )
        if self._report:
            write_text(self._report, json.dumps(result.report(), indent=2, allow_nan=False) + "\n")


def _summary(result: ReconstructResult, notes: Sequence[str]) -> Iterator[str]:
    yield f"Kept step {result.step}. {result.reason}"
    yield f"The image is {magnitude(result.image).dtype}, {' × '.join(map(str, result.image.shape))} values ({result.layout.axes})."
    if result.prediction:
        yield result.prediction
    yield from (f"Note: {note}" for note in (*notes, *result.notes))
    if result.reference is not None:
        scores = result.scores(result.image)
        yield f"PSNR {scores.psnr:.2f} dB, SSIM {scores.ssim:.3f}, data range {result.reference.data_range:g}."
    place = format_place(result.device, result.backend, result.n_threads)
    yield f"Fitted {len(result.loss)} step{'s' * (len(result.loss) != 1)} in {format_seconds(result.seconds)} on {place}."
