"""``compare``: an image file in, one denoised by each of several methods out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from napari_convgen.cli.commands.denoise import describe
from napari_convgen.cli.options import (
    add_config,
    add_input,
    add_reference,
    check_distinct,
    make_folder,
    read_config,
    read_reference,
)
from napari_convgen.cli.progress import progress_display
from napari_convgen.cli.status import INTERRUPTED, first_interrupt
from napari_convgen.files.atomic import check_writable, write_text
from napari_convgen.files.images import (
    PNG_SUFFIXES,
    ImageFile,
    check_image,
    check_stack,
    read_image,
    write_image,
    write_stack,
)
from napari_convgen.run.labels import BASELINES, OURS, format_method

if TYPE_CHECKING:
    from napari_convgen.run.compare.progress import CompareProgress
    from napari_convgen.run.compare.result import CompareResult
    from napari_convgen.run.compare.run import CompareTask

HELP = "compare denoisers on an image file"
DESCRIPTION = "Denoise an image by the generator and by classical methods that are given the same model of the noise, and say how they did."
EPILOG = (
    "Ctrl-C ends the comparison and writes the methods that are done, the generator's best image so far among them; the exit "
    "status is then 130. A second Ctrl-C aborts, and nothing more is written. No file is ever left half written."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = parser.add_argument
    add_input(parser)
    add(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        required=True,
        help="for the images and the report; made if missing",
    )
    add("--methods", nargs="+", metavar="METHOD", help=_METHODS)
    add_config(parser)
    add_reference(parser)
    add("--fit-affine", action="store_true", help="score after the gain and offset closest to the reference")
    add("--quiet", action="store_true", help="print nothing but errors")


_METHODS = f"{', '.join(BASELINES)}, {OURS} (the generator) or {OURS}:PRESET; all but bm3d, which needs an optional package, by default"


def run(options: argparse.Namespace) -> int:
    """Carry the command out; return the exit status."""
    config = read_config(options)
    image, reference = read_image(options.input, options.axes), read_reference(options)
    from napari_convgen.run.compare.run import DEFAULT_METHODS, CompareTask

    methods = tuple(options.methods or DEFAULT_METHODS)
    comparison = CompareTask(
        image.data,
        config,
        axes=image.axes,
        reference=None if reference is None else reference.data,
        data_range=options.data_range,
        methods=methods,
        fit_affine=options.fit_affine,
    )
    files = _Files(options.output, image, methods, options.input.suffix)
    files.check({"INPUT": options.input, "--reference": options.reference, "--config": options.config})
    is_interrupted = _go_through(comparison, options.quiet)
    result = comparison.result()
    files.write(result)
    if not options.quiet:
        print("\n".join([result.table(), *(f"Note: {note}" for note in image.notes), f"Wrote to {options.output}."]))
    return INTERRUPTED if is_interrupted else 0


class _Files:
    """The files of a comparison.

    Parameters
    ----------
    folder
        That they go to; made if missing.
    like
        The noisy image, whose metadata is written.
    methods
        That are compared.
    suffix
        Of the noisy image; PNG is written again, all else as TIFF.
    """

    def __init__(self, folder: Path, like: ImageFile, methods: tuple[str, ...], suffix: str) -> None:
        self._folder = folder
        self._like = like
        ending = ".png" if suffix.lower() in PNG_SUFFIXES else ".tif"
        self._images = {method: folder / (method.replace(":", "-") + ending) for method in methods}
        self._residuals, self._report, self._table = (
            folder / name for name in ("residuals.tif", "report.json", "report.md")
        )

    def check(self, read: dict[str, Path | None]) -> None:
        """Refuse what could not be written; make the folder."""
        make_folder(self._folder)
        for path in self._images.values():
            check_image(path, self._like)
        check_stack(self._residuals)
        check_writable(self._report, (".json",))
        check_writable(self._table, (".md",))
        others = {str(path): path for path in (self._residuals, self._report, self._table)}
        check_distinct(read, {str(path): path for path in self._images.values()} | others)

    def write(self, result: CompareResult) -> None:
        """Write the image of each method that has one, all residuals as one stack, and the report in two forms."""
        done = {each.method: each.image for each in result.methods if each.image is not None}
        for method, image in done.items():
            write_image(self._images[method], image, self._like)
        if done:
            residuals = [result.residual_image(method) for method in done]
            write_stack(self._residuals, residuals, "method", list(done), self._like)
        write_text(self._report, json.dumps(result.report(), indent=2, allow_nan=False) + "\n")
        write_text(self._table, result.table())


def _go_through(comparison: CompareTask, is_quiet: bool) -> bool:
    """Advance the comparison to its end, or to the first Ctrl-C; return whether there was one."""
    with first_interrupt() as interrupts, progress_display(is_quiet) as show:
        for progress in comparison:
            show(_describe(progress), None if progress.fit is None else progress.fit.step / progress.fit.n_steps)
            if interrupts:
                comparison.stop()
        return bool(interrupts)


def _describe(progress: CompareProgress) -> str:
    p = progress
    method = f"{format_method(p.method)} ({p.position + 1}/{p.n_methods})"
    if p.fit is not None:
        return f"{method}  {describe(p.fit)}"
    return f"{method}  frame {p.frame + 1}/{p.n_frames}" if p.n_frames > 1 else method
