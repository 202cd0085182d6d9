"""Groups of frames of a stack whose guides are made together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.fit.guides import Guides
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import ImageTensor, Layout, Measured
from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.noise.estimation.frames import independent_distance
from napari_convgen.errors import ConfigError
from napari_convgen.run.setup.forecast import Seconds
from napari_convgen.run.setup.guides import time_guides
from napari_convgen.run.setup.prepared import Prepared
from napari_convgen.run.setup.shared_network import SharedNetwork

N_AROUND = 2
"""Number of frames before and after a group that help it. Similar patches are looked for one frame further than that; it would cost more
time than it gains. Our choice, no benchmark."""

MOST_FRAMES = 8
"""Largest number of frames of a group. Those around cost half as much again; longer groups take more memory. Our choice, no benchmark."""

MOST_PIXELS = 2**23
"""Largest number of pixels of a group and the frames around it: about 1.3 GiB. Frames or tiles so large that a group would have one
are denoised together only where the user says so. Our choice, no benchmark."""

BYTES_PER_PIXEL = 160
"""Bytes that a group takes for each pixel of it and of the frames around: sums of eight threads, the frames, and what is known of them."""


MOST_UNLIKE = 1.5
"""Largest factor between the noise levels of frames that help each other: similar patches are averaged as if the noise of all were the
same. Our choice, no benchmark."""

MOST_NAMED = 8
"""Number of frames that a note names."""


@dataclass(frozen=True)
class PartOfStack:
    """A group of frames that was read, with those around it, as an image of its own.

    Attributes
    ----------
    axis
        Axis of that image along which frames are neighbors.
    own
        Places, along it, of the frames that are denoised; the others help them.
    first, step
        Number, in the whole stack, of the first frame that was read, and difference between the numbers of neighbors.
    n_tiles
        Number of tiles of a frame of the whole stack; they are what is numbered.
    """

    axis: int
    own: range
    first: int
    step: int
    n_tiles: int

    def number_of(self, place: int) -> int:
        """Return the number of a frame in the whole stack, which decides what its fit draws at random."""
        return self.first + self.step * place


@dataclass(frozen=True, eq=False)
class _Look:
    """A frame, what of it was measured, and the model of its noise."""

    frame: NDArray[Any]
    measured: Measured
    noise: NoiseModel | None


@dataclass(frozen=True, eq=False)
class FrameGroup:
    """Neighboring frames of a stack, in the same units and with the same model of their noise.

    They share no noise. A copy of another frame has the same noise: it does not help, and its guides are those of its original.

    Attributes
    ----------
    images
        Frames in the generator's units by their number, those around included; in the order of the stack.
    numbers
        Numbers of the frames whose guides are made together.
    looks
        What was read and measured of each frame.
    originals
        Numbers of the frames that stand for their copies, by the number of the copy.
    part
        What a part of a stack is of the whole; ``None`` for a whole stack.
    guides
        Guides that were made, by the frame's number and the seed.
    networks
        Network that the frames share, by the seed.
    """

    images: dict[int, ImageTensor]
    numbers: tuple[int, ...]
    looks: dict[int, _Look]
    originals: dict[int, int]
    part: PartOfStack | None = None
    guides: dict[tuple[int, int], Guides] = field(default_factory=dict)
    networks: dict[int, SharedNetwork] = field(default_factory=dict)

    @property
    def helpers(self) -> dict[int, ImageTensor]:
        """Frames that help each other, by their number: all but copies."""
        return {number: image for number, image in self.images.items() if number not in self.originals}

    def original(self, number: int) -> int:
        """Return the number of the frame whose guides a frame has: its own unless it is a copy."""
        return self.originals.get(number, number)

    def number_in_stack(self, number: int) -> int:
        """Return the number of a frame in the whole stack."""
        return number if self.part is None else self.part.number_of(number)


class FrameGroups:
    """The groups of a stack's frames, each made when the first of its frames has its turn.

    Neighbors are the frames before and after along one axis, see `neighbor_axis`; of frames that are cut, the same tile of each. Tiles have
    their turns group by group, see `order`. Frames in which
    there is nothing to fit, or other channels vary than in the one that has its turn, are left out of its group. Where the noise of some
    frames is much stronger than that of others, each kind makes a group of its own; where neighbors share noise, frames that are apart do.

    Parameters
    ----------
    prepared
        The checked input.
    part
        What the image is of a stack, if it is the only group and the frames around it; ``None``, the default, for a whole stack.
    """

    def __init__(self, prepared: Prepared, part: PartOfStack | None = None) -> None:
        self._prepared = prepared
        self._part = part
        self._shape = prepared.image.shape
        self._axis, distance = neighbor_axis(prepared.layout, self._shape)
        self._step = distance * prepared.n_tiles
        self._groups: dict[int, list[FrameGroup]] = {}
        self._copies: set[int] = set()
        self._unlike: set[int] = set()
        self._distance = 1

    @property
    def most_frames(self) -> int:
        """Largest number of frames of a group."""
        chosen = self._prepared.config.frames.group
        if chosen != "auto":
            return chosen
        fit = MOST_PIXELS // (math.prod(self._prepared.size) * self._prepared.n_outputs) - 2 * N_AROUND
        return min(max(1, fit), MOST_FRAMES)

    def time_guides(self, image: ImageTensor, fit: Fit) -> Seconds:
        """Return about how long the guides of a frame take, on average over a group: frames around it are gone through too."""
        n, n_own = self._shape[self._axis], self.most_frames if self._part is None else len(self._part.own)
        cost = min(n, n_own + 2 * N_AROUND) / min(n, n_own)
        return time_guides(image, self._prepared.layout, fit, self._prepared.device, is_alone=False) * cost

    @property
    def n_sharing(self) -> int:
        """Number of frames that share a network; 1 if they do not."""
        n = self._shape[self._axis] if self._part is None else len(self._part.own)
        generator = self._prepared.config.generator
        return min(n, self.most_frames) if generator.learns_from_guide and not generator.is_guide_alone else 1

    @property
    def n_bytes(self) -> int:
        """Bytes that a group takes, about."""
        n = min(self._shape[self._axis], self.most_frames + 2 * N_AROUND)
        return n * math.prod(self._prepared.size) * self._prepared.n_outputs * BYTES_PER_PIXEL

    @property
    def order(self) -> list[int]:
        """Numbers of the frames in the order of their turns: that of the stack; of tiles, all of a group before the next tile."""
        if self._part is not None:
            return list(self._part.own)
        numbers = range(len(self._prepared.pieces))
        if self._prepared.n_tiles == 1:
            return list(numbers)
        series, size = self._step * self._shape[self._axis], self.size

        def turn(number: int) -> tuple[int, int, int, int]:
            return number // series, self._place(number) // size, number % self._step, number

        return sorted(numbers, key=turn)

    @property
    def size(self) -> int:
        """Number of frames of a group; the last one may have fewer."""
        n = self._shape[self._axis]
        return math.ceil(n / math.ceil(n / self.most_frames))

    def _place(self, number: int) -> int:
        """Return the place of a frame among its neighbors, from 0."""
        return int(self._prepared.pieces[number].index[self._axis])  # type: ignore[arg-type]

    def of(self, number: int) -> FrameGroup:
        """Return the group of a frame; the latest are remembered."""
        place = self._place(number)
        first = number - place * self._step
        groups = self._groups.pop(first, [])
        if not any(number in group.numbers for group in groups):
            known = {each: look for group in groups for each, look in group.looks.items()}
            groups = self._make(number, first, place, known)
        self._groups[first] = groups
        n_kept = 1 if self._prepared.n_tiles > 1 else self._step
        for old in list(self._groups)[:-n_kept]:
            del self._groups[old]
        return next(group for group in groups if number in group.numbers)

    def notes(self) -> Iterator[str]:
        """Say which frames, of those that had their turn, did not help the others."""
        if self._copies:
            yield (
                f"Frames that are copies of others nearby, noise included: {self._named(self._copies)}. "
                "Copies and originals did not help each other."
            )
        if self._unlike:
            yield (
                f"Frames whose noise is more than {MOST_UNLIKE:g} times as strong, or as weak, as that of the frames around them: "
                f"{self._named(self._unlike)}. They were denoised without these."
            )
        if self._distance > 1:
            yield (
                "Neighboring frames share noise, as after a running mean or an interpolation along the stack: frames helped each other "
                f"only at distances of {self._distance} or more. Denoise the frames as they were measured, if you have them."
            )

    def _named(self, numbers: set[int]) -> str:
        """Return the numbers of frames for a note."""
        part = self._part
        n_tiles = self._prepared.n_tiles if part is None else part.n_tiles
        frames = sorted({(each if part is None else part.number_of(each)) // n_tiles for each in numbers})
        return ", ".join(map(str, frames[:MOST_NAMED])) + ", …" * (len(frames) > MOST_NAMED)

    def _make(self, number: int, first: int, place: int, known: dict[int, _Look]) -> list[FrameGroup]:
        n, start = self._shape[self._axis], place - place % self.size
        places = range(start, start + self.size) if self._part is None else self._part.own
        window = range(max(0, places.start - N_AROUND), min(n, places.stop + N_AROUND))
        numbers = [first + self._step * each for each in window]
        looks = {each: known[each] if each in known else self._look(each) for each in numbers if self._is_fit(each)}
        channels = looks[number].measured.channels
        looks = {each: look for each, look in looks.items() if look.measured.channels == channels}
        own = {first + self._step * each for each in places}
        levels = _by_noise_level(looks)
        groups = [self._group(each, own) for level in levels for each in self._independent(level)]
        self._copies |= {max(pair) for group in groups for pair in group.originals.items()}
        self._unlike |= {each for level in levels[1:] for each in level if each in own}
        return groups

    def _independent(self, looks: dict[int, _Look]) -> Iterator[dict[int, _Look]]:
        """Yield frames that share no noise: all, or every second, third, …, where neighbors do."""
        values = [np.where(look.measured.is_observed, look.measured.values, np.nan) for look in looks.values()]
        distance = independent_distance(values, [look.noise for look in looks.values()])
        self._distance = max(self._distance, distance)
        for first in range(distance):
            yield {number: look for place, (number, look) in enumerate(looks.items()) if place % distance == first}

    def _group(self, looks: dict[int, _Look], own: set[int]) -> FrameGroup:
        images = self._images(looks)
        numbers = tuple(each for each in looks if each in own)
        return FrameGroup(images, numbers, looks, _originals(images, numbers), self._part)

    def _is_fit(self, number: int) -> bool:
        return not self._prepared.check(number).is_constant

    def _look(self, number: int) -> _Look:
        prepared = self._prepared
        return _Look(prepared.frame(number), prepared.measured(number), prepared.noise_model(number))

    def _images(self, looks: dict[int, _Look]) -> dict[int, ImageTensor]:
        """Return the frames in one range and with the noise model of the one in the middle, but each with its own stripes and the like."""
        layout, dtype = self._prepared.layout, self._prepared.result_type.dtype
        middle = _middle_model(list(looks.values()))
        own = []
        for look in looks.values():
            noise = middle if middle is None or look.noise is None else middle.of_frame(look.noise)
            own.append(ImageTensor.of(look.frame, layout, noise, look.measured, dtype))
        low, high = np.min([each.low for each in own], 0), np.max([each.high for each in own], 0)
        return {number: image.within(low, high) for number, image in zip(looks, own, strict=True)}


def _middle_model(looks: Sequence[_Look]) -> NoiseModel | None:
    """Return the noise model that has the median variance of all, at the mean brightness of the frames; ``None`` if there are none."""
    over = tuple(range(1, looks[0].measured.values.ndim))
    bright = np.mean([np.nanmean(look.measured.values, over, keepdims=True) for look in looks], 0)
    models = [look.noise for look in looks if look.noise is not None]
    variances = [float(model.variance(bright).mean()) for model in models]
    return models[np.argsort(variances)[len(models) // 2]] if models else None


def _by_noise_level(looks: dict[int, _Look]) -> list[dict[int, _Look]]:
    """Return the frames by the level of their noise: first those with about the median level, then, in the same way, of the others."""
    groups, left = [], looks
    while left:
        middle = _middle_model(list(left.values()))
        groups.append({number: look for number, look in left.items() if _has_level(look, middle)})
        left = {number: look for number, look in left.items() if number not in groups[-1]}
    return groups


def _has_level(look: _Look, noise: NoiseModel | None) -> bool:
    """Return True if a frame's noise has about the level, at the frame's brightness, that a model says; also if none was found in it."""
    if look.noise is None or noise is None:
        return True
    over = tuple(range(1, look.measured.values.ndim))
    bright = np.nanmean(look.measured.values, over, keepdims=True)
    own, other = look.noise.variance(bright), noise.variance(bright)
    is_unlike = (own > MOST_UNLIKE**2 * other) | (own < other / MOST_UNLIKE**2)
    return not (is_unlike & (own > 0)).any()


def _originals(images: dict[int, ImageTensor], own: Sequence[int]) -> dict[int, int]:
    """Return the numbers of the frames that others are copies of, by the number of the copy; if possible ones that are denoised."""
    originals: dict[int, int] = {}
    kept: list[int] = []
    for number in (*own, *(each for each in images if each not in own)):
        original = next((each for each in kept if _is_copy(images[number], images[each])), None)
        if original is None:
            kept.append(number)
        else:
            originals[number] = original
    return originals


def _is_copy(image: ImageTensor, other: ImageTensor) -> bool:
    """Return True if two frames have the same values."""
    return np.array_equal(image.values, other.values) and np.array_equal(image.is_observed, other.is_observed)


def neighbor_axis(layout: Layout, shape: Sequence[int]) -> tuple[int, int]:
    """Return the axis along which frames of an array are neighbors, and how far apart the numbers of neighbors are.

    Of the axes that count frames it is the last that has no channels.

    Raises
    ------
    ValueError
        There is no such axis.
    """
    counted = layout.frame_axes()
    axis = max(each for each in counted if layout.axes[each] != "C")
    return axis, math.prod(shape[each] for each in counted if each > axis)


def has_neighbors(prepared: Prepared) -> bool:
    """Return True if frames have any."""
    layout, shape = prepared.layout, prepared.image.shape
    return any(shape[axis] > 1 for axis in layout.frame_axes() if layout.axes[axis] != "C")


def frame_groups(prepared: Prepared, part: PartOfStack | None = None) -> FrameGroups | None:
    """Return the groups of a stack, or of a part of one, whose frames are denoised together; ``None`` if each is on its own.

    Raises
    ------
    ConfigError
        Frames that cannot be denoised together, as the configuration demands.
    """
    fit, layout = prepared.config.frames.fit, prepared.layout
    if fit == "separate" or not prepared.config.generator.has_guide or not has_neighbors(prepared):
        return None
    if len(layout.spatial) == 2:
        groups = FrameGroups(prepared, part)
        return groups if fit == "joint" or groups.most_frames > 1 else None
    if fit == "joint":
        raise ConfigError(
            f"frames.fit = 'joint' is for stacks of planes, and the frames here have the axes {layout.spatial}. Choose frames.fit = 'auto'."
        )
    return None


def fits_networks(prepared: Prepared) -> bool:
    """Return False if the image of each frame is the estimate that frames before and after help."""
    return prepared.config.generator.improves_joint_frames or frame_groups(prepared) is None


def n_steps_of(prepared: Prepared) -> int:
    """Return the largest number of steps of a frame's fit: one if no network is fitted."""
    return prepared.config.n_steps if fits_networks(prepared) else 1
