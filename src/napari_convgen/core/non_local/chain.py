"""The stages of the non-local estimate on one grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from napari_convgen.core.cpu.threads import alone
from napari_convgen.core.non_local.mixing import Mixed, mix_noisy, mix_patches, mix_pixels
from napari_convgen.core.non_local.passes import Passes, computed_on, passes_on
from napari_convgen.core.non_local.patches import Patches

Channels = Float[Tensor, "c z y x"]

N_STAGES = 9
"""Number of stages after the first estimate. Chosen on the tuning images of benchmarks/quality.py: 7 lose 0.02 dB, 12 gain 0.01 dB."""

FIRST_NOISE = 0.75
"""Noise level from which the stages go down to 0 in equal steps, relative to that of the image: the published value."""

N_SHARED_MATCHES = 3
"""Number of stages that use the same groups. Chosen on the tuning images of benchmarks/quality.py: with 2 nothing is gained."""

SLACK = 0.25
"""Weight of the noise that the first estimate leaves, beyond that of its risk. Chosen on the tuning images of benchmarks/quality.py."""

LEAST_LEVEL = 0.03
"""Least noise level that a group is taken to have, relative to that of the image: the published value."""

N_AT_ONCE = 2**18
"""Number of pixels of patches that are processed at once: a few tensors of this size fit into a processor's cache."""

FIRST_PATCHES = {
    1: Patches((1, 1, 32), (0, 0, 128), (1, 1, 4), 16),
    2: Patches((1, 11, 11), (0, 32, 32), (1, 4, 4), 16),
    3: Patches((3, 6, 6), (3, 10, 10), (2, 4, 4), 16),
}
"""Patches of the first estimate by number of spatial axes. In the plane chosen on the tuning images of benchmarks/quality.py."""

PATCHES = {
    1: Patches((1, 1, 16), (0, 0, 128), (1, 1, 4), 48),
    2: Patches((1, 6, 6), (0, 32, 32), (1, 4, 4), 48),
    3: Patches((3, 5, 5), (3, 10, 10), (2, 3, 3), 64),
}
"""Patches of the stages after it. In the plane chosen on the tuning images of benchmarks/quality.py, in volumes with
benchmarks/non_local.py."""

FIRST_STACK_PATCHES = Patches((1, 11, 11), (3, 6, 6), (1, 6, 6), 16)
STACK_PATCHES = Patches((1, 6, 6), (3, 6, 6), (1, 5, 5), 48)
"""Patches of a stack: planes, also looked for in the frames before and after, where they may have moved. Size and number are those of
the plane. Reach and stride were chosen with the part ``constants`` of benchmarks/stacks.py: frames add more than a wider search in the
plane, and as each group has patches of several frames, fewer groups will do."""

N_CHAIN_STEPS = 1 + N_STAGES
"""Number of images that `improve` yields."""


@dataclass(frozen=True, eq=False)
class Noisy:
    """Channels whose similar patches are at the same places.

    Attributes
    ----------
    values
        Values in standard deviations of the noise; patches are compared in the first channel.
    n_axes
        Number of spatial axes, 1 to 3: a plane is a volume with one pixel along Z, a line with one along Y too.
    is_stack
        True if Z counts the frames of a stack of planes; default False.
    is_observed
        False at values that are not known; ``None`` if all are. They must have been filled in.
    covariance
        Covariance of the noise between the pixels of a patch of `PATCHES`; ``None`` for white noise.
    """

    values: Channels
    n_axes: int
    is_observed: Tensor | None = None
    covariance: Tensor | None = None
    is_stack: bool = False

    @property
    def first_patches(self) -> Patches:
        """Patches of the first estimate."""
        patches = FIRST_STACK_PATCHES if self.is_stack else FIRST_PATCHES[self.n_axes]
        return patches.within(self.values.shape[1:])

    @property
    def patches(self) -> Patches:
        """Patches of the stages after it."""
        return patches_of(self.values.shape[1:], self.n_axes, self.is_stack)


def patches_of(shape: Sequence[int], n_axes: int, is_stack: bool) -> Patches:
    """Return the patches of the stages after the first estimate, for an image of that shape."""
    return (STACK_PATCHES if is_stack else PATCHES[n_axes]).within(shape)


def improve(noisy: Noisy) -> Iterator[Channels]:
    """Yield better and better images: the first estimate, and that of each stage.

    A stage leaves less noise in the noisy image than the one before; what it estimates is the pilot of the next. Values that are not
    known are those of the first estimate from then on.

    Parameters
    ----------
    noisy
        Image in standard deviations of its noise.
    """
    with alone() as n_threads:
        passes = passes_on(noisy.values.device, n_threads)
        estimate = _first_estimate(noisy, passes)
    yield estimate
    values = noisy.values if noisy.is_observed is None else torch.where(noisy.is_observed, noisy.values, estimate)
    patches = noisy.patches
    mixture = values
    for stage in range(N_STAGES):
        with alone():
            if stage % N_SHARED_MATCHES == 0:
                # Correlated noise looks like structure that repeats itself: it must not choose the patches.
                seen = mixture if noisy.covariance is None else estimate
                places = passes.match(seen[0], patches)
            left = FIRST_NOISE * (1 - (stage + 1) / N_STAGES)
            pairs = [
                _next(*channels, left, places, patches, noisy.covariance, passes)
                for channels in zip(values, mixture, estimate, strict=True)
            ]
            estimate, mixture = (torch.stack(images) for images in zip(*pairs, strict=True))
        yield estimate


def refine(
    values: Channels, pilot: Channels, n_axes: int, places: Int[Tensor, "g k"] | None = None
) -> tuple[Channels, Int[Tensor, "g k"]]:
    """Return the estimate of a single stage, from an image that is nearly the clean one, and the groups of patches that it used.

    Parameters
    ----------
    values
        Image in standard deviations of its white noise.
    pilot
        Image near the clean one, in the same unit.
    n_axes
        Number of spatial axes.
    places
        Groups of patches, from a pilot before; ``None``, the default, to look for them in this one.
    """
    home, device = values.device, computed_on(values.device)
    values, pilot = values.to(device), pilot.to(device)
    patches = PATCHES[n_axes].within(values.shape[1:])
    offsets = torch.from_numpy(patches.offsets(values.shape[1:])).to(device)
    with alone() as n_threads:
        passes = passes_on(device, n_threads)
        groups = passes.match(pilot[0], patches) if places is None else places
        level = values.new_ones(len(groups))

        def mix(clean: Tensor, noisy: Tensor, part: slice) -> tuple[Mixed, Tensor]:
            return mix_patches(clean, noisy, level[part], passes.invert), level.new_zeros(len(noisy))

        pairs = zip(pilot, values, strict=True)
        estimates = [_mix(clean, noisy, groups, offsets, patches, mix, passes)[0] for clean, noisy in pairs]
    return torch.stack(estimates).to(home), groups


def _first_estimate(noisy: Noisy, passes: Passes) -> Channels:
    shape = noisy.values.shape[1:]
    patches = noisy.first_patches
    offsets = torch.from_numpy(patches.offsets(shape)).to(noisy.values.device)
    places = passes.match(noisy.values[0], patches)

    def mix(clean: Tensor, found: Tensor, groups: slice) -> tuple[Mixed, Tensor]:
        return mix_noisy(found, SLACK, passes.invert), found.new_zeros(len(found))

    return torch.stack([_mix(each, each, places, offsets, patches, mix, passes)[0] for each in noisy.values])


def _next(
    values: Float[Tensor, "z y x"],
    mixture: Float[Tensor, "z y x"],
    pilot: Float[Tensor, "z y x"],
    left: float,
    places: Int[Tensor, "g k"],
    patches: Patches,
    covariance: Float[Tensor, "n n"] | None,
    passes: Passes,
) -> tuple[Float[Tensor, "z y x"], Float[Tensor, "z y x"]]:
    """Return the estimate of a stage, and its mixture with the noisy image, in which the noise level ``left`` is left."""
    offsets = torch.from_numpy(patches.offsets(values.shape)).to(values.device)
    levels = _levels(values - mixture, places, patches).clamp_min(max(left, LEAST_LEVEL))

    def mix(clean: Tensor, noisy: Tensor, groups: slice) -> tuple[Mixed, Tensor]:
        level = levels[groups]
        if covariance is None:
            return mix_patches(clean, noisy, level, passes.invert), left / level
        return mix_pixels(clean, noisy, level, covariance, passes.invert), left / level

    return _mix(pilot, mixture, places, offsets, patches, mix, passes)


def _mix(
    pilot: Float[Tensor, "z y x"],
    noisy: Float[Tensor, "z y x"],
    places: Int[Tensor, "g k"],
    offsets: Int[Tensor, "n"],
    patches: Patches,
    mix: Callable[[Tensor, Tensor, slice], tuple[Mixed, Tensor]],
    passes: Passes,
) -> tuple[Float[Tensor, "z y x"], Float[Tensor, "z y x"]]:
    """Denoise all groups, and return the weighted means of their estimates and of their mixtures with the noisy patches.

    Parameters
    ----------
    pilot, noisy
        Images that the clean and the noisy patches are from.
    places, offsets, patches
        Groups.
    mix
        Function from patches of both images, and the groups that they are, to the denoised ones and the share of noise in their mixture.
    passes
        Passes over patches.
    """
    sums, n_at_once = passes.new_sums(noisy), max(1, N_AT_ONCE // (patches.n_similar * patches.n_pixels))

    def add(number: int) -> None:
        for first in range(number * n_at_once, len(places), len(sums) * n_at_once):
            groups = slice(first, first + n_at_once)
            found, means = passes.gather(noisy, places[groups], offsets)
            clean = found if pilot is noisy else passes.gather(pilot, places[groups], offsets)[0]
            mixed, share = mix(clean, found, groups)
            passes.scatter(sums[number], places[groups], offsets, mixed.patches, found, means, share, 1 / mixed.noise)

    passes.each(add, len(sums))
    estimate, mixture, weight = sums.sum(0).to(torch.float64 if sums.dtype == torch.int64 else sums.dtype).unbind(-1)
    return (estimate / weight).view(noisy.shape).to(noisy.dtype), (mixture / weight).view(noisy.shape).to(noisy.dtype)


def _levels(removed: Float[Tensor, "z y x"], places: Int[Tensor, "g k"], patches: Patches) -> Float[Tensor, "g"]:
    """Return the noise level that is left in each group: 1 less the standard deviation of what has been removed."""
    sums = [_patch_sums(each, patches).flatten()[places.long()].sum(1) for each in (removed, removed**2)]
    mean, square = (each / (places.shape[1] * patches.n_pixels) for each in sums)
    return 1 - (square - mean**2).clamp_min(0).sqrt().to(removed.dtype)


def _patch_sums(image: Float[Tensor, "z y x"], patches: Patches) -> Float[Tensor, "z y x"]:
    """Return the sum over the patch that begins at each pixel; 0 where it would reach beyond an edge."""
    sums = image.double()
    for axis, n in enumerate(patches.size):
        total = torch.cat((torch.zeros_like(sums.narrow(axis, 0, 1)), sums.cumsum(axis)), axis)
        inside = total.narrow(axis, n, total.shape[axis] - n) - total.narrow(axis, 0, total.shape[axis] - n)
        sums = torch.cat((inside, torch.zeros_like(sums.narrow(axis, 0, n - 1))), axis)
    return sums
