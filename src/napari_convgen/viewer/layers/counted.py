"""Layers of many images in one place, which an axis of their own counts: the steps of a fit, or numbers of singular vectors."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import DTypeLike, NDArray

from napari_convgen.core.image.lazy import LazyArray, whole_index
from napari_convgen.core.snapshot import Snapshot
from napari_convgen.viewer.layers.door import LayerInput, image_layer

if TYPE_CHECKING:
    from napari.components import ViewerModel

ITERATION = "iteration"
"""Label of the axis that counts steps in a snapshots layer."""

COMPONENT = "component"
"""Label of the axis that counts singular vectors."""

N_KEPT = 4
"""Number of images that are kept after they were looked at: napari asks for the same one several times."""


class CountedImages(LazyArray):
    """An array whose first index counts images.

    Parameters
    ----------
    n_images
        Number of images.
    shape, dtype
        Shape and type of each image.
    n_between
        Number of axes of length 1 between the first and those of an image, see `NewAxes`.
    """

    def __init__(self, n_images: int, shape: tuple[int, ...], dtype: DTypeLike, n_between: int) -> None:
        self.shape = (n_images, *(1,) * n_between, *shape)
        self.dtype = np.dtype(dtype)
        self.n_between = n_between

    @abstractmethod
    def image(self, number: int) -> NDArray[Any]:
        """Return an image by its number, from 0."""

    def together(self) -> CountedImages:
        """Return the same without axes between."""
        same = copy.copy(self)
        same.shape, same.n_between = (len(self), *self.shape[1 + self.n_between :]), 0
        return same

    def __getitem__(self, index: Any) -> NDArray[Any]:
        first, *rest = whole_index(index, self.ndim)
        numbers = np.arange(len(self))[first]
        if np.ndim(numbers) == 0:
            return self._part(int(numbers), rest)
        images = [self._part(int(n), rest) for n in numbers]
        return np.stack(images) if images else np.empty(self.shape, self.dtype)[(slice(0), *rest)]

    def _part(self, number: int, index: Sequence[Any]) -> NDArray[Any]:
        return np.asarray(self.image(number)[(np.newaxis,) * self.n_between][tuple(index)])


class StepStack(CountedImages):
    """Snapshots as an array whose first index is the step: the latest snapshot not after it.

    napari's slider counts indices, so this is what makes it count steps. The snapshots are not copied.

    Parameters
    ----------
    snapshots
        Snapshots in the order of their steps, at least one.
    n_between
        As for `CountedImages`; 0 by default.
    """

    def __init__(self, snapshots: Sequence[Snapshot], n_between: int = 0) -> None:
        self.snapshots = tuple(snapshots)
        steps, first = [snapshot.step for snapshot in self.snapshots], self.snapshots[0].image
        self._number = np.clip(np.searchsorted(steps, np.arange(steps[-1] + 1), side="right") - 1, 0, None)
        super().__init__(len(self._number), first.shape, first.dtype, n_between)

    def at(self, step: int) -> Snapshot:
        """Return the snapshot that is shown at a step."""
        return self.snapshots[int(self._number[min(max(step, 0), len(self) - 1)])]

    def image(self, number: int) -> NDArray[Any]:
        """Return the image that is shown at a step."""
        return self.at(number).image


class ComponentStack(CountedImages):
    """Images by a number of singular vectors, from 0; each is computed when it is looked at.

    Parameters
    ----------
    draw
        Function that returns the image for a number of vectors.
    n_components
        Largest number of vectors.
    shape, dtype, n_between
        As for `CountedImages`; ``n_between`` is 0 by default.
    """

    def __init__(
        self,
        draw: Callable[[int], NDArray[Any]],
        n_components: int,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        n_between: int = 0,
    ) -> None:
        super().__init__(n_components + 1, shape, dtype, n_between)
        self._draw = lru_cache(N_KEPT)(draw)

    def image(self, number: int) -> NDArray[Any]:
        """Return the image for a number of vectors."""
        return self._draw(number)


@dataclass(frozen=True)
class NewAxes:
    """An axis that counts images, and between it and theirs the axes that only other layers have.

    napari aligns the last axes of all layers, and a slider moves all layers that have its axis. Without the axes between, the slider of
    the new axis would move a stack, too. Along each of them, the images have one pixel, as long as the stack: they are seen in all its
    planes.

    Attributes
    ----------
    scale, translate, units, labels
        Placement, units and labels of the axis that counts, and then of those between.
    """

    scale: tuple[float, ...]
    translate: tuple[float, ...]
    units: tuple[Any, ...]
    labels: tuple[str, ...]

    @classmethod
    def above_all(cls, viewer: ViewerModel, n_axes: int, label: str) -> NewAxes:
        """Return the axes above all that images have, save those that count images already.

        What is drawn over images does not count: napari gives new labels and shapes all axes that there are, also one that counts images.

        Parameters
        ----------
        viewer
            Viewer with the layers.
        n_axes
            Number of axes of each image, color samples not counted.
        label
            Label of the axis that counts.
        """
        n_others = max(map(_n_uncounted, _images(viewer)), default=0)
        return cls._above(viewer, n_axes, label, max(0, n_others - n_axes))

    @classmethod
    def next_to(cls, viewer: ViewerModel, n_axes: int, label: str) -> NewAxes:
        """Return the axis next to those of each image, which other layers may share; parameters as for `above_all`."""
        return cls._above(viewer, n_axes, label, 0)

    @classmethod
    def _above(cls, viewer: ViewerModel, n_axes: int, label: str, n_between: int) -> NewAxes:
        first = n_axes + n_between + 1
        # The unit of other layers, since napari uses no units where they differ.
        unit = next((layer.units[-first] for layer in viewer.layers if layer.ndim >= first), "pixel")
        between = [(_widest(_images(viewer), axis), axis) for axis in range(first - 1, n_axes, -1)]
        ends = [tuple(map(float, layer.extent.world[:, -axis])) for layer, axis in between]
        steps = [float(layer.extent.step[-axis]) for layer, axis in between]
        return cls(
            (1.0, *(high - low + step for (low, high), step in zip(ends, steps, strict=True))),
            (0.0, *((low + high) / 2 for low, high in ends)),
            (unit, *(layer.units[-axis] for layer, axis in between)),
            (label, *(layer.axis_labels[-axis] for layer, axis in between)),
        )

    @property
    def n_between(self) -> int:
        """Number of axes between."""
        return len(self.labels) - 1

    def place(self, source: LayerInput) -> LayerInput:
        """Return an input with these axes before its own."""
        new = list(range(len(self.labels)))
        transform = source.transform.expand_dims(new)
        transform.scale = np.concatenate([self.scale, source.transform.scale])
        transform.translate = np.concatenate([self.translate, source.transform.translate])
        return replace(
            source,
            transform=transform,
            affine=source.affine.expand_dims(new),
            units=(*self.units, *source.units),
            axis_labels=(*self.labels, *source.axis_labels),
        )


def _images(viewer: ViewerModel) -> list[Image]:
    return [layer for layer in viewer.layers if isinstance(layer, Image)]


def _n_uncounted(layer: Image) -> int:
    """Return the number of axes of a layer, without one that counts images.

    Its extent has as many as the viewer takes into account: while a layer is hidden, napari overlooks axes of other data that it is given.
    """
    return int(layer.extent.world.shape[1] - (layer.axis_labels[0] in (ITERATION, COMPONENT)))


def _widest(layers: Sequence[Image], axis: int) -> Image:
    """Return the layer that reaches farthest along an axis, counted from the last."""
    able = [layer for layer in layers if _n_uncounted(layer) >= axis]
    return max(able, key=lambda layer: float(np.ptp(layer.extent.world[:, -axis])))


def snapshots_layer(viewer: ViewerModel, source: LayerInput, snapshots: Sequence[Snapshot], name: str) -> Image:
    """Make the layer of all snapshots, with an axis ``iteration`` before the input's axes whose index is the step.

    Parameters
    ----------
    viewer
        Viewer that it will be added to.
    source
        Image that the snapshots are of.
    snapshots
        Snapshots in the order of their steps, at least one.
    name
        Name of the layer.
    """
    axes = NewAxes.above_all(viewer, len(source.units), ITERATION)
    return image_layer(axes.place(source), StepStack(snapshots, axes.n_between), name)
