"""The layers of one comparison: the image of each method, and what it took away, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_convgen.viewer.compare.request import DoneMethod
from napari_convgen.viewer.layers.door import (
    LayerInput,
    image_layer,
    put_report,
    residual_layer,
    show_name,
    visible,
)
from napari_convgen.viewer.layers.following import LayersOnInput
from napari_convgen.viewer.layers.grid import SideBySide

if TYPE_CHECKING:
    from napari.components import ViewerModel


class ComparisonLayers:
    """Shows methods in layers as they end, and takes back what a cancelled comparison has shown.

    Parameters
    ----------
    viewer
        Viewer that the layers are added to, and shown side by side.
    source
        Image that is denoised.
    titles
        Titles of the methods by their names.

    Attributes
    ----------
    images
        Layer of each method's image, by the method's name.
    residuals
        Layer of what each method took away, if that is wanted, by the method's name.
    """

    def __init__(self, viewer: ViewerModel, source: LayerInput, titles: Mapping[str, str]) -> None:
        self.viewer = viewer
        self.titles = titles
        self.images: dict[str, Image] = {}
        self.residuals: dict[str, Image] = {}
        self._own = LayersOnInput(viewer, source)
        self._side_by_side = SideBySide(viewer)

    @property
    def source(self) -> LayerInput:
        """The image, as it lies now."""
        return self._own.source

    def owns(self, layer: Any) -> bool:
        """Return True for a layer of the run with the data that the run gave it."""
        return self._own.owns(layer)

    def show(self, done: DoneMethod) -> None:
        """Show a method that has ended; its PSNR stands in the name of its layer if there is a reference."""
        method, scores = done.outcome.method, done.outcome.scores
        title = self.titles[method]
        scored = title if scores is None else f"{title} {scores.psnr:.1f} dB"
        self.images[method] = image_layer(
            visible(self.source, done.image), done.image, f"{scored} · {self.source.name}"
        )
        self._add(self.images[method])
        if done.residual is not None:
            name = f"{title} residual · {self.source.name}"
            self.residuals[method] = residual_layer(self.source, done.residual, name)
            self._add(self.residuals[method])
        self._side_by_side.show()

    def add_report(self, report: Mapping[str, Any]) -> None:
        """Put the report of the comparison into each layer's metadata."""
        for layer in (*self.images.values(), *self.residuals.values()):
            put_report(layer, report)

    def undo(self) -> None:
        """Remove the layers, but those whose data the user has replaced, and show the others as they were shown before."""
        self._side_by_side.undo()
        for layer in (*self.images.values(), *self.residuals.values()):
            self._own.remove(layer)
        self.images, self.residuals = {}, {}

    def _add(self, layer: Image) -> None:
        layer.visible = True
        show_name(layer)
        self._own.add(layer)
