"""Reading of TIFF files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_convgen.core.image import ArrayLike, Layout
from napari_convgen.errors import FileError
from napari_convgen.files.image_file import Calibration, ImageFile, Tags
from napari_convgen.files.orientation import TAG, exif_of, read_orientation, tiff_tags_of
from napari_convgen.files.series import choose_series
from napari_convgen.files.tiff.calibration import imagej_calibration, ome_calibration
from napari_convgen.files.tiff.codecs import help_to_decode, read_old_jpeg
from napari_convgen.files.tiff.colors import (
    LUMINANCE,
    PHOTOMETRIC,
    from_inks,
    from_luminance,
    is_scale,
    look_up,
    refuse_unread,
)
from napari_convgen.files.tiff.gray_values import in_gray_values
from napari_convgen.files.tiff.pages import PagedValues, can_read
from napari_convgen.files.tiff.renamed import with_axes
from napari_convgen.files.tiff.tags import format_tags, is_ome, layout_letters, page_tags

ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)


def read(path: Path, axes: str | None, series: int) -> ImageFile:
    """Read an image of a TIFF file.

    Parameters
    ----------
    path
        Plain, multi-page, ImageJ, OME or BigTIFF file.
    axes
        Letters that replace those of the file; ``None`` to keep them.
    series
        Number of the image among those of the file, from 0.

    Raises
    ------
    InputError
        ``axes`` do not fit the image.
    FileError
        The file has no such image, planes of it are missing, or it has colors that are not read.
    """
    with tifffile.TiffFile(path) as file:
        notes = choose_series(path, [_describe(each) for each in file.series], series)
        chosen = file.series[series]
        page = chosen.keyframe
        refuse_unread(path, page)
        _prepare_pages(path, chosen)
        data, own_axes, tags, note = _right_colors(path, chosen)
        if chosen.is_multifile:
            n_files = len({each.parent for each in chosen.pages if each is not None})
            note = (
                *note,
                f"The image of {path} is in {n_files} files. All are read; a batch needs only one of them as an input.",
            )
        data = in_gray_values(data, (file.imagej_metadata or {}) if chosen.kind == "imagej" else {})
        own_letters = layout_letters(own_axes, data.shape, tags["photometric"] == "rgb")
        letters = own_letters if axes is None else Layout.of(data.shape, axes).axes
        tags |= format_tags(file, series, data, own_axes, axes and letters)
        if is_ome(tags) and letters != own_letters:
            renamed = with_axes(tags, data.shape, letters) if ("S" in letters) == ("S" in own_letters) else None
            if renamed is None:
                note = (
                    *note,
                    f"An OME-TIFF file has no place for the axes {letters}: a TIFF output says {own_axes}, as {path} does.",
                )
            tags = tags if renamed is None else dict(renamed)
        orientation = read_orientation(page.tags.valueof(TAG))
        tags |= tiff_tags_of(orientation)
    dots = {2: 1.0, 3: 2.54}.get(tags.get("resolutionunit", 1))  # an inch, a centimeter
    dpi = tuple(dots * n / d for n, d in tags["resolution"]) if dots else None
    png = {"dpi": dpi, "icc_profile": tags["iccprofile"]} | exif_of(orientation)
    return ImageFile(data, letters, tags, png, (*notes, *note), _calibration(tags, letters), orientation)


def read_pixel_size(path: Path, axes: str) -> Calibration | None:
    """Return the distances between pixels along some axes, without reading these; ``None`` if the file does not store them."""
    with tifffile.TiffFile(path) as file:
        if file.is_ome:
            return ome_calibration((file.ome_metadata or "").encode(), axes)
        tags = file.pages.first.tags
        resolution = tags.valueof("XResolution"), tags.valueof("YResolution")
        described = file.imagej_metadata or (file.shaped_metadata or ({},))[0]
        return imagej_calibration(None if None in resolution else resolution, described, axes)


def _describe(series: tifffile.TiffPageSeries) -> str:
    name = f"'{series.name}' " if series.name and series.kind == "ome" else ""
    return f"{name}{' × '.join(map(str, series.shape))} {series.dtype} {series.axes}"


def _prepare_pages(path: Path, series: tifffile.TiffPageSeries) -> None:
    """Check that all pages of an image are there, and let them be decoded.

    Raises
    ------
    FileError
        Pages are missing, or the image has no pixels.
    """
    if 0 in series.shape:
        raise FileError(f"{path} holds an image without pixels. Name another file.")
    if series.dataoffset is not None:
        return  # all values are there, one after the other: to read the descriptions of many pages takes long
    n_missing = sum(page is None for page in series.pages)
    if n_missing:
        raise FileError(
            f"{path} lacks {n_missing} of the {len(series.pages)} planes of its image: they are in other files, which are not there. "
            "Put the files of the image into one folder."
        )
    for page in series.pages:
        if isinstance(page, tifffile.TiffPage):
            help_to_decode(page)


def _values(path: Path, series: tifffile.TiffPageSeries) -> NDArray[Any]:
    """Return the values of an image as the file stores them."""
    is_old_jpeg = series.keyframe.compression == tifffile.COMPRESSION.OJPEG
    values: NDArray[Any] = read_old_jpeg(path, series) if is_old_jpeg else series.asarray()
    return values


def _right_colors(
    path: Path, series: tifffile.TiffPageSeries
) -> tuple[ArrayLike, str, dict[str, Any], tuple[str, ...]]:
    """Return an image in gray or in red, green and blue, with its axes, its tags and sentences for the user.

    Only an image whose values are taken as they are stored is read as it is needed, if it is large.
    """
    page, axes = series.keyframe, series.axes
    is_jpeg = page.compression in tifffile.TIFF.IMAGE_COMPRESSIONS  # their decoders convert to red, green and blue
    if page.photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
        return _indexed(path, _values(path, series), series)
    if page.photometric == PHOTOMETRIC.SEPARATED:
        note = f"{path} has colors of inks (CMYK); they are read as red, green and blue, and written so."
        tags = page_tags(page, axes, is_color=True) | {"extrasamples": None, "iccprofile": None}
        return from_inks(_values(path, series), axes.index("S")), axes, tags, (note,)
    if page.photometric == PHOTOMETRIC.YCBCR and not is_jpeg:
        tags = page_tags(page, axes, is_color=True)
        return from_luminance(_values(path, series), axes.index("S"), *_luminance_tags(page)), axes, tags, ()
    if page.samplesperpixel == 2 and page.extrasamples and page.extrasamples[0] in ALPHA and "S" in axes:
        return _without_alpha(path, _values(path, series), series)
    is_color = page.photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
    data = PagedValues(path, series) if can_read(series) else _values(path, series)
    return data, axes, page_tags(page, axes, is_color=is_color), ()


def _indexed(
    path: Path, data: NDArray[Any], series: tifffile.TiffPageSeries
) -> tuple[NDArray[Any], str, dict[str, Any], tuple[str, ...]]:
    """Return the colors of an image that stores numbers of colors, or the numbers if the map only shows these in color."""
    page, axes = series.keyframe, series.axes
    colormap = np.asarray(page.colormap)
    others = [np.asarray(each.colormap) for each in series.pages if isinstance(each, tifffile.TiffPage)]
    maps = others if len(others) == len(series.pages) else [colormap]
    tags = page_tags(page, axes, is_color=False)
    has_one_map = all(np.array_equal(each, maps[0]) for each in maps)
    if has_one_map and is_scale(colormap, is_for_display=series.kind in ("imagej", "ome")):
        if colormap.shape[1] != 2 ** (8 * data.dtype.itemsize) or data.dtype.kind != "u":  # of less than 8 bits
            tags = {name: tag for name, tag in tags.items() if name != "colormap"} | {"photometric": "minisblack"}
        return data, axes, tags, ()
    if has_one_map:
        colors = look_up(data, colormap)
    else:
        planes = data.reshape(len(maps), -1, *data.shape[-2:])
        looked_up = [look_up(plane, colormap) for plane, colormap in zip(planes, maps, strict=True)]
        deepest = max(each.ndim for each in looked_up)
        looked_up = [each if each.ndim == deepest else np.repeat(each[..., None], 3, -1) for each in looked_up]
        colors = np.stack(looked_up).reshape(*data.shape, *(3,) * (deepest > planes[0].ndim))
    is_color = colors.ndim > data.ndim
    tags = page_tags(page, axes + "S" * is_color, is_color=is_color)
    kept = {name: tag for name, tag in tags.items() if name != "colormap"}
    kept |= {"photometric": "rgb" if is_color else "minisblack"}
    note = (
        f"{path} has indexed colors; they are read as {'red, green and blue' if is_color else 'gray'}, and written so."
    )
    return colors, axes + "S" * is_color, kept, (note,)


def _luminance_tags(page: tifffile.TiffPage) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """Return what a page says of its luminance and chrominance: shares of the colors, and numbers of black and of white."""
    shares, ends = page.tags.valueof("YCbCrCoefficients"), page.tags.valueof("ReferenceBlackWhite")
    pairs = [None if each is None else np.reshape(each, (-1, 2)) for each in (shares, ends)]
    coefficients, black_and_white = (None if each is None else tuple(each[:, 0] / each[:, 1]) for each in pairs)
    return coefficients or LUMINANCE, black_and_white


def _without_alpha(
    path: Path, data: NDArray[Any], series: tifffile.TiffPageSeries
) -> tuple[NDArray[Any], str, dict[str, Any], tuple[str, ...]]:
    """Return the gray values of an image with transparency that is nowhere used.

    Raises
    ------
    FileError
        The image is transparent somewhere.
    """
    samples = series.axes.index("S")
    gray, alpha = np.moveaxis(data, samples, 0)
    if (alpha != alpha.flat[0]).any():
        raise FileError(f"{path} is gray with transparency. Remove its alpha channel, or save it as RGBA.")
    axes = series.axes.replace("S", "")
    return np.ascontiguousarray(gray), axes, page_tags(series.keyframe, axes, is_color=False), ()


def _calibration(tags: Tags, axes: str) -> Calibration | None:
    """Return the distances between values; ``None`` if neither ImageJ, OME nor we stored them, or their description is damaged."""
    described = tags.get("metadata") or {}
    try:
        if tags.get("imagej") or {"unit", "finterval"} & set(described):
            return imagej_calibration(tags.get("resolution"), described, axes)
        return ome_calibration(tags["description"], axes) if is_ome(tags) else None
    except (ValueError, ZeroDivisionError, ElementTree.ParseError):
        return None
