"""``spectrum``: an image file in, singular values and vectors of a generator's Jacobian out."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_convgen.cli import measured
from napari_convgen.cli.course import require_output, run_and_write
from napari_convgen.cli.options import (
    add_config,
    add_dry_run,
    add_force,
    add_input,
    add_output_folder,
    add_quiet,
    check_outputs,
    make_folder,
    read_config,
    refuse_overridden,
)
from napari_convgen.config import GENERATOR_ALONE
from napari_convgen.core.image import Layout, magnitude
from napari_convgen.figures.files import write_curves, write_figure
from napari_convgen.files.atomic import check_writable, write_text
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.stack import check_stack, write_stack
from napari_convgen.run.labels import format_place, format_seconds, format_time_left

if TYPE_CHECKING:
    from napari_convgen.run.spectrum.progress import SpectrumProgress
    from napari_convgen.run.spectrum.result import Spectrum, SpectrumResult
    from napari_convgen.run.spectrum.run import SpectrumTask

HELP = "show which structures of an image a generator fits first"
DESCRIPTION = (
    "Compute the singular values and vectors of a generator's Jacobian, at the start or after some steps of a fit: the shares of the image "
    "and of noise in them, the pixels that are most sensitive to the parameters, and the predicted course of gradient descent."
)
EPILOG = (
    "Ctrl-C ends after the next product with the Jacobian and writes the steps that are done; the exit status is then 130. "
    "A second Ctrl-C aborts, and nothing more is written. A file is written completely or not at all."
)

PROJECTION_RANKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Numbers of leading vectors on which the image is projected, up to the number that was computed, which is used too."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add_input(parser)
    add_output_folder(parser, "images, tables, figures and the report", is_required=False)
    add_dry_run(parser)
    add(
        "--rank",
        type=int,
        default=100,
        metavar="N",
        help="number of singular values and vectors, from 1 (default: 100)",
    )
    add("--passes", type=int, default=2, metavar="N", help=_PASSES)
    add("--at-step", type=int, nargs="+", default=[0], metavar="N", help=_AT_STEP)
    add(
        "--groups",
        nargs="+",
        default=["convolutions", "norms", "output"],
        metavar="GROUP",
        help="groups of parameters to differentiate by: convolutions, norms, output (default: all)",
    )
    measured.add_problem(parser)
    add_config(parser, default=GENERATOR_ALONE)
    add_force(parser)
    add_quiet(parser)
    parser.set_defaults(steps=None, stopping=None)  # for read_config: this command has no such options


_PASSES = "number of passes of the subspace iteration, from 1; more passes are more accurate (default: 2)"
_AT_STEP = "numbers of steps of a fit after which to compute the Jacobian, each from 0, the start (default: 0)"


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    config = read_config(options, default=GENERATOR_ALONE)
    require_output(options)
    measurement = measured.read_measurement(options)
    from napari_convgen.run.spectrum.run import SpectrumTask, own_settings

    refuse_overridden(options, config, own_settings(options.at_step))
    spectrum_run = SpectrumTask(
        measurement.image,
        config,
        rank=options.rank,
        n_passes=options.passes,
        at_steps=options.at_step,
        groups=options.groups,
        **measurement.inputs,
    )
    return run_and_write(
        options,
        spectrum_run,
        lambda: _Files(options.output, measurement.like_projected(spectrum_run.look), spectrum_run),
        _describe,
        lambda result: _summary(result, measurement.notes),
    )


class _Files:
    """The files of a spectrum.

    Parameters
    ----------
    folder
        Folder of the files; created if missing.
    like
        Noisy image, whose pixel size the files get; of a measurement that is no image, one of the generator's.
    task
        Computation that is to be run.
    """

    def __init__(self, folder: Path, like: ImageFile, task: SpectrumTask) -> None:
        self._folder, self._like = folder, like
        self._measures_image = task.look.measures_image
        kinds = ("vectors", "projections", *(("remainders", "sensitivity") if self._measures_image else ()))
        self._stacks = {(step, what): folder / f"{what}-step{step}.tif" for step in task.at_steps for what in kinds}
        self._others = {name: folder / name for name in ("values.csv", "curves.csv", "report.json")}
        self._figures = [folder / f"spectrum{suffix}" for suffix in (".png", ".svg")]

    def check(self, read: dict[str, Path | None], *, is_forced: bool) -> None:
        """Create the folder; refuse files that could not be written, or are there already."""
        make_folder(self._folder)
        for path in self._stacks.values():
            check_stack(path, self._like)
        others = [*self._others.values(), *self._figures]
        for path in others:
            check_writable(path, (path.suffix,))
        check_outputs(read, {str(path): path for path in (*self._stacks.values(), *others)}, is_forced=is_forced)

    def write(self, result: SpectrumResult) -> None:
        """Write images, tables, figures and the report of the steps that are done."""
        for position, spectrum in enumerate(result.spectra):
            self._write_images(result, position, spectrum)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(result.table())
        write_text(self._others["values.csv"], text.getvalue())
        panels = result.panels()
        write_curves(self._others["curves.csv"], panels)
        for path in self._figures:
            write_figure(path, panels)
        write_text(self._others["report.json"], json.dumps(result.report(), indent=2, allow_nan=False) + "\n")

    def _write_images(self, result: SpectrumResult, position: int, spectrum: Spectrum) -> None:
        paths = {what: path for (step, what), path in self._stacks.items() if step == spectrum.step}
        images = [result.vector(number, position) for number in range(spectrum.rank)]
        plain = _plain(self._like, result.config.z_axis, len(images[0]))
        vectors = [_squeezed(image) for image in images]
        write_stack(paths["vectors"], vectors, "vector", list(range(1, spectrum.rank + 1)), plain)
        ranks = [rank for rank in PROJECTION_RANKS if rank < spectrum.rank] + [spectrum.rank]
        shape = self._like.data.shape
        projections = [magnitude(result.projection(rank, position)).reshape(shape) for rank in ranks]
        write_stack(paths["projections"], projections, "rank", ranks, self._like)
        if not self._measures_image:
            return
        maps = [_squeezed(spectrum.sensitivity), _squeezed(spectrum.sensitivity_error)]
        write_stack(paths["sensitivity"], maps, "map", ["sensitivity", "standard error"], plain)
        remainders = [result.remainder(rank, position).reshape(shape) for rank in ranks]
        write_stack(paths["remainders"], remainders, "rank", ranks, self._like)


def _plain(image: ImageFile, z_axis: str, n_channels: int) -> ImageFile:
    """Return an image file for images in the units of the generator: spatial axes, after a channel axis if there are several channels."""
    layout = Layout.of(image.data.shape, image.axes, "volume" if z_axis == "volume" else "frames")
    shape = layout.spatial_shape(image.data.shape)
    axes = layout.spatial
    if n_channels > 1:
        shape, axes = (n_channels, *shape), f"C{axes}"
    kept = {name: tag for name, tag in image.tiff.items() if name not in ("planarconfig", "extrasamples", "iccprofile")}
    calibration = None
    if image.calibration is not None:
        known = dict(zip(image.axes, zip(*image.calibration, strict=True), strict=True))
        distances, units = zip(*(known.get(letter, (1.0, "pixel")) for letter in axes), strict=True)
        calibration = distances, units
    return dataclasses.replace(
        image,
        data=np.empty(shape, np.float32),
        axes=axes,
        calibration=calibration,
        tiff=kept | {"photometric": "minisblack"},
    )


def _squeezed(image: np.ndarray) -> np.ndarray:
    """Return an image without its channel axis if there is only one channel."""
    return (image[0] if len(image) == 1 else image).astype(np.float32)


def _describe(progress: SpectrumProgress) -> str:
    p = progress
    if p.is_finding:
        return str(p)
    return f"step {p.step}  {p.doing}  {p.n_done}/{p.n_total}  {format_time_left(p.seconds_left)}".rstrip()


def _summary(result: SpectrumResult, notes: Sequence[str]) -> Iterator[str]:
    for s in result.spectra:
        noise = s.noise_alignment.mean()
        shares = f"{100 * s.image_energy[-1]:.1f} % of the image and {100 * s.noise_energy[-1]:.1f} % of white noise"
        gain = f"the Jacobian passes the image {s.alignment / noise:.1f} times as well"
        yield f"Step {s.step}: {s.rank} vectors hold {shares}, means left out; {gain}."
    yield from (f"Note: {note}" for note in (*notes, *result.notes))
    yield f"Computed in {format_seconds(result.seconds)} on {format_place(result.device, 'torch', result.n_threads)}."
