"""Options of the commands that look at a generator, for an image that is a measurement."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_convgen.cli import kspace
from napari_convgen.cli.commands.reconstruct import (
    BLUR_SETTINGS,
    LIGHTS,
    PHASE_SETTINGS,
    SIZE_SETTINGS,
    SUM_SETTINGS,
    add_patterns,
    read_settings,
)
from napari_convgen.cli.options import add_settings, notes_of, read_input
from napari_convgen.core.image import Image
from napari_convgen.files.images import new_image, read_image
from napari_convgen.files.kspace.reading import read_kspace
from napari_convgen.files.lights import read_lights
from napari_convgen.files.resampled import resampled

if TYPE_CHECKING:
    from napari_convgen.files.image_file import ImageFile
    from napari_convgen.run.reconstruct.look import Look


def add_problem(parser: argparse.ArgumentParser) -> None:
    """Add the problem that the image is the measurement of, and what that needs."""
    add = parser.add_argument
    add("--problem", metavar="NAME", help=_PROBLEM)
    add("--mask", type=Path, metavar="FILE", help="image file of the missing pixels, for inpaint (default: NaN)")
    add(
        "--psf",
        type=Path,
        metavar="FILE",
        help="image file of the point spread function, for deblur (default: computed)",
    )
    add_patterns(parser)
    add_settings(parser, BLUR_SETTINGS | SIZE_SETTINGS | SUM_SETTINGS | PHASE_SETTINGS)
    add("--lights", type=Path, metavar="FILE", help=LIGHTS)
    kspace.add_inputs(parser)


_PROBLEM = (
    "problem of reconstruct that the input is the measurement of: inpaint, deblur, enlarge, sense, sensing or phase; the generator is then "
    "looked at through what is measured of its image (default: the image itself)"
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
        return self.file if look.measures_image else self.like_generated(look)

    def like_generated(self, look: Look) -> ImageFile:
        """Return an image file with the pixels of the generator's images."""
        if look.posed is None or look.image_shape == self.file.data.shape:
            return self.file
        if look.measures_image:
            ratios = dict(zip(look.prepared.layout.spatial, look.pixel_ratio, strict=True))
            return resampled(self.file, look.image_shape, np.float32, ratios)
        return new_image(look.posed.place(np.broadcast_to(np.zeros((), np.float32), look.image_shape)))


def read_measurement(options: argparse.Namespace) -> Measurement:
    """Return the input, and the problem with what it needs.

    Raises
    ------
    FileError, ConfigError
        A file that cannot be read, or an option of k-space for another problem.
    """
    kspace.check_problem(options, "slice", "coil_maps", "sampling")
    scan = read_kspace(options.input, options.slice, options.axes) if options.problem == "sense" else None
    image = read_input(options) if scan is None else scan.like
    mask, psf, patterns = (
        None if path is None else read_image(path) for path in (options.mask, options.psf, options.patterns)
    )
    inputs = {
        "problem": options.problem,
        "is_missing": None if mask is None else mask.data,
        "psf": None if psf is None else psf.image,
        "patterns": None if patterns is None else patterns.data,
        "lights": None if options.lights is None else read_lights(options.lights),
        **({} if scan is None else kspace.read_beside(options, scan)),
        **read_settings(options),
    }
    notes = notes_of(image if scan is None else scan, mask, psf, patterns)
    return Measurement(image.image if scan is None else scan.image, image, inputs, notes)
