"""The one frame of a layer that is on screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.transforms import CompositeAffine
from numpy.typing import NDArray

from napari_convgen.core.image import ArrayLike
from napari_convgen.errors import InputError
from napari_convgen.viewer.layers.door import finest_level, guess_axes
from napari_convgen.viewer.layers.kspace import refuse_kspace

NOT_INHERITED = ("name", "metadata", "multiscale", "locked_data_level", "visible", "translate")
"""Properties of a layer that a layer made from its frame does not take over."""


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """Rows and columns of a layer, at the place where the sliders are.

    Attributes
    ----------
    data
        Pixels of the whole layer, lazy if they are; the finest level of a multiscale one.
    index
        Index of the frame in the data.
    look
        Placement and looks of the layer, as arguments of an image layer.
    translate
        Position of the frame's first pixel, where the layer's own transform puts it.
    """

    data: ArrayLike
    index: tuple[int | slice, ...]
    look: Mapping[str, Any]
    translate: NDArray[np.float64]

    def read(self) -> NDArray[Any]:
        """Return the frame; of a lazy array it is computed now."""
        return np.asarray(self.data[self.index])

    @property
    def place(self) -> str:
        """Say which frame it is; nothing for a single one."""
        places = [f"{i + 1} of {n}" for i, n in zip(self.index, self.data.shape, strict=True) if isinstance(i, int)]
        return f"the shown frame only ({', '.join(places)})" if places else ""

    def expand(self, image: NDArray[Any]) -> NDArray[Any]:
        """Give an image of the frame's shape the axes of the layer."""
        axes = [axis for axis, i in enumerate(self.index) if isinstance(i, int)]
        return np.expand_dims(image, axes)

    def layer(self, image: NDArray[Any], name: str) -> Image:
        """Make a layer that lies where the frame lies, and looks as its layer."""
        return Image(self.expand(image), name=name, multiscale=False, translate=self.translate, **self.look)


def shown_frame(layer: Image, point: Sequence[float]) -> ShownFrame:
    """Take the frame of a layer that is on screen.

    Parameters
    ----------
    layer
        Image layer.
    point
        Position of the viewer's sliders, in world coordinates.

    Raises
    ------
    InputError
        A color image, or k-space.
    """
    refuse_kspace(layer)
    if layer.rgb:
        raise InputError(
            f"'{layer.name}' is a color image, and the filter has one channel. Split it: right-click the layer, 'Split RGB'."
        )
    data = finest_level(layer)
    position = np.round(layer.world_to_data(list(point)[-layer.ndim :])).astype(int)
    index = tuple(
        slice(None) if letter in "YX" else int(np.clip(i, 0, n - 1))
        for letter, i, n in zip(guess_axes(layer), position, data.shape, strict=True)
    )
    transform = CompositeAffine(
        scale=layer.scale, translate=layer.translate, rotate=layer.rotate, shear=layer.shear, ndim=layer.ndim
    )
    first = [0 if isinstance(i, slice) else i for i in index]
    look = {name: value for name, value in layer.as_layer_data_tuple()[1].items() if name not in NOT_INHERITED}
    return ShownFrame(data, index, look, np.asarray(transform(first)))
