"""Images of a phase as a layer, and the place of the phase that is found from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from napari.layers import Image, Layer

from napari_convgen.errors import InputError, mismatch
from napari_convgen.viewer.layers.door import LayerInput, finest_level, read_layer


def read_stack(layer: Layer | None, counted: str = "plane") -> tuple[LayerInput, LayerInput]:
    """Return a stack of images, and the place of an image of its rows and columns.

    Parameters
    ----------
    layer
        Layer of the stack: planes through focus or images under several lights, rows, columns.
    counted
        Label of the first axis in layers like that of the stack: ``"plane"``, the default, or ``"light"``.

    Raises
    ------
    InputError
        No layer, or one with other axes.
    """
    source = read_layer(layer, "ZYX")
    assert isinstance(layer, Image)
    shape = finest_level(layer).shape
    if layer.rgb or len(shape) != 3:
        raise InputError(
            mismatch(
                "The phase needs a layer with a stack of images",
                expected="3 axes: planes through focus or lights, rows, columns",
                got=f"{len(shape)} axes of {tuple(shape)} pixels",
                advice="Choose another layer, or stack the images (Layer → Merge to Stack).",
            )
        )
    plane = Image(np.zeros(shape[1:], np.float32), name=source.name, units=source.units[1:], axis_labels=("y", "x"))
    place = read_layer(plane, "YX")
    look = {name: value for name, value in place.look.items() if name != "contrast_limits"}
    transform, affine = source.transform.set_slice([1, 2]), source.affine.set_slice([1, 2])
    return (
        replace(source, axis_labels=(counted, "y", "x")),
        replace(place, transform=transform, affine=affine, look=look),
    )
