"""``compare-fits``: an image file in, a comparison of fits to the image and to noise out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_convgen.cli import measured
from napari_convgen.cli.course import require_output, run_and_write
from napari_convgen.cli.options import (
    add_config,
    add_dry_run,
    add_force,
    add_input,
    add_output_folder,
    add_quiet,
    add_reference_series,
    add_steps,
    check_outputs,
    make_folder,
    notes_of,
    read_config,
    read_reference,
    refuse_overridden,
)
from napari_convgen.config import GENERATOR_ALONE
from napari_convgen.core.image import magnitude
from napari_convgen.figures.files import write_curves, write_figure
from napari_convgen.files.atomic import check_writable, write_text
from napari_convgen.files.stack import check_stack, write_stack
from napari_convgen.run.image_vs_noise.config import MEAN_KINDS, NOISE_SHAPES, ONE_FIT, TargetsConfig
from napari_convgen.run.labels import format_place, format_seconds, format_time_left

if TYPE_CHECKING:
    from napari_convgen.run.image_vs_noise.progress import CompareFitsProgress
    from napari_convgen.run.image_vs_noise.result import CompareFitsResult
    from napari_convgen.run.image_vs_noise.run import CompareFitsTask

HELP = "compare how fast a generator fits an image and noise"
DESCRIPTION = (
    "Fit the same generator, from the same start, to several targets: the image, noise of the same norm, the clean image if there is one, "
    "and the image with added noise. Write errors, fitted images and the change of the weights over the steps."
)
EPILOG = (
    "Noise model, generator, optimizer, steps and seed are set as for denoise. There is one generator for each target; it is fitted to all "
    "pixels up to the last step, and no rule stops it. Ctrl-C ends the fits and writes the results so far; the exit status is then 130. "
    "A second Ctrl-C aborts, and nothing more is written. A file is written completely or not at all."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add_input(parser)
    add_output_folder(parser, "images, curves, figures and the report", is_required=False)
    add_dry_run(parser)
    add("--reference", type=Path, metavar="FILE", help=_REFERENCE)
    add_reference_series(parser)
    add(
        "--noise",
        default=NOISE_SHAPES[0],
        metavar="KIND",
        help="distribution of the noise: uniform or gaussian (default: uniform)",
    )
    add("--mean", default=MEAN_KINDS[0], metavar="WORD", help=_MEAN)
    add("--added-noise", type=float, default=0.0, metavar="SIGMA", help=_ADDED)
    measured.add_problem(parser)
    add_config(parser, default=GENERATOR_ALONE)
    add_steps(parser)
    add_force(parser)
    add_quiet(parser)


_REFERENCE = (
    "clean image of the same shape, fitted as a target of its own and compared with the other fits (default: none)"
)
_MEAN = (
    "mean of the noise: removed gives the noise the mean of the image, and the norm of the image without its mean; kept leaves the "
    "noise its own mean, and gives it the norm of the whole image, as in the paper's code (default: removed)"
)
_ADDED = "standard deviation of Gaussian noise to add to the image for one more target, in image units (default: 0, no such target)"


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    config = read_config(options, default=GENERATOR_ALONE)
    refuse_overridden(options, config, ONE_FIT)
    targets = TargetsConfig(options.noise, options.mean, options.added_noise)
    require_output(options)
    measurement, reference = measured.read_measurement(options), read_reference(options)
    from napari_convgen.run.image_vs_noise.run import CompareFitsTask

    fits = CompareFitsTask(
        measurement.image,
        config,
        reference=None if reference is None else reference.data,
        targets=targets,
        **measurement.inputs,
    )
    return run_and_write(
        options,
        fits,
        lambda: _Files(options.output, measurement, fits),
        _Describer(fits.names),
        lambda result: _summary(result, (*measurement.notes, *notes_of(reference))),
    )


class _Files:
    """The files of a comparison of fits.

    Parameters
    ----------
    folder
        Folder of the files; created if missing.
    measurement
        Measurement, whose axes and pixel size the files get.
    fits
        Comparison that is to be run.
    """

    def __init__(self, folder: Path, measurement: measured.Measurement, fits: CompareFitsTask) -> None:
        self._folder = folder
        look = fits.look
        self._like = measurement.like_entries(look)
        self._like_fits = self._like if look.posed is None else measurement.like_generated(look.posed)
        self._snapshots = {name: folder / f"{name.replace(' ', '-')}.tif" for name in fits.names}
        self._targets = folder / "targets.tif"
        self._curves, self._report = folder / "curves.csv", folder / "report.json"
        self._figures = [folder / f"fits{suffix}" for suffix in (".png", ".svg")]

    def check(self, read: dict[str, Path | None], *, is_forced: bool) -> None:
        """Create the folder; refuse files that could not be written, or are there already."""
        make_folder(self._folder)
        stacks, others = (*self._snapshots.values(), self._targets), (self._curves, self._report, *self._figures)
        for path in stacks:
            check_stack(path, self._like if path == self._targets else self._like_fits)
        for path in others:
            check_writable(path, (path.suffix,))
        check_outputs(read, {str(path): path for path in (*stacks, *others)}, is_forced=is_forced)

    def write(self, result: CompareFitsResult) -> None:
        """Write the snapshots of each target, the targets, curves, plots and the report."""
        for target in result.targets:
            images, steps = [magnitude(s.image) for s in target.snapshots], [s.step for s in target.snapshots]
            write_stack(self._snapshots[target.name], images, "step", steps, self._like_fits)
        names = [target.name for target in result.targets]
        values = [magnitude(target.values) for target in result.targets]
        write_stack(self._targets, values, "target", names, self._like)
        panels = result.panels()
        write_curves(self._curves, panels)
        for path in self._figures:
            write_figure(path, panels)
        write_text(self._report, json.dumps(result.report(), indent=2, allow_nan=False) + "\n")


class _Describer:
    """Describes progress in a line with the losses that were noted last.

    Parameters
    ----------
    names
        Names of the targets.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._losses = ""

    def __call__(self, progress: CompareFitsProgress) -> str:
        if progress.moment is not None:
            pairs = zip(self._names, progress.moment.losses, strict=True)
            self._losses = "  ".join(f"{name} {loss:.2g}" for name, loss in pairs)
        if progress.is_finding:
            return str(progress)
        left = format_time_left(progress.seconds_left)
        return f"step {progress.step}/{progress.n_steps}  {self._losses}  {left}".rstrip()


def _summary(result: CompareFitsResult, notes: Sequence[str]) -> Iterator[str]:
    yield from result.sentences()
    yield from (f"Note: {note}" for note in (*notes, *result.notes))
    place = format_place(result.device, result.backend, result.n_threads)
    yield f"Fitted {len(result.targets)} targets in {format_seconds(result.seconds)} on {place}."
