"""``spectrum``: an image file in, what a generator's Jacobian says of it out."""

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

from napari_convgen.cli.options import add_input, check_distinct, make_folder, read_config
from napari_convgen.cli.progress import progress_display
from napari_convgen.cli.status import INTERRUPTED, first_interrupt
from napari_convgen.config import PRESETS
from napari_convgen.core.image import Layout
from napari_convgen.errors import FileError
from napari_convgen.figures.files import write_curves, write_figure
from napari_convgen.files.atomic import check_writable, write_text
from napari_convgen.files.images import ImageFile, check_stack, read_image, write_stack
from napari_convgen.run.labels import format_place, format_seconds

if TYPE_CHECKING:
    from napari_convgen.run.spectrum.progress import SpectrumProgress
    from napari_convgen.run.spectrum.result import Spectrum, SpectrumResult
    from napari_convgen.run.spectrum.run import SpectrumTask

HELP = "say what a generator draws soon of an image, and what late"
DESCRIPTION = (
    "Take the Jacobian of a generator apart, at its start or after some steps of its fit: singular values and vectors, how much of the "
    "image and of noise is in them, which pixels move most, and how gradient descent would go on."
)
EPILOG = (
    "Ctrl-C ends after the next product and writes the steps that are done; the exit status is then 130. "
    "A second Ctrl-C aborts, and nothing more is written. No file is ever left half written."
)

PROJECTION_RANKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Numbers of vectors that the image is projected on, as far as there are so many; and on all."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = parser.add_argument
    add_input(parser)
    add("-o", "--out", type=Path, metavar="FOLDER", help="for images, tables, figures and report; made if missing")
    add("--dry-run", action="store_true", help="say what memory and time it will take, and write nothing")
    add("--rank", type=int, default=100, metavar="N", help="singular values and vectors (default: 100)")
    add(
        "--passes", type=int, default=2, metavar="N", help="of the subspace iteration: more are more exact (default: 2)"
    )
    add("--at-step", type=int, nargs="+", default=[0], metavar="N", help="steps of the fit; 0, the start, by default")
    add(
        "--groups",
        nargs="+",
        default=["convolutions", "norms", "output"],
        metavar="GROUP",
        help="parameters: convolutions, norms, output (default: all)",
    )
    add("--preset", metavar="NAME", help=f"{', '.join(PRESETS)} (default: default)")
    add("--config", type=Path, metavar="FILE", help="configuration as new-config writes it, or the report of a run")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change settings, by dotted name")
    add("--seed", help="seed of the generator")
    add("--device", help="auto, cpu, mps, cuda or cuda:N")
    add("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(steps=None, stopping=None)  # not of this command


def run(options: argparse.Namespace) -> int:
    """Carry the command out; return the exit status."""
    config = read_config(options)
    if options.out is None and not options.dry_run:
        raise FileError("--out is missing: name the folder for what is found, or give --dry-run.")
    image = read_image(options.input, options.axes)
    from napari_convgen.run.spectrum.run import SpectrumTask

    spectrum_run = SpectrumTask(
        image.data,
        config,
        axes=image.axes,
        rank=options.rank,
        n_passes=options.passes,
        at_steps=options.at_step,
        groups=options.groups,
    )
    if options.dry_run:
        print(spectrum_run.forecast())
        return 0
    files = _Files(options.out, image, spectrum_run.at_steps)
    files.check({"INPUT": options.input, "--config": options.config})
    is_interrupted = _go_through(spectrum_run, options.quiet)
    if is_interrupted and not spectrum_run.has_result:
        raise KeyboardInterrupt
    result = spectrum_run.result()
    files.write(result)
    if not options.quiet:
        print("\n".join([*_summary(result, image), f"Wrote to {options.out}."]))
    return INTERRUPTED if is_interrupted else 0


class _Files:
    """The files of a spectrum.

    Parameters
    ----------
    folder
        That they go to; made if missing.
    like
        The noisy image, whose pixel size is written.
    steps
        That are looked at.
    """

    def __init__(self, folder: Path, like: ImageFile, steps: Sequence[int]) -> None:
        self._folder, self._like = folder, like
        self._stacks = {
            (step, what): folder / f"{what}-step{step}.tif"
            for step in steps
            for what in ("vectors", "projections", "remainders", "sensitivity")
        }
        self._others = {name: folder / name for name in ("values.csv", "curves.csv", "report.json")}
        self._figures = [folder / f"spectrum{suffix}" for suffix in (".png", ".svg")]

    def check(self, read: dict[str, Path | None]) -> None:
        """Refuse what could not be written; make the folder."""
        make_folder(self._folder)
        for path in self._stacks.values():
            check_stack(path)
        others = [*self._others.values(), *self._figures]
        for path in others:
            check_writable(path, (path.suffix,))
        check_distinct(read, {str(path): path for path in (*self._stacks.values(), *others)})

    def write(self, result: SpectrumResult) -> None:
        """Write all that is there."""
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
        plain = _plain(self._like, result.config.z_axis, len(spectrum.sensitivity))
        vectors = [_squeezed(vector) for vector in spectrum.left_vectors]
        write_stack(paths["vectors"], vectors, "vector", list(range(1, spectrum.rank + 1)), plain)
        maps = [_squeezed(spectrum.sensitivity), _squeezed(spectrum.sensitivity_error)]
        write_stack(paths["sensitivity"], maps, "map", ["sensitivity", "standard error"], plain)
        ranks = [rank for rank in PROJECTION_RANKS if rank < spectrum.rank] + [spectrum.rank]
        shape = self._like.data.shape
        projections = [result.projection(rank, position).reshape(shape) for rank in ranks]
        write_stack(paths["projections"], projections, "rank", ranks, self._like)
        remainders = [result.remainder(rank, position).reshape(shape) for rank in ranks]
        write_stack(paths["remainders"], remainders, "rank", ranks, self._like)


def _plain(image: ImageFile, z_axis: str, n_channels: int) -> ImageFile:
    """Return a file for images in the generator's units: space and, if there are several, channels before it."""
    layout = Layout.of(image.data.shape, image.axes, "volume" if z_axis == "volume" else "frames")
    shape = layout.spatial_shape(image.data.shape)
    axes = layout.spatial
    if n_channels > 1:
        shape, axes = (n_channels, *shape), f"C{axes}"
    kept = {name: tag for name, tag in image.tiff.items() if name not in ("planarconfig", "extrasamples", "iccprofile")}
    return dataclasses.replace(
        image, data=np.empty(shape, np.float32), axes=axes, tiff=kept | {"photometric": "minisblack"}
    )


def _squeezed(image: np.ndarray) -> np.ndarray:
    """Leave a single channel away."""
    return (image[0] if len(image) == 1 else image).astype(np.float32)


def _go_through(run: SpectrumTask, is_quiet: bool) -> bool:
    """Advance the run to its end, or to the first Ctrl-C; return whether there was one."""
    with first_interrupt() as interrupts, progress_display(is_quiet) as show:
        for progress in run:
            show(_describe(progress), progress.n_done / progress.n_total)
            if interrupts:
                run.stop()
        return bool(interrupts)


def _describe(progress: SpectrumProgress) -> str:
    p = progress
    return f"step {p.step}  {p.doing}  {p.n_done}/{p.n_total}  about {format_seconds(p.seconds_left)} left"


def _summary(result: SpectrumResult, image: ImageFile) -> Iterator[str]:
    for s in result.spectra:
        noise = s.noise_alignment.mean()
        shares = f"{s.image_energy[-1]:.1%} of the image and {s.noise_energy[-1]:.1%} of white noise"
        gain = f"the Jacobian passes the image {s.alignment / noise:.1f} times as well"
        yield f"Step {s.step}: {s.rank} vectors hold {shares}, means left out; {gain}."
    yield from (f"Note: {note}" for note in (*image.notes, *result.notes))
    yield f"Computed in {format_seconds(result.seconds)} on {format_place(result.device, 'torch', result.n_threads)}."
