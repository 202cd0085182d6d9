"""Options and files of k-space, which only the problem ``sense`` has."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.cli.options import add_settings
from napari_convgen.core.image import Image
from napari_convgen.errors import ConfigError, FileError
from napari_convgen.files import bart
from napari_convgen.files.atomic import check_writable
from napari_convgen.files.formats import other_parts
from napari_convgen.files.images import check_image, new_image, read_image, write_image
from napari_convgen.files.kspace.reading import KSpaceFile, read_kspace

if TYPE_CHECKING:
    from napari_convgen.files.image_file import ImageFile
    from napari_convgen.run.reconstruct.result import ReconstructResult

SETTINGS = {"--calibration": "n_calibration"}
"""Settings of k-space, by the option for each."""


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add what is read beside k-space."""
    add = parser.add_argument
    add("--slice", type=int, metavar="N", help=_SLICE)
    add("--coil-maps", type=Path, metavar="FILE", help=_COIL_MAPS)
    add("--sampling", type=Path, metavar="FILE", help=_SAMPLING)
    add_settings(parser, SETTINGS)


_SLICE = "number of the slice to reconstruct, for sense, from 0 (default: the middle one)"
_COIL_MAPS = (
    "file of the coil sensitivities in the shape of k-space, for sense (default: estimated from the calibration lines)"
)
_SAMPLING = "image file that is not 0 where k-space was sampled, for sense: a pixel a point, or one row or column (default: from k-space)"


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add what is written beside the magnitude."""
    add = parser.add_argument
    add(
        "--phase",
        type=Path,
        metavar="FILE",
        help="image file to write, of the phase in radians, for sense (default: none)",
    )
    add_coil_maps_output(parser)


def add_coil_maps_output(parser: argparse.ArgumentParser) -> None:
    """Add the file of the coil sensitivities."""
    about = ".cfl to write, of the coil sensitivities, for sense (default: none)"
    parser.add_argument("--write-coil-maps", type=Path, metavar="FILE", help=about)


def check_problem(options: argparse.Namespace) -> None:
    """Refuse options of k-space for another problem, and those of images for k-space.

    Parameters
    ----------
    options
        Options of the command.

    Raises
    ------
    ConfigError
        There is one.
    """
    if options.problem == "sense":
        if options.series:
            raise ConfigError("--series is for files of images. Use --slice for k-space of several slices.")
        return
    for name in ("slice", "coil_maps", "sampling", "phase", "write_coil_maps"):
        if getattr(options, name, None) is not None:
            raise ConfigError(f"--{name.replace('_', '-')} is for the problem 'sense'. Leave it out.")


def read_beside(options: argparse.Namespace, scan: KSpaceFile) -> dict[str, Any]:
    """Read what a reconstruction takes beside k-space, by keyword: the sensitivities of the coils, and the mask of the sampled points.

    Sensitivities are those of the slice, or the only ones of their file; the mask is the file's own if none is given.
    """
    mask = scan.is_sampled if options.sampling is None else np.asarray(read_image(options.sampling).data)
    path = options.coil_maps
    if path is None:
        return {"coil_maps": None, "is_sampled": mask}
    maps = read_kspace(path, 0)
    if maps.n_slices not in (1, scan.n_slices):
        raise FileError(
            f"{path} has coil sensitivities of {maps.n_slices} slices, and k-space has {scan.n_slices}. Give as many, or those of one."
        )
    if maps.n_slices > 1:
        maps = read_kspace(path, scan.slice_number)
    return {"coil_maps": maps.kspace, "is_sampled": mask}


def check_complex(path: Path) -> None:
    """Refuse a path to which `write_complex` could not write."""
    check_writable(path, bart.FORMAT.suffixes)
    for part in other_parts(path):
        check_writable(part, (part.suffix,))


def write_complex(path: Path, values: NDArray[np.complex64]) -> None:
    """Write an array of coils, rows and columns."""
    write_image(path, values, new_image(Image(values, "CYX")))


class KSpaceOutputs:
    """The files beside the magnitude.

    Parameters
    ----------
    options
        Options with the files to write.
    like
        Image of the scan, whose metadata they get.
    """

    def __init__(self, options: argparse.Namespace, like: ImageFile) -> None:
        self.paths = {"--phase": options.phase, "--write-coil-maps": options.write_coil_maps}
        self._phase, self._maps, self._like = options.phase, options.write_coil_maps, like

    def check(self) -> None:
        """Refuse files that could not be written."""
        if self._phase:
            check_image(self._phase, self._like)
        if self._maps:
            check_complex(self._maps)

    def write(self, result: ReconstructResult) -> None:
        """Write the phase, from -π to π, and the coil sensitivities."""
        if self._phase:
            write_image(self._phase, np.angle(result.image).astype(np.float32), self._like)
        if self._maps:
            write_complex(self._maps, result.extras["coil_maps"])
