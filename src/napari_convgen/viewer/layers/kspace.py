"""K-space as a layer: what it shows, and the scan that it stands for, since napari shows no complex numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_convgen.errors import InputError
from napari_convgen.files.kspace.reading import KSpaceFile
from napari_convgen.viewer.layers.door import LayerInput, read_layer

KEY = "napari-convgen k-space"
"""Key of a layer's metadata under which its scan is found."""


@dataclass(frozen=True, eq=False)
class OpenScan:
    """The slice of a scan that a layer shows.

    Attributes
    ----------
    file
        K-space of the slice.
    path
        File of the scan; ``None``, the default, if it is from none.
    """

    file: KSpaceFile
    path: Path | None = None


def scan_of(layer: Layer | None) -> OpenScan | None:
    """Return the scan that a layer shows; ``None`` if it shows none."""
    scan = None if layer is None else layer.metadata.get(KEY)
    return scan if isinstance(scan, OpenScan) else None


def images_among(layers: Iterable[Layer]) -> list[Image]:
    """Return the image layers among layers, without those that show k-space."""
    return [layer for layer in layers if isinstance(layer, Image) and scan_of(layer) is None]


def refuse_kspace(layer: Layer) -> None:
    """Refuse a layer that shows k-space, where an image is needed.

    Raises
    ------
    InputError
        The layer shows k-space.
    """
    if scan_of(layer) is not None:
        raise InputError(
            f"'{layer.name}' shows k-space, from which an image is yet to be made. Open the widget 'Reconstruct', choose the problem "
            "'MRI scan' and press Run."
        )


def kspace_layer(scan: OpenScan, name: str) -> tuple[Any, dict[str, Any], str]:
    """Return the layer of a scan: the decimal logarithm of the magnitude of each coil's k-space, without what was not sampled."""
    shown, look, kind = logarithm_layer(scan.file.kspace, name)
    return shown, {**look, "metadata": {KEY: scan}}, kind


def logarithm_layer(values: NDArray[Any], name: str) -> tuple[Any, dict[str, Any], str]:
    """Return a layer of the decimal logarithm of the magnitude of values over k-space, coils first; NaN where they are 0 or missing."""
    magnitude = np.abs(values)
    shown = np.log10(magnitude, out=np.full(magnitude.shape, np.nan, magnitude.dtype), where=magnitude > 0)
    limits = tuple(float(each) for each in np.nanpercentile(shown, (1, 100)))
    return shown, {"name": name, "axis_labels": ("coil", "ky", "kx"), "contrast_limits": limits}, "image"


def image_source(scan: OpenScan, name: str) -> LayerInput:
    """Return the place of the image of a scan, with the distance between its pixels; contrast limits are those of what is shown."""
    like = scan.file.like
    sizes, units = ((1.0, 1.0), ("pixel", "pixel")) if like.calibration is None else like.calibration
    layer = Image(np.asarray(like.data), name=name, scale=sizes, units=units, axis_labels=("y", "x"))
    source = read_layer(layer, "YX")
    return replace(source, look={key: value for key, value in source.look.items() if key != "contrast_limits"})
