"""The command line: an image file in, a denoised one out.

The exit status is 0 after a finished run, 2 after one sentence on what cannot be done, and 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from napari_convgen import __version__
from napari_convgen.config import PRESETS, Config, preset
from napari_convgen.errors import ConfigError, ConvgenError, FileError, FitError
from napari_convgen.files.atomic import check_writable, write_text
from napari_convgen.files.images import (
    ImageFile,
    check_image,
    check_snapshots,
    read_image,
    write_image,
    write_snapshots,
)
from napari_convgen.run.words import format_place, format_seconds

if TYPE_CHECKING:
    from napari_convgen.run.denoise import Denoising, Progress
    from napari_convgen.run.result import Result

FAILED, INTERRUPTED = 2, 130

LINE_SECONDS = 5
"""Where there is no terminal for a progress bar, a line is printed this often."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        Words of the command; from the shell if ``None``.

    Returns
    -------
    int
        Exit status: 0, 2 for anything that cannot be done, 130 after Ctrl-C.
    """
    _quiet_libraries()
    try:
        options = _parser().parse_args(arguments)
        status: int = options.command(options)
    except ConvgenError as error:
        _complain(" ".join(str(error).split()))
        return FAILED
    except KeyboardInterrupt:
        _complain("aborted; no further file was written.")
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="napari-convgen", description="Denoise images with untrained convolutional generators.")
    parser.add_argument("--version", action="version", version=f"napari-convgen {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_denoise(commands.add_parser("denoise", help="denoise an image file", description=_DENOISE, epilog=_CTRL_C))
    _add_new_config(commands.add_parser("new-config", help="write a configuration to edit", description=_NEW_CONFIG))
    return parser


_DENOISE = "Fit an untrained generator to an image and stop before it draws the noise."
_CTRL_C = (
    "Ctrl-C ends the fit and writes everything asked for with the best image so far; the exit status is then 130. "
    "A second Ctrl-C aborts, and nothing more is written. No file is ever left half written."
)
_NEW_CONFIG = "Write a configuration with a comment over each setting, for the option --config of denoise."


class _Parser(argparse.ArgumentParser):
    """Reports what it does not understand like every other error."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see '{self.prog} --help').")


def _add_denoise(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_denoise)
    add = parser.add_argument
    add("input", type=Path, metavar="INPUT", help="noisy image: TIFF, PNG, JPEG or BMP")
    add("-o", "--output", type=Path, help="denoised image: .tif keeps all metadata, .png what it can")
    add("--dry-run", action="store_true", help="say what memory and time the run will take, and write nothing")
    add("--preset", metavar="NAME", help=f"{', '.join(PRESETS)} (default: default)")
    add("--config", type=Path, metavar="FILE", help="configuration as new-config writes it, or the report of a run")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change settings, by dotted name")
    add("--seed", help="seed of the fit")
    add("--steps", metavar="N", help="steps at most")
    add("--stopping", metavar="RULE", help="auto, fixed or held-out")
    add("--device", help="auto, cpu, mps, cuda or cuda:N")
    add("--axes", help="a letter for each axis of the image, such as CZYX, instead of what the file says")
    add("--reference", type=Path, metavar="FILE", help="ground truth to score against; has no influence on the result")
    add("--data-range", type=float, metavar="V", help="peak of the scores; from the reference by default")
    add("--snapshots", type=Path, metavar="FILE", help="write the image at many steps as one TIFF stack")
    add("--report", type=Path, metavar="FILE", help="write configuration, outcome, curves and scores as .json")
    add("--quiet", action="store_true", help="print nothing but errors")


def _add_new_config(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_new_config)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="a .toml file; printed if left away")
    parser.add_argument("--preset", metavar="NAME", default="default", help=f"{', '.join(PRESETS)} (default: default)")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")


def _new_config(options: argparse.Namespace) -> int:
    text = preset(options.preset).to_toml()
    if options.output is None:
        print(text, end="")
        return 0
    check_writable(options.output, (".toml",))
    if options.output.exists() and not options.force:
        raise FileError(f"{options.output} exists already. Choose another name, or overwrite it with --force.")
    write_text(options.output, text)
    return 0


def _denoise(options: argparse.Namespace) -> int:
    config = _config(options)
    if options.output is None and not options.dry_run:
        raise ConfigError("--output is missing: name the file for the denoised image, or give --dry-run.")
    image = read_image(options.input, options.axes)
    reference = None if options.reference is None else read_image(options.reference)
    if options.output is not None:
        _check_outputs(options, image)
    from napari_convgen.run.denoise import Denoising

    run = Denoising(
        image.data,
        config,
        axes=image.axes,
        reference=None if reference is None else reference.data,
        data_range=options.data_range,
    )
    if options.dry_run:
        print(run.forecast())
        return 0
    failure = None
    try:
        is_interrupted = _go_through(run, options.quiet)
        result = run.result()
    except (MemoryError, OSError, RuntimeError) as error:
        if not run.n_frames_done:
            raise
        failure, is_interrupted, result = error, False, run.result()
    _write(options, result, image)
    if not options.quiet:
        print("\n".join(_summary(options, result, image)))
    if failure is not None:
        raise FitError(
            f"After {run.n_frames_done} of {run.n_frames} frames, which are written: {failure}."
        ) from failure
    return INTERRUPTED if is_interrupted else 0


def _config(options: argparse.Namespace) -> Config:
    """Bring together preset or file, --set and the options, the later over the earlier."""
    if options.config and options.preset:
        raise ConfigError("--config is complete and --preset would replace it. Give one of the two.")
    config = Config.from_file(options.config) if options.config else preset(options.preset or "default")
    changes = dict(_setting(text) for text in options.set)
    options_of = {"seed": "seed", "n_steps": "steps", "stopping.rule": "stopping", "device": "device"}
    named = {name: getattr(options, option) for name, option in options_of.items()}
    return config.replace(changes | {name: value for name, value in named.items() if value is not None})


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set takes settings as KEY=VALUE, got '{text}'. Write for example --set n_steps=500.")
    return name.strip(), value.strip()


def _check_outputs(options: argparse.Namespace, image: ImageFile) -> None:
    """Refuse what could not be written, before the fit."""
    check_image(options.output, image)
    if options.snapshots:
        check_snapshots(options.snapshots)
    if options.report:
        check_writable(options.report, (".json",))
    read = {"INPUT": options.input, "--reference": options.reference, "--config": options.config}
    written = {"--output": options.output, "--snapshots": options.snapshots, "--report": options.report}
    files = [(name, path) for name, path in (read | written).items() if path]
    for i, (name, path) in enumerate(files):
        for other, other_path in files[:i]:
            if name in written and _is_same_file(path, other_path):
                raise FileError(f"{name} and {other} are the same file, {path}. Write to another one.")


def _is_same_file(a: Path, b: Path) -> bool:
    return a.resolve() == b.resolve() or (a.exists() and b.exists() and os.path.samefile(a, b))


def _go_through(run: Denoising, is_quiet: bool) -> bool:
    """Advance the run to its end, or to the first Ctrl-C; return whether there was one."""
    with _first_interrupt() as interrupts, _progress_display(is_quiet) as show:
        for progress in run:
            show(progress)
            if interrupts:
                run.stop()
        return bool(interrupts)


@contextlib.contextmanager
def _first_interrupt() -> Iterator[list[int]]:
    """Note the first Ctrl-C in the list that is returned; the second one raises as ever."""
    interrupts: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        interrupts.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _progress_display(is_quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Return what shows progress on stderr: nothing, a bar in a terminal, or a line now and then."""
    if is_quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _Lines()


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    with Bars(BarColumn(bar_width=16), TextColumn("{task.description}"), console=Console(stderr=True)) as bars:
        task = bars.add_task("starting")
        yield lambda progress: bars.update(
            task, description=_describe(progress), completed=progress.step, total=progress.n_steps
        )


class _Lines:
    """A line on stderr every few seconds."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() >= self._next:
            print(_describe(progress), file=sys.stderr, flush=True)
            self._next = time.monotonic() + LINE_SECONDS


def _describe(progress: Progress) -> str:
    """Say where the run is, and how long it can still take."""
    p = progress
    frame = f"frame {p.frame + 1}/{p.n_frames}  " if p.n_frames > 1 else ""
    return f"{frame}step {p.step}/{p.n_steps}  loss {p.losses[-1]:.3g}  at most {p.seconds_left:.0f} s left"


def _write(options: argparse.Namespace, result: Result, image: ImageFile) -> None:
    write_image(options.output, result.image, image)
    if options.snapshots:
        snapshots = result.snapshots
        write_snapshots(options.snapshots, [s.image for s in snapshots], [s.step for s in snapshots], image)
    if options.report:
        write_text(options.report, json.dumps(result.report(), indent=2, allow_nan=False) + "\n")


def _summary(options: argparse.Namespace, result: Result, image: ImageFile) -> Iterator[str]:
    yield f"Kept step {result.step}. {result.reason}"
    yield from (f"Note: {note}" for note in (*image.notes, *result.notes))
    if result.reference is not None:
        before, after = result.scores(result.input), result.scores(result.image)
        yield (
            f"PSNR from {before.psnr:.2f} to {after.psnr:.2f} dB, SSIM from {before.ssim:.3f} to {after.ssim:.3f}, "
            f"data range {result.reference.data_range:g}."
        )
    place = format_place(result.device, result.backend, result.n_threads)
    yield f"Fitted {result.n_steps_taken} steps in {format_seconds(result.seconds)} on {place}."
    written = (options.output, options.snapshots, options.report)
    yield f"Wrote {', '.join(str(path) for path in written if path)}."


def _complain(sentence: str) -> None:
    print(f"napari-convgen: {sentence}", file=sys.stderr)


def _quiet_libraries() -> None:
    """Keep what libraries grumble about in a file or a setting out of the terminal, unless Python was asked to warn."""
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


if __name__ == "__main__":
    sys.exit(main())
