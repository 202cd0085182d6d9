"""An image as both doors, the layers of a window and the files, hand it over."""

from __future__ import annotations

from dataclasses import dataclass

from napari_convgen.core.image.check import ArrayLike


@dataclass(frozen=True, eq=False)
class Image:
    """An array with the meaning of its axes.

    Attributes
    ----------
    data
        Values: an array, or a lazy array that is computed frame by frame.
    axes
        One letter for each axis, see `napari_convgen.core.image.Layout`; ``None``, the default, to guess them.
    scale
        Distance between neighboring values along each axis, in ``units``; 1 along axes that have no distance. ``None``, the default, if
        it is not known.
    units
        Unit along each axis, such as ``"micrometer"``; ``None``, the default, if it is not known.
    name
        Name for titles and messages; default ``"image"``.
    """

    data: ArrayLike
    axes: str | None = None
    scale: tuple[float, ...] | None = None
    units: tuple[str, ...] | None = None
    name: str = "image"
