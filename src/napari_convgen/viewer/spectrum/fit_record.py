"""A fit of an image that was made before, as the report in its layer's metadata tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_convgen.viewer.layers.door import METADATA_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel


@dataclass(frozen=True, eq=False)
class FitRecord:
    """The course of a fit.

    Attributes
    ----------
    name
        Name of the layer that it was read from.
    loss
        Loss at each step, from step 1.
    kept_step
        Step that was kept, which the image is from.
    config
        Configuration of the fit, as plain values.
    psnr
        PSNR against the reference in dB, by step; empty without a reference.
    """

    name: str
    loss: NDArray[np.float64]
    kept_step: int
    config: Mapping[str, Any]
    psnr: Mapping[int, float]

    def psnr_at(self, step: int) -> float | None:
        """Return the PSNR of the latest snapshot not after a step, or the first; ``None`` without a reference."""
        before = [known for known in self.psnr if known <= step]
        return self.psnr.get(max(before, default=min(self.psnr, default=0)))


def read_fit(layer: Layer, frame: int = 0) -> FitRecord | None:
    """Read the fit of a frame from the layer of its result; ``None`` if that frame was not fitted, or in tiles.

    Parameters
    ----------
    layer
        Layer for which `is_fit` is true.
    frame
        Number of the frame among those of the layer.
    """
    report = layer.metadata[METADATA_KEY]
    numbers = np.array(report["curves"]["frame"])
    loss = np.array(report["curves"]["loss"], float)[numbers == frame]
    if not loss.size or report.get("n_tiles", 1) > 1:
        return None
    fitted = np.unique(numbers).tolist()
    is_single = len(fitted) == 1
    kept = report["step"] if is_single else report["frames"][fitted.index(frame)]["step"]
    scores = report.get("psnr_by_step", {"step": [], "psnr": []}) if is_single else {"step": [], "psnr": []}
    known = {s: p for s, p in zip(scores["step"], scores["psnr"], strict=True) if p is not None}
    return FitRecord(layer.name, loss, int(kept), report["config"], known)


def is_fit(layer: Layer) -> bool:
    """Return True if a layer is the result of a run that left its curves."""
    report = layer.metadata.get(METADATA_KEY)
    return isinstance(layer, Image) and isinstance(report, Mapping) and "curves" in report


def find_fits(viewer: ViewerModel, *shapes: tuple[int, ...]) -> Iterator[Image]:
    """Go through the results of runs among the layers whose data have one of the shapes."""
    for layer in viewer.layers:
        if is_fit(layer) and tuple(layer.data.shape) in shapes:
            yield layer
