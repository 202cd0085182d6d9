"""The estimates of the clean image that a fit starts from, where its generator is guided by them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from numpy.typing import NDArray
from scipy import ndimage

from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.baselines.lichi import patch_stages
from napari_convgen.core.columns import as_column
from napari_convgen.core.fit.guides import Guides
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import ImageTensor, Layout
from napari_convgen.core.non_local import Stage
from napari_convgen.core.non_local.chain import N_CHAIN_STEPS
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.plug_and_play import (
    FIRST_LEVEL,
    N_TURNS,
    measured_levels,
    plug_and_play_stages,
)
from napari_convgen.core.regularized.smooth_share import N_SHARE_TURNS, least_curved, smooth_share
from napari_convgen.core.regularized.smoothest import N_STEPS
from napari_convgen.core.stopping import Members
from napari_convgen.run.setup.forecast import Seconds

GuideStages = Generator[Stage[NDArray[Any]], None, Guides]
"""Estimates as they get better, and the guides in the end."""

GUIDE_BYTES = 350
"""Bytes for each value of a frame while the estimates that guide its fit are made, and of what is measured of its noise: about that in
benchmarks/large.py, part growth."""

NOT_SMOOTHEST = (
    "The smoothest image, of which a share is mixed in, was not found in {} steps: what was not measured, as in large holes, may be filled "
    "with another surface. Nothing in the image says what was there."
)
"""Note on a share of an image whose computation ended before it was done."""

MOST_EXCESS = 10.0
"""Excess of such a computation up to which it is done all the same. Our choice, no benchmark: below it the image in view is about a
thousandth of the range from the smoothest; holes of 50 × 50 pixels and more in the sample image of fluorescence have 15 to 23."""

N_TIMED, USUAL_SMOOTH_STEPS = 3, 100
"""Steps of that computation that a forecast times, and number that it usually takes where there are no large holes; those of a hole are
about half the square of its width: 1,900 for one of 60 × 60 pixels, 70 where half of the pixels are missing."""

PROBE_SIZE = 0.1
"""Standard deviation of the probe, relative to that of the noise. Chosen on the tuning images of benchmarks/non_local.py, part probe."""

PROBE_SEED = (2718, 2818)
"""Seed of the probe: not one that anybody adds noise to an image with, as the two must be independent."""

PROBE_SIDE = 96
"""Side, in pixels, of the crop that a forecast measures: its estimate takes a few tenths of a second."""


def make_guides(
    images: Sequence[ImageTensor],
    members: Mapping[int, Members],
    layout: Layout,
    device: torch.device,
    is_stopping: Callable[[], bool] = lambda: False,
    shown: int = 0,
) -> Generator[Stage[NDArray[Any]], None, dict[int, Guides]]:
    """Make the non-local estimate from all observed pixels, which comes first, and that of each member from the pixels in its loss.

    With white noise, the first one of a frame on its own is made once more, with a little more noise: how it changes tells how good it is.

    Pixels that a member leaves out are filled in before similar patches are looked for, so that nothing of them is in its estimate.

    Parameters
    ----------
    images
        A frame in the generator's units, or several that are neighbors in a stack and have the same units and noise: then similar patches
        of all are combined.
    members
        Networks that are fitted together, with their measurements and weights, by the position of their frame. Frames without only help
        the others.
    layout
        Meaning of the array's axes.
    device
        Device that computes.
    is_stopping
        Function that tells whether to end: then the estimate from all pixels, as far as it has come, takes the place of those that have not
        been begun. By default all are finished.
    shown
        Position of the frame that the stages show, default 0; one that has members.

    Returns
    -------
    dict
        Estimates of each frame that has members, by its position.
    """
    everything = [image.is_observed for image in images]
    seen = [
        [_seen(image, members.get(i), member) for i, image in enumerate(images)]
        for member in range(len(members[shown]))
    ]
    has_seen_all = [all(map(np.array_equal, each, everything)) for each in seen]
    masks = [everything, *(each for each, is_all in zip(seen, has_seen_all, strict=True) if not is_all)]
    frames = [_frame(images, layout, each) for each in masks]
    probe = _probe(images[0]) if len(images) == 1 and has_probe(images[0], members[0]) else None
    if probe is not None:
        frames.append(replace(frames[0], values=frames[0].values + probe))
    estimates: list[NDArray[Any]] = []
    for number, frame in enumerate(frames):
        estimates.append(frame.values if number == 0 else estimates[0])
        for stage in patch_stages(frame, device) if not is_stopping() else ():
            estimates[number] = stage.image
            yield Stage(_part(estimates[0], frame, shown), (number + stage.share) / len(frames))
            if is_stopping():
                break
    influence = None
    if probe is not None:
        changes = probe * (estimates.pop() - estimates[0])
        if not is_stopping():
            influence = changes / as_column(PROBE_SIZE * images[0].noise_level, probe.ndim) ** 2
    guides = {}
    for i, each in members.items():
        whole, *others = (torch.as_tensor(_part(x, frames[0], i)).to(each.weights) for x in estimates)
        own = iter(others)
        of_members = torch.stack([whole if is_all else next(own) for is_all in has_seen_all])
        of_frame = None if influence is None else torch.as_tensor(influence).to(each.weights)
        guides[i] = Guides(whole, of_members, of_frame, is_joint=len(images) > 1)
    return guides


def _seen(image: ImageTensor, members: Members | None, member: int) -> Bool[np.ndarray, "c *spatial"]:
    """Return the mask of the pixels that a member's estimate is made from."""
    if members is None:
        return image.is_observed
    return np.asarray((members.weights[member].cpu().numpy() > 0) & image.is_observed)


def _frame(
    images: Sequence[ImageTensor], layout: Layout, masks: Sequence[Bool[np.ndarray, "c *spatial"]]
) -> NoisyFrame:
    """Return a frame, or several as a stack, without what the masks leave out."""
    frames = [NoisyFrame.of(image, layout, mask) for image, mask in zip(images, masks, strict=True)]
    return frames[0] if len(frames) == 1 else NoisyFrame.stack(frames)


def _part(values: NDArray[Any], frame: NoisyFrame, position: int) -> NDArray[Any]:
    """Return what belongs to one of the images that are in a frame."""
    return values[:, position] if frame.is_stack else values


def make_plug_and_play_guides(
    problem: Problem,
    layout: Layout,
    members: Members,
    is_stopping: Callable[[], bool] = lambda: False,
    n_turns: int = N_TURNS,
    first_level: float = FIRST_LEVEL,
    n_share_turns: int = N_SHARE_TURNS,
) -> Generator[Stage[NDArray[Any]], None, Guides]:
    """Make the estimate from the whole measurement, which comes first, and that of each member from the entries in its loss.

    The image of the least curvature is mixed into all in the same share, see `smooth_share`.

    Parameters
    ----------
    problem
        Measurement and linear operator.
    layout, members, is_stopping
        As for `make_guides`.
    n_turns, first_level
        Number of turns, and noise level of the first; see `napari_convgen.core.regularized.plug_and_play.plug_and_play_stages`.
    n_share_turns
        Number of turns by which that share is found.
    """
    has_seen_all = [torch.equal(weights, problem.weights) for weights in members.weights]
    seen = [problem.weights, *(each for each, is_all in zip(members.weights, has_seen_all, strict=True) if not is_all)]
    estimates: list[torch.Tensor] = []
    share, excess = 0.0, 0.0
    for number, weights in enumerate(seen):
        estimates.append(estimates[0] if number else problem.weights.new_zeros(problem.forward_model.in_shape))
        turns = plug_and_play_stages(problem, weights, layout.is_color, n_turns, first_level)
        for stage in turns if not number or not is_stopping() else ():
            estimates[number] = stage.image
            yield Stage(estimates[0].cpu().numpy(), (number + stage.share) / len(seen))
            if is_stopping():
                break
        if not is_stopping():
            if not number:
                share = smooth_share(problem, layout.is_color, n_share_turns, first_level)
            if share:
                smooth = least_curved(problem, weights)
                excess = max(excess, smooth.excess)
                estimates[number] = torch.lerp(estimates[number], smooth.x, share)
            yield Stage(estimates[0].cpu().numpy(), (number + 1) / len(seen))
    whole, own = estimates[0], iter(estimates[1:])
    each = torch.stack([whole if is_all else next(own) for is_all in has_seen_all])
    notes = (NOT_SMOOTHEST.format(N_STEPS),) if excess > MOST_EXCESS else ()
    return Guides(whole, each, noise_level=measured_levels(problem).flatten(), notes=notes)


def has_probe(image: ImageTensor, members: Members) -> bool:
    """Return True if the influence of pixels on their own estimate is measured: white noise of a known level, and pixels left out."""
    has_left_out = bool((members.weights < members.weights.amax(0)).any())
    return has_left_out and image.noise_spectrum is None and bool((image.noise_level > 0).all())


def _probe(image: ImageTensor) -> NDArray[Any]:
    """Return weak noise, always the same for images of this size."""
    noise = np.random.default_rng(PROBE_SEED).standard_normal(image.values.shape)
    return np.where(image.is_observed, as_column(PROBE_SIZE * image.noise_level, noise.ndim) * noise, 0.0)


def time_guides(
    image: ImageTensor,
    layout: Layout,
    fit: Fit,
    device: torch.device,
    is_plug_and_play: bool = False,
    is_alone: bool = True,
) -> Seconds:
    """Return about how long the guides of a fit take, measured on a crop; 0 if it has none.

    Parameters
    ----------
    image, layout, device
        Frame in the generator's units, meaning of the array's axes, and device that computes.
    fit
        Fit of the frame.
    is_plug_and_play
        True if the guides are made in turns with the measurement; default False.
    is_alone
        True, the default, for a frame whose guides are made from it alone.
    """
    if not fit.is_mixed:
        return Seconds()
    smooth = Seconds()
    n_runs: float = 1 + sum(bool((weights < fit.problem.weights).any()) for weights in fit.members.weights)
    if is_plug_and_play:
        smooth = time_smoothest(fit.problem) * (n_runs + 1)
        n_runs = (n_runs * N_TURNS + N_SHARE_TURNS) / N_CHAIN_STEPS + n_runs
    else:
        n_runs += is_alone and has_probe(image, fit.members)
    frame = NoisyFrame.of(image, layout)
    part = (slice(None), *(slice(PROBE_SIDE) for _ in image.values.shape[1:]))
    crop = replace(frame, values=frame.values[part], is_observed=None)
    seconds = Seconds()
    for _ in range(2):  # the first time loads what is needed
        started = Seconds.now()
        for _stage in patch_stages(crop, device):
            pass
        seconds = Seconds.now() - started
    return seconds * (n_runs * fit.problem.image_weights.numel() / crop.values.size) + smooth


def time_smoothest(problem: Problem) -> Seconds:
    """Return about how long the smoothest image takes, measured on a few steps; 0 where it is not mixed in.

    Parameters
    ----------
    problem
        Measurement and linear operator.
    """
    if problem.forward_model.entry_groups is not None:
        return Seconds()
    seconds = Seconds()
    for _ in range(2):  # the first time loads what is needed
        started = Seconds.now()
        least_curved(problem, n_steps=N_TIMED)
        seconds = Seconds.now() - started
    return seconds * (_usual_smooth_steps(problem) / N_TIMED)


def _usual_smooth_steps(problem: Problem) -> float:
    """Return about how many steps the smoothest image takes, by the width of the largest hole in a measurement."""
    is_seen = (problem.weights > 0).all(0).cpu().numpy()
    if is_seen.all() or is_seen.ndim < 2:  # sums of pixels have no places
        return USUAL_SMOOTH_STEPS
    width = 2 * float(ndimage.distance_transform_edt(is_seen == 0).max())
    return min(N_STEPS, max(USUAL_SMOOTH_STEPS, width**2 / 2))
