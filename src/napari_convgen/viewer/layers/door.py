"""The layer door: a napari layer becomes an array with axes, and results become layers that lie where it lies."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from napari.utils.transforms import Affine, CompositeAffine
from numpy.typing import NDArray

from napari_convgen.core import image as core
from napari_convgen.core.image import ArrayLike
from napari_convgen.core.image import guess_axes as core_guess
from napari_convgen.errors import InputError

if TYPE_CHECKING:
    from napari.components import ViewerModel

LEAST_CONTRAST = 0.1
"""Least share of the range between the contrast limits that values fill: with less they look flat. Our choice, no benchmark."""

METADATA_KEY = "napari-convgen"
"""Key of a layer's metadata under which the report of the run that made it is found."""

_AXIS_LETTERS = {
    "time": "T",
    "t": "T",
    "z": "Z",
    "y": "Y",
    "x": "X",
    "c": "C",
    "ch": "C",
    "channel": "C",
    "channels": "C",
}


@dataclass(frozen=True, eq=False)
class LayerInput:
    """What a run takes from a layer, at the moment when it takes it.

    Later changes to the layer, or its removal, do not reach it.

    Attributes
    ----------
    name
        Name of the layer.
    data
        Pixels of the layer: a copy of an array, a lazy array itself.
    axes
        Letters of the axes, as `napari_convgen.core.image.Layout` reads them.
    transform
        Scale, translation, rotation and shear of the layer.
    affine
        Further affine transform of the layer.
    units, axis_labels
        Units and labels of the layer's axes, color samples not counted.
    look
        Colormap, contrast limits and the like, as arguments of an image layer.
    path
        File that the layer was opened from; ``None``, the default, if it was from none.
    origin
        Function that returns the layer itself, or ``None`` if that is gone; the default.
    """

    name: str
    data: ArrayLike
    axes: str
    transform: CompositeAffine
    affine: Affine
    units: tuple[Any, ...]
    axis_labels: tuple[str, ...]
    look: Mapping[str, Any]
    path: str | None = None
    origin: Callable[[], Image | None] = lambda: None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What a report says of its input: name, shape, type, file and, of an array in memory, the SHA-256 of its values."""
        return core.identity_of(self.name, self.data, self.path)

    @property
    def image(self) -> core.Image:
        """The image as a verb takes it, with its axes, distances and units; color samples have none."""
        n_samples = len(self.axes) - len(self.units)
        scale = (*map(float, self.transform.scale), *(1.0,) * n_samples)
        units = (*map(str, self.units), *("pixel",) * n_samples)
        return core.Image(self.data, self.axes, scale, units, self.name, notes=core.projection_notes(self.name))

    def on_grid(self, data: ArrayLike, first: Sequence[float], step: Sequence[float]) -> LayerInput:
        """Return an input on another grid of pixels in the same place.

        Parameters
        ----------
        data
            Pixels on the other grid.
        first, step
            Index of their first pixel and distance from one to the next, in pixels of this input; a number for each axis, color samples
            not counted.
        """
        own = self.transform
        transform = CompositeAffine(
            scale=own.scale * step, translate=own(first), rotate=own.rotate, shear=own.shear, ndim=own.ndim
        )
        return replace(self, data=data, transform=transform)

    def has_data(self, data: Any) -> bool:
        """Return True for data that are those of the input: a lazy array itself, or an array in memory with the same values."""
        own = self.data
        if type(own) is not np.ndarray or not isinstance(data, np.ndarray):
            return data is own
        return np.array_equal(data, own, equal_nan=True)

    def is_same(self, other: LayerInput) -> bool:
        """Return True for an input with the same data in the same place."""
        own, others = ((each.transform.affine_matrix, each.affine.affine_matrix) for each in (self, other))
        return np.array_equal(own, others) and self.units == other.units and self.has_data(other.data)

    def check_result(self, dtype: np.dtype[Any]) -> None:
        """Refuse a type of the result that a layer like this cannot show.

        Raises
        ------
        InputError
            Floating point numbers from a color layer of integers: napari shows such colors from 0 to 1 only.
        """
        own = np.dtype(self.data.dtype)
        if self.look["rgb"] and dtype.kind == "f" and own.kind != "f":
            raise InputError(
                f"The result would be {dtype} and the color layer '{self.name}' is {own}, but napari shows such colors from 0 to 1 only. "
                "Choose 'same' as the type of the result, or split the colors into layers."
            )


def read_layer(layer: Layer | None, axes: str | None = None) -> LayerInput:
    """Take what a run needs from a layer.

    Parameters
    ----------
    layer
        Image layer; of a multiscale one the finest level is taken.
    axes
        Letters for the axes of the layer's data; guessed from its axis labels and shape if ``None``.

    Raises
    ------
    InputError
        No layer, or one without pixels.
    """
    layer = _image(layer)
    data = finest_level(layer)
    look = {
        name: getattr(layer, name)
        for name in ("colormap", "gamma", "interpolation2d", "interpolation3d", "rendering", "blending", "rgb")
    }
    if not layer.rgb:
        look["contrast_limits"] = tuple(layer.contrast_limits)
    return LayerInput(
        name=layer.name,
        data=np.array(data) if type(data) is np.ndarray else data,  # memory maps are lazy
        axes=guess_axes(layer) if axes is None else axes.upper(),
        transform=place_of(layer),
        affine=layer.affine,
        units=tuple(layer.units),
        axis_labels=tuple(layer.axis_labels),
        look=look,
        path=layer.source.path,
        origin=weakref.ref(layer),
    )


def place_of(layer: Image) -> CompositeAffine:
    """Return scale, translation, rotation and shear of a layer."""
    return CompositeAffine(
        scale=layer.scale, translate=layer.translate, rotate=layer.rotate, shear=layer.shear, ndim=layer.ndim
    )


def _image(layer: Layer | None) -> Image:
    """Return a layer if it is an image."""
    if layer is None:
        raise InputError("There is no image layer. Open an image, or select one in the layer list.")
    if not isinstance(layer, Image):
        raise InputError(
            f"'{layer.name}' is a {layer.__class__.__name__} layer, which has no intensities. Select an image layer."
        )
    return layer


def finest_level(layer: Image) -> ArrayLike:
    """Return the pixels of an image layer, the finest level of a multiscale one."""
    data: ArrayLike = layer.data[0] if layer.multiscale else layer.data
    return data


def find_layer(viewer: ViewerModel, source: LayerInput) -> Image | None:
    """Return the layer with the data of an input, whatever its name is now; ``None`` if there is none.

    Of several with these data it is the one with the input's name.
    """
    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    images.sort(key=lambda layer: layer.name != source.name)
    return next((layer for layer in images if source.has_data(finest_level(layer))), None)


def guess_axes(layer: Layer | None) -> str:
    """Read the axes of an image layer from its labels, where all are known, or guess them from its shape.

    Raises
    ------
    InputError
        There is no layer, it has no pixels, or the guess fails.
    """
    layer = _image(layer)
    shape = finest_level(layer).shape
    letters = "".join(_AXIS_LETTERS.get(label.lower(), "?") for label in layer.axis_labels)
    if "?" not in letters and len(set(letters)) == len(letters) and {"X", "Y"} <= set(letters):
        return letters + ("S" if layer.rgb else "")
    return core_guess(shape, is_color=bool(layer.rgb))


def image_layer(source: LayerInput, data: Any, name: str, **look: Any) -> Image:
    """Make a layer that lies where the input lies and looks as it looks, unless ``look`` says otherwise."""
    return Image(
        data,
        name=name,
        multiscale=False,
        units=source.units,
        axis_labels=source.axis_labels,
        **_placement(source.transform, source.affine),
        **{**source.look, **look},
    )


def visible(source: LayerInput, values: Any) -> LayerInput:
    """Return an input whose contrast limits show these values: its own, unless they are so wide that hardly any contrast would be left.

    A hot pixel makes them so wide, and it is not in a denoised image.
    """
    limits = source.look.get("contrast_limits")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if limits is None or not 0 < high - low < LEAST_CONTRAST * (limits[1] - limits[0]):
        return source
    return replace(source, look={**source.look, "contrast_limits": (low, high)})


def residual_layer(source: LayerInput, residual: NDArray[Any], name: str) -> Image:
    """Make the layer of what was taken away, with a diverging colormap around zero; hidden at first, as it would cover the result."""
    if source.look["rgb"]:  # a signed image has no color: the channels' mean is shown
        residual = residual[..., :3].mean(-1)
    limit = float(np.nanpercentile(np.abs(residual), 99.9)) or 1.0
    look = {"rgb": False, "colormap": "PiYG", "contrast_limits": (-limit, limit), "gamma": 1.0, "visible": False}
    return image_layer(source, residual, name, **look)


def expected_error_layer(source: LayerInput, error: NDArray[np.float32], name: str) -> Image:
    """Make the layer of the error that is expected at each pixel, in the image's units; hidden at first, as it would cover the result."""
    if source.look["rgb"]:  # one for each color: their root mean square is shown
        error = np.sqrt(np.mean(np.square(error[..., :3]), axis=-1))
    limit = float(np.nanpercentile(error, 99.9)) or 1.0
    look = {"rgb": False, "colormap": "magma", "contrast_limits": (0.0, limit), "gamma": 1.0, "visible": False}
    return image_layer(source, error, name, **look)


def put_report(layer: Layer, report: Mapping[str, Any], **others: Any) -> None:
    """Put the report of the run that made a layer, and what else is to be kept with it, into the layer's metadata."""
    layer.metadata = {**layer.metadata, METADATA_KEY: dict(report), **others}


def show_name(layer: Layer) -> None:
    """Show a layer's name in its cell of napari's grid; where the cell is narrow, the start of the name shows."""
    if hasattr(layer, "name_overlay"):  # older versions of napari have none
        layer.name_overlay.update({"visible": True, "position": "top_left", "font_size": 8})


@contextmanager
def kept_view(viewer: ViewerModel) -> Iterator[None]:
    """Keep the camera where the user has moved it: napari moves it when the number of axes changes. An empty viewer has no view to keep."""
    camera = getattr(viewer, "scene", viewer).camera  # napari 0.9 moved it
    view = None if not viewer.layers else (camera.center, camera.zoom)
    yield
    if view is not None:
        camera.center, camera.zoom = view


def add_layer(viewer: ViewerModel, layer: Layer) -> None:
    """Add a layer; what was selected stays selected, so that the next run takes the same input, and the view stays as it was."""
    selection = viewer.layers.selection
    selected, active = set(selection), selection.active
    if not selected:
        with kept_view(viewer):
            viewer.add_layer(layer)
        return
    with kept_view(viewer), selection.events.active.blocker():  # napari selects it for a moment
        viewer.add_layer(layer)
        viewer.layers.selection = selected
        selection.active = active


def _placement(transform: CompositeAffine, affine: Affine) -> dict[str, Any]:
    return {
        "scale": transform.scale,
        "translate": transform.translate,
        "rotate": transform.rotate,
        "shear": transform.shear,
        "affine": affine,
    }
