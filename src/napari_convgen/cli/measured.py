"""Options of the commands that look at a generator, for an image that is a measurement."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_convgen.cli.commands.reconstruct import BLUR_SETTINGS, SIZE_SETTINGS
from napari_convgen.cli.options import add_settings
from napari_convgen.files.images import read_image
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
    add_settings(parser, BLUR_SETTINGS | SIZE_SETTINGS)


_PROBLEM = (
    "problem of reconstruct that the image is the measurement of: inpaint, deblur or enlarge; the generator is then looked at through what "
    "is measured of its image (default: the image itself)"
)


def read_problem(options: argparse.Namespace) -> dict[str, Any]:
    """Return the problem and its inputs by keyword."""
    mask = None if options.mask is None else read_image(options.mask).data
    psf = None if options.psf is None else read_image(options.psf).image
    settings = {name: getattr(options, name) for name in (BLUR_SETTINGS | SIZE_SETTINGS).values()}
    return {"problem": options.problem, "is_missing": mask, "psf": psf, **settings}


def like_generated(measurement: ImageFile, look: Look) -> ImageFile:
    """Return an image file like the measurement's, with the pixels of the generator's images."""
    if look.image_shape == measurement.data.shape:
        return measurement
    ratios = dict(zip(look.prepared.layout.spatial, look.pixel_ratio, strict=True))
    return resampled(measurement, look.image_shape, np.float32, ratios)
