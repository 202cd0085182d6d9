"""The estimates of the clean image that a fit starts from, where its generator is guided by them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.baselines.lichi import patch_stages
from napari_convgen.core.baselines.missing import fill_missing
from napari_convgen.core.fit.guides import Guides
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import ImageTensor, Layout
from napari_convgen.core.stopping import Members

PROBE_SIDE = 96
"""Side, in pixels, of the crop that a forecast measures: its estimate takes a few tenths of a second."""


@dataclass(frozen=True, eq=False)
class GuideStage:
    """The guides of a fit while they are made.

    Attributes
    ----------
    image
        Estimate from all pixels so far, in the generator's units.
    share
        Share of the work that is done, 0 to 1.
    """

    image: Float[NDArray[Any], "c *spatial"]
    share: float


def make_guides(
    image: ImageTensor,
    layout: Layout,
    members: Members,
    device: torch.device,
    is_stopping: Callable[[], bool] | None = None,
) -> Generator[GuideStage, None, Guides]:
    """Make the non-local estimate from all observed pixels, which comes first, and that of each member from the pixels in its loss.

    Pixels that a member leaves out are filled in before similar patches are looked for, so that nothing of them is in its estimate.

    Parameters
    ----------
    image
        Frame in the generator's units.
    layout
        Meaning of the array's axes.
    members
        Networks that are fitted together, with their measurements and weights.
    device
        Device that computes.
    is_stopping
        Function that tells whether to end; then the estimate from all pixels as far as it has come takes the place of those that are
        missing. ``None``, the default, finishes them.
    """
    masks = [np.asarray(weights.cpu().numpy() > 0) & image.is_observed for weights in members.weights]
    distinct = [mask for mask in masks if not np.array_equal(mask, image.is_observed)]
    estimates = [fill_missing(image.values, image.is_observed)] * (1 + len(distinct))
    for number, mask in enumerate((image.is_observed, *distinct)):
        for stage in patch_stages(_frame(image, layout, mask), device):
            if is_stopping is not None and is_stopping():
                break
            estimates[number] = stage.image
            if number == 0:  # until they are made, it takes the place of the others
                estimates = [stage.image] * len(estimates)
            yield GuideStage(estimates[0], (number + stage.share) / len(estimates))
    whole, *others = (torch.as_tensor(each).to(members.weights) for each in estimates)
    own = iter(others)
    guides = [whole if np.array_equal(mask, image.is_observed) else next(own) for mask in masks]
    return Guides(whole, torch.stack(guides))


def guide_seconds(image: ImageTensor, layout: Layout, fit: Fit, device: torch.device) -> float:
    """Return about how many seconds the guides of a fit take, measured on a crop; 0 if it has none.

    Parameters
    ----------
    image, layout, device
        As for `make_guides`.
    fit
        Fit of the frame.
    """
    if not fit.is_mixed:
        return 0.0
    n_runs = 1 + sum(bool((weights < fit.problem.weights).any()) for weights in fit.members.weights)
    part = (slice(None), *(slice(PROBE_SIDE) for _ in image.values.shape[1:]))
    crop = NoisyFrame(image.values[part], image.noise_level, _is_color(image, layout), None, image.noise_spectrum)
    seconds = 0.0
    for _ in range(2):  # the first time loads what is needed
        started = time.perf_counter()
        for _stage in patch_stages(crop, device):
            pass
        seconds = time.perf_counter() - started
    return n_runs * seconds * image.values.size / crop.values.size


def _frame(image: ImageTensor, layout: Layout, is_seen: Bool[NDArray[Any], "c *spatial"]) -> NoisyFrame:
    values = fill_missing(image.values, is_seen)
    known = None if is_seen.all() else is_seen
    return NoisyFrame(values, image.noise_level, _is_color(image, layout), known, image.noise_spectrum)


def _is_color(image: ImageTensor, layout: Layout) -> bool:
    return layout.is_color and len(image.values) == len("RGB")
