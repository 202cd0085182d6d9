"""Where an image lies and how it looks, as plain values that a file keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import AVAILABLE_COLORMAPS

from napari_convgen.core.image import ArrayLike
from napari_convgen.viewer.layers.door import LayerInput, read_layer

ENUMS = ("interpolation2d", "interpolation3d", "rendering", "blending")


def keep_place(source: LayerInput) -> dict[str, Any]:
    """Return where an image lies and how it looks, as plain values."""
    look = source.look
    return {
        "name": source.name,
        "axes": source.axes,
        "path": source.path,
        "scale": np.asarray(source.transform.scale).tolist(),
        "translate": np.asarray(source.transform.translate).tolist(),
        "rotate": np.asarray(source.transform.rotate).tolist(),
        "shear": np.asarray(source.transform.shear).tolist(),
        "affine": np.asarray(source.affine.affine_matrix).tolist(),
        "units": [str(unit) for unit in source.units],
        "axis_labels": list(source.axis_labels),
        "look": {
            "rgb": bool(look["rgb"]),
            "gamma": float(look["gamma"]),
            "colormap": look["colormap"].name,
            **{name: str(look[name]) for name in ENUMS},
            **({"contrast_limits": list(map(float, look["contrast_limits"]))} if "contrast_limits" in look else {}),
        },
    }


def layer_at(kept: Mapping[str, Any], data: ArrayLike) -> Image:
    """Make the layer of an image from what `keep_place` returned; a colormap that napari does not know becomes gray."""
    look = dict(kept["look"])
    if look["colormap"] not in AVAILABLE_COLORMAPS:
        look["colormap"] = "gray"
    place = {name: kept[name] for name in ("name", "scale", "translate", "rotate", "shear", "affine")}
    return Image(data, multiscale=False, units=kept["units"], axis_labels=kept["axis_labels"], **place, **look)


def source_at(kept: Mapping[str, Any], data: ArrayLike) -> LayerInput:
    """Return what a run takes from such a layer."""
    return read_layer(layer_at(kept, data), kept["axes"])
