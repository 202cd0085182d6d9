"""The layers of a spectrum: singular vectors, what the image has in the first of them, what it has not, and the sensitivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Image
from napari.utils.transforms import CompositeAffine
from numpy.typing import NDArray

from napari_convgen.core.image import ImageTensor, Layout
from napari_convgen.viewer.denoise.layers import METADATA_KEY
from napari_convgen.viewer.layers.component_stack import ComponentStack
from napari_convgen.viewer.layers.door import LayerInput, add_layer, image_layer
from napari_convgen.viewer.layers.grid import SideBySide

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.spectrum.result import SpectrumResult

COMPONENT = "component"
"""Label of the axis that counts singular vectors."""

SIGNED_COLORS = "PiYG"

N_DEVIATIONS = 3
"""Root mean squares of a singular vector that its colors reach."""


def find_frame(
    shape: Sequence[int], axes: str | None, z_axis: Literal["frames", "volume"], point: Sequence[float]
) -> dict[int, int]:
    """Return the place of the frame that is on screen, by the axes that count frames; none for a single frame.

    Parameters
    ----------
    shape, axes, z_axis
        Of the layer's data; see `napari_convgen.core.image.Layout.of`.
    point
        Where the sliders are, in pixels of the layer.

    Raises
    ------
    InputError
        Axes that do not fit.
    """
    counted = Layout.of(shape, axes, z_axis).frame_axes()
    return {axis: int(np.clip(round(point[axis]), 0, shape[axis] - 1)) for axis in counted}


def take_frame(source: LayerInput, place: Mapping[int, int]) -> LayerInput:
    """Take one frame out of a stack, with one place along each axis that counts frames, where the frame lies.

    Parameters
    ----------
    source
        From `napari_convgen.viewer.layers.door.read_layer`.
    place
        From `find_frame`.
    """
    if not place:
        return source
    index = tuple(slice(place[i], place[i] + 1) if i in place else slice(None) for i in range(len(source.data.shape)))
    data = source.data[index]
    old = source.transform
    first = old([place.get(i, 0) for i in range(len(source.units))])
    transform = CompositeAffine(
        scale=old.scale, translate=first, rotate=old.rotate, shear=old.shear, ndim=len(source.units)
    )
    # A copy, lest the frame keep the whole stack alive; what is lazy stays so.
    return replace(source, data=data.copy() if isinstance(data, np.ndarray) else data, transform=transform)


class SpectrumLayers:
    """Puts a result into layers; their common axis ``component`` counts the singular vectors, 0 for none, and napari's slider moves all.

    The user may remove any of them at any time.

    Parameters
    ----------
    viewer
        That the layers are added to.
    source
        The frame that was looked at.
    result
        Of the run.

    Attributes
    ----------
    layers
        By what they show: ``"vectors"``, ``"projection"``, ``"remainder"``, ``"sensitivity"``.
    """

    def __init__(self, viewer: ViewerModel, source: LayerInput, result: SpectrumResult) -> None:
        self.viewer = viewer
        self.source = source
        self.result = result
        self.layers: dict[str, Image] = {}

    def add(self, has_grid: bool) -> None:
        """Add the layers of the first step with the slider at all vectors, beside all other layers or on top of each other."""
        side_by_side = SideBySide(self.viewer)
        self.layers = self._images(0)
        for layer in self.layers.values():
            layer.metadata = {METADATA_KEY: self.result.report()}
            if has_grid and hasattr(layer, "name_overlay"):  # older versions of napari have none
                layer.name_overlay.update({"visible": True, "position": "top_left", "font_size": 8})
            add_layer(self.viewer, layer)
        self.viewer.dims.set_point(self.axis, self.result.spectra[0].rank)
        if has_grid:
            side_by_side.show()
        else:
            for name in ("vectors", "remainder", "sensitivity"):
                self.layers[name].visible = False

    def show(self, position: int) -> None:
        """Show another of the steps in the same layers."""
        for name, new in self._images(position).items():
            old = self.layers[name]
            if old in self.viewer.layers:
                old.data, old.contrast_limits = new.data, new.contrast_limits

    @property
    def axis(self) -> int:
        """The viewer's axis that counts singular vectors."""
        return int(self.viewer.dims.ndim - len(self.source.units) - 1)

    @property
    def n_components(self) -> int | None:
        """Where the slider is; ``None`` if none of the layers is left that have it."""
        is_left = any(layer in self.viewer.layers for name, layer in self.layers.items() if name != "sensitivity")
        if not is_left or self.axis in self.viewer.dims.displayed:
            return None
        return int(np.clip(round(self.viewer.dims.point[self.axis]), 0, self.result.spectra[0].rank))

    def _images(self, position: int) -> dict[str, Image]:
        source, result, name = self.source, self.result, self.source.name
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
                ComponentStack(vector, rank, plain, np.float32),
                f"vectors, {name}",
                contrast_limits=(-limit, limit),
                **signed,
            ),
            "projection": self._stack(
                ComponentStack(projection, rank, shape, source.data.dtype), f"projection, {name}"
            ),
            "remainder": self._stack(
                ComponentStack(remainder, rank, plain, np.float32),
                f"remainder, {name}",
                contrast_limits=(-rest, rest),
                **signed,
            ),
            "sensitivity": image_layer(source, sensitivity, f"sensitivity, {name}", **sensitive),
        }

    def _stack(self, data: ComponentStack, name: str, **look: Any) -> Image:
        """Make a layer with an axis ``component`` before the frame's own."""
        stacked = replace(
            self.source,
            transform=self.source.transform.expand_dims([0]),
            affine=self.source.affine.expand_dims([0]),
            units=(self._unit(), *self.source.units),
            axis_labels=(COMPONENT, *self.source.axis_labels),
        )
        return image_layer(stacked, data, name, **look)

    def _unit(self) -> Any:
        """Return the unit that other layers give the axis: where units differ, napari uses none at all."""
        n = len(self.source.units) + 1
        return next((layer.units[-n] for layer in self.viewer.layers if layer.ndim >= n), "pixel")


def _in_frame(image: ImageTensor, values: NDArray[Any], is_color: bool) -> NDArray[Any]:
    """Give an image of the generator the shape of the frame; a signed image has no color: the channels' mean is shown."""
    if is_color or image.channel is None:
        shown: NDArray[Any] = values.mean(0)
        return shown
    n_channels = image.frame.shape[image.channel]
    return np.moveaxis(np.broadcast_to(values, (n_channels, *values.shape[1:])), 0, image.channel)
