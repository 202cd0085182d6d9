"""Options of the commands that take a measurement: which problem it poses, what that needs, and the files that its results are like."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_convgen.cli import kspace
from napari_convgen.cli.options import add_settings, notes_of, read_input
from napari_convgen.core.image import Image
from napari_convgen.files.images import new_image, read_image
from napari_convgen.files.kspace.reading import read_kspace
from napari_convgen.files.lights import read_lights
from napari_convgen.files.resampled import resampled

if TYPE_CHECKING:
    from napari_convgen.files.image_file import ImageFile
    from napari_convgen.run.reconstruct.look import Look
    from napari_convgen.run.reconstruct.problems import InverseProblem

PROBLEMS = (
    "inpaint (fill in missing pixels), deblur (remove the blur of a point spread function), enlarge (make smaller pixels), sense (make "
    "the image of an MRI scan from undersampled k-space of several coils), sensing (make the image of weighted sums of all its pixels) or "
    "phase (find the phase of a thin object from images through focus, or under several lights)"
)
"""The problems that can be named, in words."""

BLUR_SETTINGS = {
    "--sigma": "sigma",
    "--na": "numerical_aperture",
    "--wavelength": "wavelength",
    "--refractive-index": "refractive_index",
    "--pixel-size": "pixel_size",
    "--z-step": "z_step",
    "--excitation-wavelength": "excitation_wavelength",
    "--pinhole": "pinhole",
}
"""Settings of a blur, by the option for each; a microscope's choose a widefield one, those of a laser and a pinhole a confocal one."""

SIZE_SETTINGS = {"--factor": "factor", "--weighting": "weighting"}
"""Settings of a smaller image, by the option for each."""

SUM_SETTINGS = {
    "--rows": "n_rows",
    "--columns": "n_columns",
    "--matrix": "matrix",
    "--matrix-seed": "matrix_seed",
}
"""Settings of sums of pixels, by the option for each."""

PHASE_SETTINGS = {"--focus": "focus", "--zernikes": "n_zernikes", "--starts": "n_starts"}
"""Settings of a phase, by the option for each, beside those of the objective, which a blur has too."""


def add_problem(parser: argparse.ArgumentParser) -> None:
    """Add the problem that an image may be the measurement of, and what that needs."""
    parser.add_argument("--problem", metavar="NAME", help=_PROBLEM)
    add_inputs(parser)


_PROBLEM = (
    "problem of reconstruct that the input is the measurement of: inpaint, deblur, enlarge, sense, sensing or phase; the generator is then "
    "looked at through what is measured of its image (default: the image itself)"
)


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add what a problem needs beside the measurement."""
    parser.add_argument("--mask", type=Path, metavar="FILE", help=_MASK)
    add_instrument(parser)
    add_settings(parser, PHASE_SETTINGS)
    kspace.add_inputs(parser)


def add_instrument(parser: argparse.ArgumentParser) -> None:
    """Add what is known of the instrument, of images and their sums."""
    add = parser.add_argument
    add("--psf", type=Path, metavar="FILE", help=_PSF)
    add("--patterns", type=Path, metavar="FILE", help=_PATTERNS)
    add_settings(parser, BLUR_SETTINGS | SIZE_SETTINGS | SUM_SETTINGS)
    add("--lights", type=Path, metavar="FILE", help=_LIGHTS)


_MASK = "image file of the missing pixels, for inpaint: those that are not 0 there are filled in (default: pixels that are NaN)"
_PSF = "image file of the point spread function, for deblur: the image of a point (default: computed from the settings)"
_PATTERNS = "stack of the patterns of weights, for sensing: an image for each sum (default: drawn as the settings say)"
_LIGHTS = (
    "text file of the direction of the light of each image, for phase: a row each with sin θ along rows and along columns of the image, "
    "separated by a comma or blanks (default: a stack through focus)"
)


@dataclass(frozen=True, eq=False)
class Measurement:
    """An input that was read.

    Attributes
    ----------
    image
        The measurement as a verb takes it.
    file
        Image file that those of the measurement are like; of k-space that of an image of the slice.
    inputs
        The problem and its inputs, by keyword.
    notes
        Sentences on the reading of the files.
    """

    image: Image
    file: ImageFile
    inputs: Mapping[str, Any]
    notes: tuple[str, ...]

    def like_entries(self, look: Look) -> ImageFile:
        """Return an image file with the axes of the measurement, k-space in magnitudes."""
        if look.posed is None or look.measures_image:
            return self.file
        measured = np.asarray(look.posed.measured)
        if measured.shape == self.file.data.shape:
            return self.file
        axes = {1: "X", 2: "YX", 3: "CYX"}[measured.ndim]
        return new_image(Image(np.abs(measured).astype(np.float32), axes))

    def like_projected(self, look: Look) -> ImageFile:
        """Return an image file with the pixels of the measurement, or of the generator's images where it is none."""
        return self.file if look.posed is None or look.measures_image else self.like_generated(look.posed)

    def like_generated(self, posed: InverseProblem) -> ImageFile:
        """Return an image file with the pixels of the generator's images, or their magnitudes."""
        dtype = posed.dtype.type(0).real.dtype
        if posed.layout.axes != self.file.axes:
            return new_image(posed.place(np.broadcast_to(np.zeros((), dtype), posed.image_shape)))
        ratios = dict(zip(posed.layout.spatial, posed.pixel_ratio, strict=True))
        return resampled(self.file, posed.image_shape, dtype, ratios)


def read_measurement(options: argparse.Namespace) -> Measurement:
    """Return the input, and the problem with what it needs.

    Raises
    ------
    FileError, ConfigError
        A file that cannot be read, or an option of k-space for another problem.
    """
    kspace.check_problem(options)
    scan = read_kspace(options.input, options.slice, options.axes) if options.problem == "sense" else None
    image = read_input(options) if scan is None else scan.like
    mask = None if options.mask is None else read_image(options.mask)
    instrument, notes = read_instrument(options)
    inputs = {
        "problem": options.problem,
        "is_missing": None if mask is None else mask.data,
        **({} if scan is None else kspace.read_beside(options, scan)),
        **instrument,
    }
    notes = (*notes_of(image if scan is None else scan, mask), *notes)
    return Measurement(image.image if scan is None else scan.image, image, inputs, notes)


def read_instrument(options: argparse.Namespace) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what is given of the instrument, by keyword, and sentences on the reading of the files."""
    psf, patterns = (None if path is None else read_image(path) for path in (options.psf, options.patterns))
    settings = BLUR_SETTINGS | SIZE_SETTINGS | SUM_SETTINGS | PHASE_SETTINGS | kspace.SETTINGS
    given = {name: value for name in settings.values() if (value := getattr(options, name, None)) is not None}
    inputs = {
        "psf": None if psf is None else psf.image,
        "patterns": None if patterns is None else patterns.data,
        "lights": None if options.lights is None else read_lights(options.lights),
        **given,
    }
    return inputs, notes_of(psf, patterns)
