"""Values of a run along a line that the user draws: of the input, the result and the reference, with the expected error as a band."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray

from napari_convgen.core.image import ArrayLike
from napari_convgen.errors import InputError
from napari_convgen.figures.panel import Curve, Plot
from napari_convgen.viewer.layers.door import LayerInput
from napari_convgen.viewer.layers.units import symbol_of_unit

if TYPE_CHECKING:
    from napari_convgen.run.denoise.result import DenoiseResult

NAME = "line of the profile"
"""Name of the layer with the line."""


def line_layer(source: LayerInput) -> Shapes:
    """Make a layer with a line across the middle of an image, which the user can move."""
    n = len(source.units)
    rows, columns = (source.data.shape[axis] for axis in (n - 2, n - 1))
    ends = np.zeros((2, n))
    ends[:, n - 2], ends[1, n - 1] = (rows - 1) / 2, columns - 1
    world = np.asarray(source.affine(source.transform(ends)))[:, -2:]
    return Shapes(
        [world],
        shape_type="line",
        edge_color="yellow",
        edge_width=float(np.abs(source.transform.scale[-2:]).mean()),
        name=NAME,
        units=source.units[-2:],
    )


def profile(source: LayerInput, result: DenoiseResult, ends: NDArray[Any], point: Sequence[float]) -> Plot:
    """Return the plot of the values along a line.

    Parameters
    ----------
    source
        Image that was denoised.
    result
        Result of the run.
    ends
        Row and column of the ends of the line, in world coordinates; shape (2, 2).
    point
        Position of the viewer's sliders in world coordinates.

    Raises
    ------
    InputError
        A line that lies beside the image.
    """
    n = len(source.units)
    world = np.tile(np.asarray(point, float)[-n:], (2, 1))
    world[:, -2:] = ends
    start, end = np.asarray(source.transform.inverse(source.affine.inverse(world)))
    n_samples = max(2, round(float(np.hypot(*(end - start)[-2:]))) + 1)
    places = np.linspace(start, end, n_samples)
    last = np.array(source.data.shape[:n]) - 1
    if not ((places >= -0.5) & (places <= last + 0.5)).all(1).any():
        raise InputError("The line of the profile lies beside the image. Move it onto the image.")
    distance = np.linspace(0, float(np.hypot(*(ends[1] - ends[0]))), n_samples)
    return Plot(
        "Along the line",
        f"distance ({symbol_of_unit(source.units[-1])})",
        "value",
        list(_curves(result, places, distance)),
    )


def _curves(result: DenoiseResult, places: NDArray[Any], distance: NDArray[Any]) -> Iterator[Curve]:
    shown = _along(result.image, places)
    yield Curve("input", distance, _along(result.input, places))
    yield Curve("result", distance, shown)
    if result.reference is not None:
        yield Curve("reference", distance, _along(result.reference.image, places))
    if (error := result.expected_error) is not None:
        band = _along(error, places)
        low, high = shown - band, shown + band
        yield Curve("expected error", distance, low, "band", high)


def _along(data: ArrayLike, places: NDArray[Any]) -> NDArray[Any]:
    """Return the values of an array at places; of the samples of a color image the mean, beside the image NaN."""
    from scipy.ndimage import map_coordinates

    index = tuple(
        int(np.clip(round(place), 0, size - 1)) for place, size in zip(places[0, :-2], data.shape, strict=False)
    )
    plane = np.asarray(data[index], float)
    if plane.ndim > 2:
        plane = plane[..., :3].mean(-1)
    return np.asarray(map_coordinates(plane, places[:, -2:].T, order=1, cval=np.nan))
