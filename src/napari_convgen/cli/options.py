"""Options that several commands share, and checks of the files that they name."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_convgen.config import OPERATORS, PRESETS, Config, StoppingConfig, preset, setting_fields
from napari_convgen.config.base import kinds_of
from napari_convgen.config.fields import choices_of
from napari_convgen.errors import ConfigError, FileError
from napari_convgen.files.atomic import check_folder
from napari_convgen.files.formats import other_parts
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.images import read_image
from napari_convgen.files.kspace.reading import KSpaceFile


def add_input(parser: argparse.ArgumentParser, what: str = "noisy image", metavar: str = "INPUT") -> None:
    """Add the image that is read, in words for it, and its axes."""
    add = parser.add_argument
    add("input", type=Path, metavar=metavar, help=f"{what}: {_INPUT}")
    add(
        "--axes", metavar="LETTERS", help="one letter for each axis of the image, such as CZYX (default: from the file)"
    )
    add("--series", type=int, default=0, metavar="N", help=_SERIES)


_INPUT = (
    "a TIFF, PNG, JPEG, BMP, NIfTI, DICOM, MRC or BART file, a dataset of an HDF5 file (FILE.h5:/DATASET), an OME-Zarr image, "
    "or the folder of a DICOM series"
)
_SERIES = "number of the image to read, if the file holds several, from 0 (default: 0)"


def add_output_folder(parser: argparse.ArgumentParser, what: str, *, is_required: bool) -> None:
    """Add the folder for the files of a command.

    Parameters
    ----------
    parser
        Parser of the command.
    what
        Words for what is written into the folder: ``"images and the report"``.
    is_required
        True if the command cannot run without it.
    """
    help_text = f"folder to write {what} to; created if missing"
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", required=is_required, help=help_text)


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """Add the option to predict memory and time instead of running."""
    parser.add_argument("--dry-run", action="store_true", help=_DRY_RUN)


_DRY_RUN = "do a small part of the work, print a forecast of memory and time, and write nothing"


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add the option to replace outputs that are there already."""
    parser.add_argument("--force", action="store_true", help="replace outputs that exist already")


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add the option to print nothing."""
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the device to compute on."""
    parser.add_argument("--device", help="device to compute on: auto, cpu, mps, cuda or cuda:N (default: auto)")


def add_config(parser: argparse.ArgumentParser, default: str = "default") -> None:
    """Add the options that choose the settings of a generator, from a preset on; ``default`` if none is named."""
    add = parser.add_argument
    add("--preset", metavar="NAME", help=f"settings to start from: {', '.join(PRESETS)} (default: {default})")
    add("--config", type=Path, metavar="FILE", help=_CONFIG)
    add_changes(parser)
    add("--seed", metavar="N", help="random seed, a whole number from 0 (default: from the settings, 0)")
    add_device(parser)


def add_changes(parser: argparse.ArgumentParser, example: str = "generator.n_channels=64 noise.kind=gaussian") -> None:
    """Add the option to change single settings, with an example of some."""
    about = f"settings to change, by dotted name: --set {example}"
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=about)


def add_settings(parser: argparse.ArgumentParser, options: Mapping[str, str]) -> None:
    """Add options for settings of a forward operator, described as the settings are.

    Parameters
    ----------
    parser
        Parser of the command.
    options
        Name of a setting, without its group, by the option for it.
    """
    fields = setting_fields()
    for option, name in options.items():
        of_kind = fields[f"operator.{name}"]
        of_problem = {OPERATORS[kind].problem: field for kind, field in of_kind.items() if OPERATORS[kind].problem}
        about = _joined({problem: (field.description or "").rstrip(".") for problem, field in of_problem.items()})
        texts = "; ".join(f"for {problems}: {text[0].lower()}{text[1:]}" for text, problems in about.items())
        defaults = _joined({problem: field.default for problem, field in of_problem.items()})
        default = ", ".join(
            f"{value} for {problems}" if len(defaults) > 1 else str(value) for value, problems in defaults.items()
        )
        metavar = "WORD" if choices_of(next(iter(of_problem.values()))) else "NUMBER"
        parser.add_argument(option, dest=name, metavar=metavar, help=f"{texts} (default: from the settings, {default})")


def _joined(of_problem: Mapping[str, Any]) -> dict[Any, str]:
    """Return the problems that have each value, in words."""
    return {
        value: " and ".join(name for name, each in of_problem.items() if each == value) for value in of_problem.values()
    }


def add_snapshots(parser: argparse.ArgumentParser) -> None:
    """Add the file of the snapshots."""
    about = "stack to write, of the image at many steps: .tif, .ome.tif, .zarr or .nii.gz (default: none)"
    parser.add_argument("--snapshots", type=Path, metavar="FILE", help=about)


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add the file of the report."""
    about = ".json file to write, of settings, outcome, curves and scores (default: none)"
    parser.add_argument("--report", type=Path, metavar="FILE", help=about)


def add_result_type(parser: argparse.ArgumentParser) -> None:
    """Add the type of the denoised values."""
    parser.add_argument("--dtype", metavar="TYPE", help=_DTYPE)


_DTYPE = (
    "type of the denoised values: same (that of the input), float32, or auto (float32 where rounding to integers would be a large part "
    "of the error; default: from the settings, auto)"
)


def add_fit(parser: argparse.ArgumentParser) -> None:
    """Add the length of a fit, and the rule that stops it."""
    add_steps(parser, "largest number")
    rules = ", ".join(kinds_of(StoppingConfig))
    parser.add_argument("--stopping", metavar="RULE", help=f"stopping rule: {rules} (default: from the settings, auto)")


def add_steps(parser: argparse.ArgumentParser, number: str = "number") -> None:
    """Add the length of a fit; ``number`` says whether it is the largest."""
    about = f"{number} of steps of the optimizer, from 1 (default: from the settings)"
    parser.add_argument("--steps", metavar="N", help=about)


_CONFIG = "settings from a .toml file of new-config, or from the .json report of an earlier run (default: those of the preset)"


def add_reference(parser: argparse.ArgumentParser) -> None:
    """Add the reference image and the peak value of the scores."""
    add = parser.add_argument
    add("--reference", type=Path, metavar="FILE", help=_REFERENCE)
    add_reference_series(parser)
    add("--data-range", type=float, metavar="VALUE", help=_DATA_RANGE)


def add_reference_series(parser: argparse.ArgumentParser) -> None:
    """Add the number of the reference image."""
    parser.add_argument("--reference-series", type=int, default=0, metavar="N", help=_REFERENCE_SERIES)


_REFERENCE_SERIES = "number of the reference image, if the file of --reference holds several, from 0 (default: 0)"
_REFERENCE = (
    "noise-free image of the same shape, to score the result; it does not change the result (default: none, no scores)"
)
_DATA_RANGE = "peak value for PSNR and SSIM, in image units (default: 255 for 8-bit images, else maximum minus minimum of the reference)"


def read_config(options: argparse.Namespace, default: str = "default") -> Config:
    """Return the settings: those of the preset (``default`` if none is named) or file, changed by --set, changed by other options."""
    named = read_named_config(options) or default
    return (named if isinstance(named, Config) else preset(named)).replace(read_changes(options))


def read_chosen_step(options: argparse.Namespace) -> int | None:
    """Return the step that is kept in the place of the rule's: that of --keep, or the one in a report that is repeated."""
    if options.keep is not None or options.config is None or options.config.suffix.lower() != ".json":
        step: int | None = options.keep
        return step
    report = json.loads(options.config.read_text(encoding="utf-8"))
    chosen = report.get("chosen_step") if isinstance(report, dict) else None
    return chosen if isinstance(chosen, int) else None


def read_named_config(options: argparse.Namespace) -> Config | str | None:
    """Return the settings of the file that is named, unchanged, or the name of a preset that there is; ``None`` if none is named."""
    if options.config and options.preset:
        raise ConfigError("--config is complete and --preset would replace it. Give one of the two.")
    if options.config:
        return Config.from_file(options.config)
    if options.preset is None:
        return None
    preset(options.preset)  # refuses a name that there is not
    name: str = options.preset
    return name


def read_changes(options: argparse.Namespace) -> dict[str, str]:
    """Return the settings to change, by dotted name: those of --set, and of the options that are short forms of it."""
    changes = dict(_setting(text) for text in options.set)
    options_of = {"seed": "seed", "n_steps": "steps", "stopping.kind": "stopping", "device": "device", "dtype": "dtype"}
    named = {name: getattr(options, option, None) for name, option in options_of.items()}
    return changes | {name: value for name, value in named.items() if value is not None}


def refuse_overridden(options: argparse.Namespace, config: Config, own: Mapping[str, Any]) -> None:
    """Refuse settings to change that a command chooses itself, or that have no effect with what it chooses.

    Parameters
    ----------
    options
        Options of the command.
    config
        Settings that were asked for.
    own
        Settings that the command chooses, by dotted name.

    Raises
    ------
    ConfigError
        There is one.
    """
    used = config.replace({name: value for name, value in own.items() if config.has(name)})
    for name in read_changes(options):
        if not used.has(name) or used.value(name) != config.value(name):
            raise ConfigError(f"{name} would do nothing here: this command chooses {', '.join(own)}. Leave it out.")


def read_input(options: argparse.Namespace) -> ImageFile:
    """Read the noisy image."""
    return read_image(options.input, options.axes, options.series)


def read_reference(options: argparse.Namespace) -> ImageFile | None:
    """Read the reference image, if one is given."""
    if options.reference is not None:
        return read_image(options.reference, series=options.reference_series)
    if options.reference_series:
        raise ConfigError("--reference-series is for the file of --reference, and there is none. Give --reference too.")
    return None


def notes_of(*files: ImageFile | KSpaceFile | None) -> tuple[str, ...]:
    """Return the notes on the reading of all files that were read."""
    return tuple(note for file in files if file is not None for note in file.notes)


def make_folder(folder: Path) -> None:
    """Create the folder for the outputs, if it is missing; files can be written to it then.

    Parameters
    ----------
    folder
        Folder whose parent exists.

    Raises
    ------
    FileError
        The path is a file, or the operating system does not allow it.
    """
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise FileError(f"{folder} is a file. Name a folder.")
    try:
        folder.mkdir(exist_ok=True)
        check_folder(folder)
    except OSError as error:
        what = "written to" if os.path.isdir(folder) else "made"
        raise FileError(f"{folder} cannot be {what}: {error.strerror or error}. Choose another folder.") from error


def check_outputs(read: Mapping[str, Path | None], written: Mapping[str, Path | None], *, is_forced: bool) -> None:
    """Refuse to write to a file that is also read, written twice, or there already.

    Parameters
    ----------
    read, written
        Files that are read and written, by the option that names them; those beside them that belong to them count too.
    is_forced
        True if files that are there may be replaced.

    Raises
    ------
    FileError
        Two options name the same file, or a file is there.
    """
    read, written = _with_other_parts(read), _with_other_parts(written)
    files = [(name, path) for name, path in {**read, **written}.items() if path]
    for i, (name, path) in enumerate(files):
        for other, other_path in files[:i]:
            if name in written and _is_same_file(path, other_path):
                raise FileError(f"{name} and {other} are the same file, {path}. Write to another one.")
    there = [] if is_forced else [path for path in written.values() if path and os.path.lexists(path)]
    if there:
        others = f" and {len(there) - 1} more of the outputs exist" if len(there) > 1 else " exists"
        raise FileError(f"{there[0]}{others} already. Write to another place, or replace what is there with --force.")


def _with_other_parts(files: Mapping[str, Path | None]) -> dict[str, Path | None]:
    """Return files with those that belong to them, such as the header of a ``.cfl``."""
    parts = {f"{name} ({each.suffix})": each for name, path in files.items() if path for each in other_parts(path)}
    return {**files, **parts}


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set takes settings as KEY=VALUE, got '{text}'. Write for example --set n_steps=500.")
    return name.strip(), value.strip()


def _is_same_file(a: Path, b: Path) -> bool:
    return os.path.realpath(a) == os.path.realpath(b) or (a.exists() and b.exists() and os.path.samefile(a, b))
