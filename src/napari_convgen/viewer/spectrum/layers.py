"""The layers of a spectrum: singular vectors, what the image has in the first of them, what it has not, and the sensitivity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import DTypeLike, NDArray

from napari_convgen.core.image import magnitude
from napari_convgen.viewer.layers.counted import COMPONENT, ComponentStack, NewAxes
from napari_convgen.viewer.layers.door import (
    LayerInput,
    image_layer,
    put_report,
    show_name,
)
from napari_convgen.viewer.layers.following import LayersOnInput
from napari_convgen.viewer.layers.grid import SideBySide
from napari_convgen.viewer.reconstruct.layers import on_image_grid

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.core.image import ImageTensor
    from napari_convgen.run.spectrum.result import SpectrumResult

SIGNED_COLORS = "PiYG"

N_DEVIATIONS = 3
"""Largest value that the colors of a singular vector reach, in root mean squares of the vector."""


class SpectrumLayers:
    """Shows a result in layers; their common axis ``component`` counts the singular vectors, 0 for none, and napari's slider moves all.

    The user may remove any of them at any time. One whose data the user replaces is left alone, and made anew for another step.

    Parameters
    ----------
    viewer
        Viewer that the layers are added to.
    source
        Frame that the Jacobian was taken for, or the place of the generator's images if the measurement is none.

    Attributes
    ----------
    layers
        Layers by what they show: ``"vectors"``, ``"projection"``, and ``"remainder"`` and ``"sensitivity"`` if the measurement is an image;
        empty before the run has ended.
    position
        Number of the step that they show, from 0.
    """

    def __init__(self, viewer: ViewerModel, source: LayerInput) -> None:
        self.viewer = viewer
        self.layers: dict[str, Image] = {}
        self.position = 0
        self._own = LayersOnInput(viewer, source)
        self._side_by_side = SideBySide(viewer)
        self._axes = NewAxes.above_all(viewer, len(source.units), COMPONENT)
        self._rank = 0

    @property
    def source(self) -> LayerInput:
        """The image, as it lies now."""
        return self._own.source

    def owns(self, layer: Any) -> bool:
        """Return True for a layer of the run with the data that the run gave it."""
        return self._own.owns(layer)

    def add(self, result: SpectrumResult, report: Mapping[str, Any], has_grid: bool) -> None:
        """Add the layers of the first step with the slider at all vectors.

        Parameters
        ----------
        result, report
            Result of the run and its report.
        has_grid
            True to show all layers side by side; False to put the new ones on top of each other, all but one hidden.
        """
        self._axes = NewAxes.above_all(self.viewer, len(self.source.units), COMPONENT)
        self.layers = self._images(result, 0)
        for layer in self.layers.values():
            put_report(layer, report)
            if has_grid:
                show_name(layer)
            self._own.add(layer)
        self._rank = result.spectra[0].rank
        self.viewer.dims.set_point(self.axis, self._rank)
        if has_grid:
            self._side_by_side.show()
        else:
            for name in self.layers.keys() - {"projection"}:
                self.layers[name].visible = False

    def show(self, result: SpectrumResult, position: int) -> None:
        """Show another of the steps in the same layers.

        Parameters
        ----------
        result
            Result of the run.
        position
            Number of the step among those of the result, from 0.
        """
        self.position = position
        for name, new in self._images(result, position).items():
            old = self.layers[name]
            if old in self.viewer.layers:
                self.layers[name] = self._own.show(old, new)

    @property
    def axis(self) -> int:
        """The viewer's axis that counts singular vectors."""
        return int(self.viewer.dims.ndim - len(self.source.units) - len(self._axes.labels))

    @property
    def n_components(self) -> int | None:
        """Number of vectors that the slider points to; ``None`` if no layer with the axis ``component`` is left, or no slider."""
        is_left = any(self._own.has(layer) for name, layer in self.layers.items() if name != "sensitivity")
        if not is_left or self.axis in self.viewer.dims.displayed:
            return None
        return int(np.clip(round(self.viewer.dims.point[self.axis]), 0, self._rank))

    def _images(self, result: SpectrumResult, position: int) -> dict[str, Image]:
        if result.spectra[position].images is not None:
            return self._images_of_entries(result, position)
        source, name = self.source, self.source.name
        spectrum, image = result.spectra[position], result.image
        is_color = bool(source.look["rgb"])
        shape = source.data.shape
        plain = shape[:-1] if is_color else shape
        rank = spectrum.rank
        blank = np.zeros_like(spectrum.left_vectors[0])

        def vector(n: int) -> NDArray[Any]:
            shown = spectrum.left_vectors[n - 1] if n else blank
            return _in_frame(image, shown, is_color).reshape(plain).astype(np.float32)

        def projection(n: int) -> NDArray[Any]:
            return result.projection(n, position).reshape(shape)

        def remainder(n: int) -> NDArray[Any]:
            left = result.remainder(n, position).reshape(shape)
            return left[..., :3].mean(-1) if is_color else left

        limit = N_DEVIATIONS / float(np.sqrt(blank.size))
        rest = float(np.nanpercentile(np.abs(remainder(rank)), 99.9)) or 1.0
        signed = {"rgb": False, "colormap": SIGNED_COLORS, "gamma": 1.0}
        sensitivity = _in_frame(image, np.sqrt(spectrum.sensitivity), is_color).reshape(plain).astype(np.float32)
        most = float(np.percentile(sensitivity, 99.9)) or 1.0
        sensitive = {"rgb": False, "colormap": "magma", "gamma": 1.0, "contrast_limits": (0.0, most)}
        return {
            "vectors": self._stack(
                source, vector, rank, plain, np.float32, f"vectors, {name}", contrast_limits=(-limit, limit), **signed
            ),
            "projection": self._stack(source, projection, rank, shape, source.data.dtype, f"projection, {name}"),
            "remainder": self._stack(
                source,
                remainder,
                rank,
                plain,
                np.float32,
                f"remainder, {name}",
                contrast_limits=(-rest, rest),
                **signed,
            ),
            "sensitivity": image_layer(source, sensitivity, f"sensitivity, {name}", **sensitive),
        }

    def _images_of_entries(self, result: SpectrumResult, position: int) -> dict[str, Image]:
        """Return the layers of a measurement that is no image: of complex images the real part of the vectors, and magnitudes."""
        name, rank = self.source.name, result.spectra[position].rank

        def vector(n: int) -> NDArray[Any]:
            return result.vector(n - 1, position)[0].astype(np.float32) if n else np.zeros(size, np.float32)

        def projection(n: int) -> NDArray[Any]:
            return magnitude(result.projection(n, position)).astype(np.float32)

        limit = N_DEVIATIONS / float(np.sqrt(result.vector(0, position).size))
        whole = projection(rank)
        size = whole.shape
        ends: dict[str, Any] = {"contrast_limits": (float(whole.min()), float(whole.max()))}
        signed: dict[str, Any] = {"colormap": SIGNED_COLORS, "contrast_limits": (-limit, limit)}
        source = on_image_grid(self.source, whole)
        return {
            "vectors": self._stack(source, vector, rank, size, np.float32, f"vectors, {name}", **signed),
            "projection": self._stack(source, projection, rank, size, np.float32, f"projection, {name}", **ends),
        }

    def _stack(
        self,
        own: LayerInput,
        draw: Callable[[int], NDArray[Any]],
        rank: int,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        name: str,
        **look: Any,
    ) -> Image:
        """Make a layer with an axis ``component`` before those of a frame; what is drawn is a frame, by the number of vectors."""
        data = ComponentStack(draw, rank, shape, dtype, self._axes.n_between)
        return image_layer(self._axes.place(own), data, name, **look)


def _in_frame(image: ImageTensor, values: NDArray[Any], is_color: bool) -> NDArray[Any]:
    """Give an image of the generator the shape of the frame; a signed image has no color: the channels' mean is shown."""
    channel = image.layout.frame_channel
    if is_color or channel is None:
        mean: NDArray[Any] = values.mean(0)
        return mean
    shown = np.zeros((image.frame.shape[channel], *values.shape[1:]), values.dtype)
    shown[list(image.measured.channels)] = values
    return np.moveaxis(shown, 0, channel)
