"""The file formats, found by the ending of a name. A new format is a module like the others and a line in `FORMATS`."""

from __future__ import annotations

from pathlib import Path

from napari_convgen.errors import FileError
from napari_convgen.files import bart, bmp, dicom, hdf5, jpeg, mrc, nifti, ome_zarr, png, tiff
from napari_convgen.files.image_file import Format, ImageFile, WritableFormat

FORMATS: tuple[Format, ...] = (
    tiff.FORMAT,
    png.FORMAT,
    jpeg.FORMAT,
    bmp.FORMAT,
    nifti.FORMAT,
    ome_zarr.FORMAT,
    bart.FORMAT,
    mrc.FORMAT,
    hdf5.FORMAT,
    dicom.FORMAT,
)
"""All formats, in the order in which messages name them."""


def find_format(path: Path) -> Format:
    """Return the format of a file, or of a folder that holds an image.

    Raises
    ------
    FileError
        No format has this ending.
    """
    for each in FORMATS:
        if path.name.lower().endswith(each.suffixes):
            return each
    for each in FORMATS:
        if each.claims(path):
            return each
    known = [suffix for each in FORMATS for suffix in each.suffixes]
    raise FileError(f"{path} is of no known format: it must end in {', '.join(known[:-1])} or {known[-1]}.")


def find_writable_format(path: Path) -> WritableFormat:
    """Return the format of a file that is to be written.

    Raises
    ------
    FileError
        No format that can be written has this ending.
    """
    writable = [each for each in FORMATS if isinstance(each, WritableFormat)]
    for each in writable:
        if path.name.lower().endswith(each.suffixes):
            return each
    raise FileError(f"{path} must end in {' or '.join(suffix for each in writable for suffix in each.suffixes)}.")


def other_parts(path: Path) -> tuple[Path, ...]:
    """Return the other files in which the image of a file is; none for a file that is no image."""
    return next((each.parts(path) for each in FORMATS if path.name.lower().endswith(each.suffixes)), ())


def split_place(path: Path) -> tuple[Path, str]:
    """Return the file or folder that a path leads to, and the place of the image in it; empty if the image is all of it."""
    splits = (each.split(path) for each in FORMATS)
    return next((split for split in splits if split[1]), (path, ""))


def stem_of(path: Path) -> str:
    """Return the name of an image file without its ending, which may have several dots; with the place of an image in it, if it has one."""
    file, place = split_place(path)
    endings = [ending for each in FORMATS for ending in each.suffixes if file.name.lower().endswith(ending)]
    stem = file.name[: -len(max(endings, key=len))] if endings else file.stem
    return "_".join([stem, *filter(None, place.split("/"))])


def suffix_like(path: Path, like: ImageFile) -> str:
    """Return the ending for images that are written like the one read from ``path``: in its format if that can hold them, else TIFF.

    Parameters
    ----------
    path
        File that was read.
    like
        Image with the shape, type and axes of those to be written.
    """
    own = find_format(path)
    if not isinstance(own, WritableFormat):
        return tiff.FORMAT.suffixes[0]
    try:
        own.check(path.with_name(f"image{own.suffixes[0]}"), like)
    except FileError:
        return tiff.FORMAT.suffixes[0]
    return own.suffixes[0]
