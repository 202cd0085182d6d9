"""``reconstruct``: a measured image file in, a reconstructed one out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_convgen.cli import kspace
from napari_convgen.cli.commands.denoise import describe
from napari_convgen.cli.course import require_output, run_and_write
from napari_convgen.cli.measured import PROBLEMS, add_inputs, read_measurement
from napari_convgen.cli.options import (
    add_config,
    add_dry_run,
    add_fit,
    add_force,
    add_input,
    add_quiet,
    add_reference,
    add_report,
    add_snapshots,
    check_outputs,
    notes_of,
    read_changes,
    read_named_config,
    read_reference,
)
from napari_convgen.core.image import magnitude
from napari_convgen.files.atomic import check_writable, write_text
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.images import check_image, write_image
from napari_convgen.files.stack import check_stack, write_stack
from napari_convgen.run.labels import format_place, format_seconds

if TYPE_CHECKING:
    from napari_convgen.run.reconstruct.result import ReconstructResult

HELP = "fill in missing pixels of an image file, deblur or enlarge it, or make the image of an MRI scan, of sums of pixels, or a phase"
DESCRIPTION = (
    "Reconstruct an image from what was measured of it, through a model of the measurement. Either the non-local estimate, which combines "
    "similar patches, and agreement with the measurement take turns, or an untrained generator is fitted to the measurement: the preset "
    "decides. The image is written as float32 (float64 where pixels of such an image are filled in); of an MRI scan, it is the magnitude."
)
EPILOG = (
    "Ctrl-C ends the fit and writes the best image so far, with all other files; the exit status is then 130. "
    "A second Ctrl-C aborts, and nothing more is written. A file is written completely or not at all."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add_input(parser, "measured image (for sense, k-space as a BART, fastMRI or ISMRMRD file)")
    add("-o", "--output", type=Path, metavar="FILE", help=_OUTPUT)
    add("--problem", required=True, metavar="NAME", help=f"problem to solve: {PROBLEMS}")
    add_dry_run(parser)
    add_inputs(parser)
    add_config(parser, default="quick, and for sense default")
    add_fit(parser)
    add_reference(parser)
    kspace.add_outputs(parser)
    add("--baseline", type=Path, metavar="FILE", help=_BASELINE)
    add_snapshots(parser)
    add_report(parser)
    add_force(parser)
    add_quiet(parser)


_OUTPUT = (
    "reconstructed image to write as .tif, .nii.gz and others, needed unless --dry-run; it has the pixel size of the input, divided by the "
    "enlargement"
)
_BASELINE = (
    "image file to write, of a classical image to compare with: the smoothest filling, what a Wiener filter makes, the plain enlargement, "
    "the zero-filled scan, the smoothest image with the sums, or the phase by the transport of intensity (default: none)"
)


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    config = read_named_config(options)
    require_output(options, "file for the reconstructed image")
    measurement, reference = read_measurement(options), read_reference(options)
    from napari_convgen.run.reconstruct.run import ReconstructTask

    task = ReconstructTask(
        measurement.image,
        config,
        reference=None if reference is None else reference.data,
        data_range=options.data_range,
        changes=read_changes(options),
        **measurement.inputs,
    )
    if options.baseline:
        task.check_baseline()
    written = (
        options.output,
        options.phase,
        options.write_coil_maps,
        options.baseline,
        options.snapshots,
        options.report,
    )
    return run_and_write(
        options,
        task,
        lambda: _Files(options, measurement.like_generated(task.posed), task.baseline),
        describe,
        lambda result: _summary(result, (*measurement.notes, *notes_of(reference))),
        ", ".join(str(path) for path in written if path),
    )


class _Files:
    """The files of a reconstruction.

    Parameters
    ----------
    options
        Options with the files to write.
    like
        Image file that the reconstructed image is like.
    baseline
        Function that returns a classical image.
    """

    def __init__(self, options: argparse.Namespace, like: ImageFile, baseline: Callable[[], NDArray[Any]]) -> None:
        self._baseline, self._make_baseline = options.baseline, baseline
        self._output, self._snapshots, self._report = options.output, options.snapshots, options.report
        self._like = like
        self._of_scan = kspace.KSpaceOutputs(options, self._like)

    def check(self, read: dict[str, Path | None], *, is_forced: bool) -> None:
        """Refuse files that could not be written, that are read, or are there already."""
        check_image(self._output, self._like)
        self._of_scan.check()
        if self._baseline:
            check_image(self._baseline, self._like)
        if self._snapshots:
            check_stack(self._snapshots, self._like)
        if self._report:
            check_writable(self._report, (".json",))
        written = {
            "--output": self._output,
            "--baseline": self._baseline,
            "--snapshots": self._snapshots,
            "--report": self._report,
        }
        check_outputs(read, written | self._of_scan.paths, is_forced=is_forced)

    def write(self, result: ReconstructResult) -> None:
        """Write the image, its snapshots and the report."""
        write_image(self._output, magnitude(result.image), self._like)
        self._of_scan.write(result)
        if self._baseline:
            write_image(self._baseline, magnitude(self._make_baseline()), self._like)
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
