"""The pixel size of an input that is corrected after a run: what the run has shown still lies on it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from napari.utils.transforms import CompositeAffine
from numpy.typing import NDArray

from napari_convgen.viewer.layers.door import LayerInput, place_of
from napari_convgen.viewer.layers.own_layers import OwnLayers

if TYPE_CHECKING:
    from napari.components import ViewerModel


class LayersOnInput(OwnLayers):
    """Layers of a run that get the scale and the units that the layer of its input gets later.

    A layer that the user has given another scale keeps it. Nothing follows where the input is moved or turned: that may be meant to show
    both side by side.

    Parameters
    ----------
    viewer
        Viewer that the layers are added to.
    source
        Image that the run takes, as it lies when the run begins.

    Attributes
    ----------
    source
        The same image as it lies now.
    """

    def __init__(self, viewer: ViewerModel, source: LayerInput) -> None:
        super().__init__(viewer)
        self.source = source
        self._scales: dict[Image, Any] = {}  # of the layers, as they were set last without the user
        layer = source.origin()
        if layer is not None:
            self._old = place_of(layer)
            for event in (layer.events.scale, layer.events.units):
                event.connect(self._follow)

    def add(self, layer: Image) -> Image:
        """Add a layer to the viewer, whose last axes are those of the input, and return it."""
        self._scales[layer] = layer.scale
        return super().add(layer)

    def _follow(self, event: Any) -> None:
        origin, old = event.source, self._old
        new = CompositeAffine(
            scale=origin.scale, translate=old.translate, rotate=old.rotate, shear=old.shear, ndim=old.ndim
        )
        self._old = new
        scale, translate = _moved(self.source.transform, old, new)
        own = self.source.transform
        transform = CompositeAffine(scale=scale, translate=translate, rotate=own.rotate, shear=own.shear, ndim=own.ndim)
        self.source = replace(self.source, transform=transform, units=tuple(origin.units))
        for layer, given in self._scales.items():
            if not (self.owns(layer) and np.array_equal(layer.scale, given)):
                continue
            scale, translate = _moved(layer, old, new)
            layer.units = (*layer.units[: layer.ndim - origin.ndim], *origin.units)
            layer.scale, layer.translate = scale, translate
            self._scales[layer] = layer.scale


def _moved(part: Any, old: CompositeAffine, new: CompositeAffine) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scale and translation of what lies on an input, after the input has got another place; other axes stay as they are."""
    n_other = len(part.scale) - old.ndim
    first, step = old.inverse(part.translate[n_other:]), part.scale[n_other:] / old.scale
    return (
        np.concatenate([part.scale[:n_other], new.scale * step]),
        np.concatenate([part.translate[:n_other], new(first)]),
    )
