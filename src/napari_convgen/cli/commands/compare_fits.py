"""``compare-fits``: an image file in, and how a generator was fitted to it and to noise."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_convgen.cli.options import add_config, add_input, check_distinct, make_folder, read_config, read_reference
from napari_convgen.cli.progress import progress_display
from napari_convgen.cli.status import INTERRUPTED, first_interrupt
from napari_convgen.errors import FileError
from napari_convgen.figures.files import write_curves, write_figure
from napari_convgen.files.atomic import check_writable, write_text
from napari_convgen.files.images import ImageFile, check_stack, read_image, write_stack
from napari_convgen.run.image_vs_noise.config import MEAN_KINDS, NOISE_SHAPES, TargetsConfig
from napari_convgen.run.labels import format_place, format_seconds

if TYPE_CHECKING:
    from napari_convgen.run.image_vs_noise.result import CompareFitsResult
    from napari_convgen.run.image_vs_noise.run import CompareFitsProgress, CompareFitsTask

HELP = "fit a generator to an image and to noise, and say which it draws sooner"
DESCRIPTION = (
    "Fit one generator, from one start, to an image, to noise of the same norm, to the clean image if there is one, and to the image with "
    "more noise; write how the error fell, what was drawn, and how far the weights moved."
)
EPILOG = (
    "Noise model, generator, optimizer, steps and seed are those of denoise; a single generator is fitted to all pixels, to the last step. "
    "Ctrl-C ends the fits and writes what there is; the exit status is then 130. "
    "A second Ctrl-C aborts, and nothing more is written. No file is ever left half written."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = parser.add_argument
    add_input(parser)
    add("-o", "--out", type=Path, metavar="FOLDER", help="for images, curves, figure and report; made if missing")
    add("--dry-run", action="store_true", help="say what memory and time it will take, and write nothing")
    add("--reference", type=Path, metavar="FILE", help="clean image: fitted too, and compared with the other fits")
    add("--noise", default=NOISE_SHAPES[0], metavar="KIND", help="of the pure noise: uniform (default) or gaussian")
    add("--mean", default=MEAN_KINDS[0], metavar="WORD", help=_MEAN)
    add("--added-noise", type=float, default=0.0, metavar="SIGMA", help=_ADDED)
    add_config(parser)
    add("--quiet", action="store_true", help="print nothing but errors")


_MEAN = (
    "removed (default): the noise has the image's mean, and its norm about it; kept: it has the norm of all, and the mean that it is "
    "drawn with, as in the paper's code"
)
_ADDED = "also fit the image with Gaussian noise of that standard deviation added, in the image's units"


def run(options: argparse.Namespace) -> int:
    """Carry the command out; return the exit status."""
    config = read_config(options)
    targets = TargetsConfig(options.noise, options.mean, options.added_noise)
    if options.out is None and not options.dry_run:
        raise FileError("--out is missing: name the folder for what is found, or give --dry-run.")
    image, reference = read_image(options.input, options.axes), read_reference(options)
    from napari_convgen.run.image_vs_noise.run import CompareFitsTask

    fits = CompareFitsTask(
        image.data,
        config,
        axes=image.axes,
        reference=None if reference is None else reference.data,
        targets=targets,
    )
    if options.dry_run:
        print(fits.forecast())
        return 0
    files = _Files(options.out, image, fits.names)
    files.check({"INPUT": options.input, "--reference": options.reference, "--config": options.config})
    is_interrupted = _go_through(fits, options.quiet)
    result = fits.result()
    files.write(result)
    if not options.quiet:
        print("\n".join([*_summary(result, image), f"Wrote to {options.out}."]))
    return INTERRUPTED if is_interrupted else 0


class _Files:
    """The files of a comparison of fits.

    Parameters
    ----------
    folder
        That they go to; made if missing.
    like
        The noisy image, whose axes and pixel size are written.
    names
        Of the targets.
    """

    def __init__(self, folder: Path, like: ImageFile, names: tuple[str, ...]) -> None:
        self._folder, self._like = folder, like
        self._snapshots = {name: folder / f"{name.replace(' ', '-')}.tif" for name in names}
        self._targets = folder / "targets.tif"
        self._curves, self._report = folder / "curves.csv", folder / "report.json"
        self._figures = [folder / f"fits{suffix}" for suffix in (".png", ".svg")]

    def check(self, read: dict[str, Path | None]) -> None:
        """Refuse what could not be written; make the folder."""
        make_folder(self._folder)
        stacks, others = (*self._snapshots.values(), self._targets), (self._curves, self._report, *self._figures)
        for path in stacks:
            check_stack(path)
        for path in others:
            check_writable(path, (path.suffix,))
        check_distinct(read, {str(path): path for path in (*stacks, *others)})

    def write(self, result: CompareFitsResult) -> None:
        """Write each target's snapshots, the targets themselves, and the curves, plots and report of all."""
        for target in result.targets:
            images, steps = [s.image for s in target.snapshots], [s.step for s in target.snapshots]
            write_stack(self._snapshots[target.name], images, "step", steps, self._like)
        names = [target.name for target in result.targets]
        write_stack(self._targets, [target.values for target in result.targets], "target", names, self._like)
        panels = result.panels()
        write_curves(self._curves, panels)
        for path in self._figures:
            write_figure(path, panels)
        write_text(self._report, json.dumps(result.report(), indent=2, allow_nan=False) + "\n")


def _go_through(fits: CompareFitsTask, is_quiet: bool) -> bool:
    """Advance the run to its end, or to the first Ctrl-C; return whether there was one."""
    shares = ""
    with first_interrupt() as interrupts, progress_display(is_quiet) as show:
        for progress in fits:
            if progress.moment is not None:
                pairs = zip(fits.names, progress.moment.losses, strict=True)
                shares = "  ".join(f"{name} {loss:.2g}" for name, loss in pairs)
            show(_describe(progress, shares), progress.step / progress.n_steps)
            if interrupts:
                fits.stop()
        return bool(interrupts)


def _describe(progress: CompareFitsProgress, shares: str) -> str:
    left = format_seconds(progress.seconds_left)
    return f"step {progress.step}/{progress.n_steps}  {shares}  about {left} left"


def _summary(result: CompareFitsResult, image: ImageFile) -> Iterator[str]:
    yield from result.sentences()
    yield from (f"Note: {note}" for note in (*image.notes, *result.notes))
    place = format_place(result.device, result.backend, result.n_threads)
    yield f"Fitted {len(result.targets)} targets in {format_seconds(result.seconds)} on {place}."
