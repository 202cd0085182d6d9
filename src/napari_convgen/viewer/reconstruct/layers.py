"""The layers of one reconstruction: its result and, if they are wanted, the images beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_convgen.viewer.layers.counted import NewAxes, snapshots_layer
from napari_convgen.viewer.layers.door import (
    LayerInput,
    image_layer,
    put_report,
    residual_layer,
    visible,
)
from napari_convgen.viewer.layers.following import LayersOnInput
from napari_convgen.viewer.layers.kspace import logarithm_layer
from napari_convgen.viewer.reconstruct.problems import PROBLEMS
from napari_convgen.viewer.reconstruct.request import Details, ReconstructRequest

if TYPE_CHECKING:
    from napari.components import ViewerModel


class ReconstructionLayers:
    """Shows a reconstruction in layers, and takes back what a cancelled one has shown.

    Parameters
    ----------
    viewer
        Viewer that the layers are added to.
    request
        What is asked of the reconstruction.

    Attributes
    ----------
    result
        Layer of the generator's image during the fit, and of the reconstruction afterwards; ``None`` before it is made.
    """

    def __init__(self, viewer: ViewerModel, request: ReconstructRequest) -> None:
        self.viewer = viewer
        measurement = request.measured.measurement
        self._measured = measurement if isinstance(measurement, LayerInput) else request.source
        self.result: Image | None = None
        self._name = f"{request.source.name} {PROBLEMS[request.measured.problem].result}"
        self._baseline = PROBLEMS[request.measured.problem].baseline
        self._limits: tuple[float, ...] = ()  # of the result, as they were set last without the user
        self._own = LayersOnInput(viewer, request.source)

    @property
    def source(self) -> LayerInput:
        """The image, as it lies now."""
        return self._own.source

    def owns(self, layer: Any) -> bool:
        """Return True for a layer of the run with the data that the run gave it."""
        return self._own.owns(layer)

    def show_preview(self, image: NDArray[Any]) -> None:
        """Show the generator's image in the layer that will hold the result; if the user has removed it, it stays away."""
        if self.result is None:
            self.result = self._own.add(image_layer(on_image_grid(self.source, image), image, self._name))
            self._limits = tuple(self.result.contrast_limits)
        elif self._own.has(self.result):
            self._own.put(self.result, image)
            self._follow_range(self.result)

    def show(self, details: Details, report: Mapping[str, Any], step: int) -> None:
        """Show a result, and what is wanted beside it, hidden at first, as it would cover the result.

        Parameters
        ----------
        details
            What is shown.
        report
            Report of the run, for the layers' metadata.
        step
            Step that is kept, which the slider of the snapshots points to.
        """
        layers = [self._show_result(details.image), *map(self._own.add, self._layers_beside(details))]
        for layer in layers:
            put_report(layer, report)
        if details.snapshots:
            self.viewer.dims.set_point(self.viewer.dims.ndim - layers[-1].ndim, step)

    def undo(self) -> None:
        """Remove the preview, unless the user has replaced its data."""
        self._own.remove(self.result)
        self.result = None

    def _show_result(self, image: NDArray[Any]) -> Image:
        if self.result is None or not self._own.has(self.result):
            self.result = self._own.add(self._layer(image, self._name))
        else:
            self._own.put(self.result, image)
            self._follow_range(self.result)
        return self.result

    def _follow_range(self, layer: Image) -> None:
        """Show all values of a layer that has not the limits of the input, unless the user has set others."""
        if "contrast_limits" not in self.source.look and tuple(layer.contrast_limits) == self._limits:
            layer.reset_contrast_limits()
            self._limits = tuple(layer.contrast_limits)

    def _layers_beside(self, details: Details) -> list[Image]:
        """Return the layers that are wanted beside the result, the snapshots last."""
        name = self.source.name
        images = {"generator": details.generator_image, self._baseline: details.baseline}
        layers = [self._layer(image, f"{name} {what}") for what, image in images.items() if image is not None]
        if details.phase is not None:
            look = {"colormap": "twilight", "contrast_limits": (-np.pi, np.pi)}
            layers.append(image_layer(self.source, details.phase, f"{name} phase", **look))
        if details.coil_maps is not None:
            axis = NewAxes.next_to(self.viewer, len(self.source.units), "coil")
            layers.append(image_layer(axis.place(self.source), details.coil_maps, f"{name} coil maps"))
        if details.residual is not None and np.iscomplexobj(details.residual):
            shown, look, _ = logarithm_layer(details.residual, f"{name} residual")
            layers.append(Image(shown, **look))
        elif details.residual is not None:
            layers.append(residual_layer(self._measured, details.residual, f"{name} residual"))
        if details.snapshots:
            last = details.snapshots[-1].image
            source = visible(on_image_grid(self.source, last), last)
            layers.append(snapshots_layer(self.viewer, source, details.snapshots, f"{name} snapshots"))
            layers[-1].metadata = {"steps": [snapshot.step for snapshot in details.snapshots]}
        for layer in layers:
            layer.visible = False
        return layers

    def _layer(self, image: NDArray[Any], name: str) -> Image:
        """Make the layer of an image, its pixels where the measurement shows them."""
        return image_layer(visible(on_image_grid(self.source, image), image), image, name)


def on_image_grid(source: LayerInput, image: NDArray[Any]) -> LayerInput:
    """Return a measurement on the pixels of an image that covers the same area, with more pixels or as many."""
    n_axes = len(source.units)  # color samples have none
    step = np.divide(source.data.shape[:n_axes], image.shape[:n_axes])
    return source.on_grid(image, tuple((step - 1) / 2), tuple(step))
