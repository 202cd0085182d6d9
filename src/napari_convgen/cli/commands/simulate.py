"""``simulate``: a known truth in, a measurement of it out."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.cli import kspace
from napari_convgen.cli.measured import PROBLEMS, add_instrument, read_instrument
from napari_convgen.cli.options import (
    add_changes,
    add_force,
    add_input,
    add_quiet,
    add_settings,
    check_outputs,
    notes_of,
    read_changes,
    read_input,
)
from napari_convgen.cli.terminal import tell
from napari_convgen.errors import ConfigError
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.images import check_image, new_image, write_image
from napari_convgen.files.resampled import resampled

if TYPE_CHECKING:
    from napari_convgen.run.simulate import Simulation

HELP = "simulate a measurement of a known image file, to try reconstruct on it"
DESCRIPTION = (
    "Simulate what an instrument measures of a known truth, with noise: some of its pixels, a blurred image, larger pixels, k-space of "
    "several coils, weighted sums of all pixels, or images of a phase in radians through focus. It is written as float32, with NaN where "
    "pixels are missing, and k-space as a .cfl. What reconstruct makes of it can be scored against the truth."
)
EPILOG = "A file is written completely or not at all."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add_input(parser, "image without noise", "TRUTH")
    add(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        required=True,
        help="measurement to write, as .tif; k-space as .cfl",
    )
    add("--problem", required=True, metavar="NAME", help=f"problem that the measurement poses: {PROBLEMS}")
    add(
        "--missing",
        type=float,
        metavar="SHARE",
        help="share of the pixels that are missing, for inpaint (default: 0.5)",
    )
    add("--coils", type=int, dest="n_coils", metavar="N", help="number of coils, for sense (default: 8)")
    add("--acceleration", type=int, metavar="N", help=_ACCELERATION)
    add_settings(parser, kspace.SETTINGS)
    add_instrument(parser)
    add("--measured", type=float, metavar="SHARE", help=_MEASURED)
    add(
        "--planes",
        type=int,
        dest="n_planes",
        metavar="N",
        help="number of planes through focus, for phase (default: 7)",
    )
    add("--aberrations", type=_numbers, metavar="LIST", help=_ABERRATIONS)
    noise = parser.add_mutually_exclusive_group()
    noise.add_argument("--photons", type=float, metavar="NUMBER", help=_PHOTONS)
    noise.add_argument("--noise", type=float, metavar="NUMBER", help=_NOISE)
    add("--seed", metavar="N", help="seed of the noise and of the missing pixels, a whole number from 0 (default: 0)")
    add_changes(parser, "operator.numerical_aperture=1.2")
    add("--write-mask", type=Path, metavar="FILE", help=_WRITE_MASK)
    add("--write-psf", type=Path, metavar="FILE", help=_WRITE_PSF)
    kspace.add_coil_maps_output(parser)
    add_force(parser)
    add_quiet(parser)


_ACCELERATION = "distance of the rows of k-space that are sampled beside the calibration lines, for sense (default: 4)"
_MEASURED = "number of sums relative to that of the pixels, for sensing without patterns (default: 0.25)"
_PHOTONS = "number of photons in the brightest pixel, for Poisson noise; 0 in the image is no light (default: no noise)"
_NOISE = "standard deviation of Gaussian noise, in image units; of k-space that of the real and of the imaginary part (default: no noise)"
_WRITE_MASK = ".tif or .png to write, of the missing pixels, 255 where they are (default: none)"
_WRITE_PSF = ".tif to write, of the point spread function (default: none)"


_ABERRATIONS = "aberrations in radians from defocus on in Noll's order, separated by commas, for phase (default: none)"


def _numbers(text: str) -> list[float]:
    """Return the numbers of a list."""
    return [float(word) for word in text.split(",")]


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    truth = read_input(options)
    instrument, notes = read_instrument(options)
    read = {"TRUTH": options.input, "--psf": options.psf, "--patterns": options.patterns}
    written = {
        "--output": options.output,
        "--write-mask": options.write_mask,
        "--write-psf": options.write_psf,
        "--write-coil-maps": options.write_coil_maps,
    }
    check_outputs(read, written, is_forced=options.force)
    from napari_convgen.run.simulate import simulate

    simulation = simulate(
        truth.image,
        problem=options.problem,
        photons=options.photons,
        noise=options.noise,
        missing=options.missing,
        n_coils=options.n_coils,
        acceleration=options.acceleration,
        n_planes=options.n_planes,
        aberrations=options.aberrations,
        measured=options.measured,
        changes=read_changes(options),
        **instrument,
    )
    outputs = _outputs(options, truth, simulation)
    for path, values, like in outputs:
        if np.iscomplexobj(values):
            kspace.check_complex(path)
        check_image(path, like)
    for path, values, like in outputs:
        write_image(path, values, like)
    if not options.quiet:
        lines = [f"Note: {note}" for note in (*notes_of(truth), *notes, *simulation.notes)]
        tell("\n".join([*lines, f"Wrote {', '.join(str(path) for path, _, _ in outputs)}."]))
    return 0


def _outputs(
    options: argparse.Namespace, truth: ImageFile, simulation: Simulation
) -> list[tuple[Path, NDArray[Any], ImageFile]]:
    """Return the files to write, with their values and an image file like each."""
    data, layout = np.asarray(simulation.measurement.data), simulation.layout
    ratios = dict.fromkeys(layout.spatial, simulation.pixel_ratio)
    has_own_axes = layout.axes != truth.axes
    like = new_image(simulation.measurement) if has_own_axes else resampled(truth, data.shape, data.dtype, ratios)
    outputs = [(options.output, data, like)]
    others = (
        ("--write-mask", options.write_mask, simulation.is_missing, "inpaint"),
        ("--write-psf", options.write_psf, simulation.psf, "deblur"),
        ("--write-coil-maps", options.write_coil_maps, simulation.coil_maps, "sense"),
    )
    for option, path, image, problem in others:
        if path is None:
            continue
        if image is None:
            raise ConfigError(f"{option} is for the problem '{problem}'. Leave it out.")
        values = np.asarray(image.data)
        shown = values if values.dtype.kind in "fc" else np.uint8(255) * values
        outputs.append((path, shown, new_image(replace(image, data=shown))))
    return outputs
