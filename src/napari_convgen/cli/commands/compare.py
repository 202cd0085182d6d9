"""``compare``: an image file in, denoised images of several methods out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import DTypeLike

from napari_convgen.cli.commands.denoise import describe
from napari_convgen.cli.course import require_output, run_and_write
from napari_convgen.cli.options import (
    add_config,
    add_dry_run,
    add_fit,
    add_force,
    add_input,
    add_output_folder,
    add_quiet,
    add_reference,
    add_result_type,
    check_outputs,
    make_folder,
    notes_of,
    read_config,
    read_input,
    read_reference,
)
from napari_convgen.files.atomic import check_writable, write_text
from napari_convgen.files.formats import suffix_like
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.images import check_image, write_image
from napari_convgen.files.stack import check_stack, write_stack
from napari_convgen.run.labels import BASELINES, OURS, format_method

if TYPE_CHECKING:
    from napari_convgen.run.compare.progress import CompareProgress
    from napari_convgen.run.compare.result import CompareResult

HELP = "compare denoisers on an image file"
DESCRIPTION = "Denoise an image with the generator and with classical methods, all with the same noise model, and compare the results."
EPILOG = (
    "Ctrl-C ends the comparison and writes the results of the methods that are done, with the best image of the generator so far; the "
    "exit status is then 130. A second Ctrl-C aborts, and nothing more is written. A file is written completely or not at all."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add_input(parser)
    add_output_folder(parser, "the denoised images, residuals and the report", is_required=False)
    add_dry_run(parser)
    add("--methods", nargs="+", metavar="METHOD", help=_METHODS)
    add_config(parser)
    add_fit(parser)
    add_result_type(parser)
    add_reference(parser)
    add("--fit-affine", action="store_true", help=_FIT_AFFINE)
    add_force(parser)
    add_quiet(parser)


_METHODS = (
    f"methods to compare: {', '.join(BASELINES)}, {OURS} (the generator) or {OURS}:PRESET (default: all but bm3d, which needs an optional "
    "package)"
)
_FIT_AFFINE = (
    "scale and shift each image to fit the reference before scoring, for a reference with other intensity units"
)


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    config = read_config(options)
    require_output(options)
    image, reference = read_input(options), read_reference(options)
    from napari_convgen.run.compare.run import DEFAULT_METHODS, CompareTask

    methods = tuple(options.methods or DEFAULT_METHODS)
    comparison = CompareTask(
        image.image,
        config,
        reference=None if reference is None else reference.data,
        data_range=options.data_range,
        methods=methods,
        fit_affine=options.fit_affine,
    )
    return run_and_write(
        options,
        comparison,
        lambda: _Files(options, image, methods, comparison.prepared.result_type.dtype),
        _describe,
        lambda result: _summary(result, notes_of(image, reference)),
    )


class _Files:
    """The files of a comparison.

    Parameters
    ----------
    options
        Options with the input, in whose format the images are written if it can hold them, and the folder, which is created if missing.
    like
        Noisy image, whose metadata the files get.
    methods
        Names of the methods that are compared.
    dtype
        Type of the images.
    """

    def __init__(
        self, options: argparse.Namespace, like: ImageFile, methods: tuple[str, ...], dtype: DTypeLike
    ) -> None:
        folder, suffix = options.output, suffix_like(options.input, like.of_type(dtype))
        self._folder, self._like, self._dtype = folder, like, dtype
        self._images = {method: folder / (method.replace(":", "-") + suffix) for method in methods}
        self._residuals, self._report, self._table = (
            folder / name for name in ("residuals.tif", "report.json", "report.md")
        )

    def check(self, read: dict[str, Path | None], *, is_forced: bool) -> None:
        """Create the folder; refuse files that could not be written, or are there already."""
        make_folder(self._folder)
        for path in self._images.values():
            check_image(path, self._like, self._dtype)
        check_stack(self._residuals, self._like)
        check_writable(self._report, (".json",))
        check_writable(self._table, (".md",))
        others = {str(path): path for path in (self._residuals, self._report, self._table)}
        check_outputs(read, {str(path): path for path in self._images.values()} | others, is_forced=is_forced)

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


def _summary(result: CompareResult, notes: Sequence[str]) -> Iterator[str]:
    yield result.table()
    yield from (f"Note: {note}" for note in notes)


def _describe(progress: CompareProgress) -> str:
    p = progress
    method = f"{format_method(p.method)} ({p.position + 1}/{p.n_methods})"
    if p.fit is not None:
        return f"{method}  {describe(p.fit)}"
    return f"{method}  frame {p.frame + 1}/{p.n_frames}" if p.n_frames > 1 else method
