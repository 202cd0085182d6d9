"""The stages of the non-local estimate on one grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from napari_convgen.core.non_local.mixing import Mixed, mix_noisy, mix_patches, mix_pixels
from napari_convgen.core.non_local.passes import Passes, passes_on
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

N_AT_ONCE = 2**20
"""Number of pixels of patches that are processed at once: a few tensors of this size fit into a processor's cache."""

FIRST_PATCHES = {
    1: Patches((1, 1, 32), (1, 1, 128), (1, 1, 4), 16),
    2: Patches((1, 11, 11), (0, 32, 32), (1, 4, 4), 16),
    3: Patches((3, 6, 6), (3, 10, 10), (2, 4, 4), 16),
}
"""Patches of the first estimate by number of spatial axes. In the plane chosen on the tuning images of benchmarks/quality.py."""

PATCHES = {
    1: Patches((1, 1, 16), (1, 1, 128), (1, 1, 4), 48),
    2: Patches((1, 6, 6), (0, 32, 32), (1, 4, 4), 48),
    3: Patches((2, 4, 4), (3, 10, 10), (1, 3, 3), 48),
}
"""Patches of the stages after it. In the plane chosen on the tuning images of benchmarks/quality.py."""

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
    is_observed
        False at values that are not known; ``None`` if all are. They must have been filled in.
    covariance
        Covariance of the noise between the pixels of a patch of `PATCHES`; ``None`` for white noise.
    """

    values: Channels
    n_axes: int
    is_observed: Tensor | None = None
    covariance: Tensor | None = None


def improve(noisy: Noisy) -> Iterator[Channels]:
    """Yield better and better images: the first estimate, and that of each stage.

    A stage leaves less noise in the noisy image than the one before; what it estimates is the pilot of the next. Values that are not
    known are those of the first estimate from then on.

    Parameters
    ----------
    noisy
        Image in standard deviations of its noise.
    """
    passes = passes_on(noisy.values.device)
    estimate = _first_estimate(noisy, passes)
    yield estimate
    values = noisy.values if noisy.is_observed is None else torch.where(noisy.is_observed, noisy.values, estimate)
    patches = PATCHES[noisy.n_axes].within(values.shape[1:])
    mixture = values
    for stage in range(N_STAGES):
        if stage % N_SHARED_MATCHES == 0:
            # Correlated noise looks like structure that repeats itself: it must not choose the patches.
            seen = mixture if noisy.covariance is None else estimate
            places = passes.match(seen[0].contiguous(), patches)
        left = FIRST_NOISE * (1 - (stage + 1) / N_STAGES)
        pairs = [
            _next(*channels, left, places, patches, noisy.covariance, passes)
            for channels in zip(values, mixture, estimate, strict=True)
        ]
        estimate, mixture = (torch.stack(images) for images in zip(*pairs, strict=True))
        yield estimate


def _first_estimate(noisy: Noisy, passes: Passes) -> Channels:
    shape = noisy.values.shape[1:]
    patches = FIRST_PATCHES[noisy.n_axes].within(shape)
    offsets = torch.from_numpy(patches.offsets(shape)).to(noisy.values.device)
    places = passes.match(noisy.values[0].contiguous(), patches)
    images = []
    for channel in noisy.values:
        sums = passes.new_sums(channel)
        for part in _parts(places, patches):
            found, means = passes.gather(channel.contiguous(), part, offsets)
            mixed = mix_noisy(found, SLACK, passes.invert)
            none = means.new_zeros(len(part))
            passes.scatter(sums, part, offsets, mixed.patches, found, means, none, 1 / mixed.noise)
        images.append(_images(sums, channel)[0])
    return torch.stack(images)


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
    sums = passes.new_sums(values)
    for part, level in zip(_parts(places, patches), _parts(levels, patches), strict=True):
        clean, _ = passes.gather(pilot, part, offsets)
        noisy, means = passes.gather(mixture, part, offsets)
        mixed: Mixed
        if covariance is None:
            mixed = mix_patches(clean, noisy, level, passes.invert)
        else:
            mixed = mix_pixels(clean, noisy, level, covariance, passes.invert)
        passes.scatter(sums, part, offsets, mixed.patches, noisy, means, left / level, 1 / mixed.noise)
    estimate, mixed_image = _images(sums, values)
    return estimate, mixed_image


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


def _parts(groups: Tensor, patches: Patches) -> Sequence[Tensor]:
    """Divide what has a row for each group into parts that are processed at once."""
    return torch.split(groups, max(1, N_AT_ONCE // (patches.n_similar * patches.n_pixels)))


def _images(sums: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted means of estimates and of mixtures."""
    estimate, mixture, weight = sums.sum(0).to(torch.float64 if sums.dtype == torch.int64 else sums.dtype).unbind(-1)
    return (estimate / weight).view(like.shape).to(like.dtype), (mixture / weight).view(like.shape).to(like.dtype)
