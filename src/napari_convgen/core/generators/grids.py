"""The grids of a generator with several scales: which axes are halved from one to the next."""

from __future__ import annotations

from collections.abc import Sequence

from napari_convgen.core.generators.upsampling import half_size

Size = tuple[int, ...]
"""Number of pixels along each spatial axis."""

MAX_ANISOTROPY = 2
"""An axis is left as it is while its pixels lie this many times as far apart as those of another axis that can be halved, or farther:
the published rule of nnU-Net (Isensee et al., Nature Methods 2021)."""


def grid_sizes(size: Sequence[int], n_scales: int, spacing: Sequence[float] | None = None) -> list[Size]:
    """Return the sizes of the grids from the coarsest to the image's.

    From a grid to the next coarser one an axis is halved, rounded up, unless one pixel would be left of several, along which nothing can
    vary, or its pixels lie much farther apart than those of the other axes, see `MAX_ANISOTROPY`.

    Parameters
    ----------
    size
        Size of the image's grid, ``(n, …)``.
    n_scales
        Number of coarser grids, 0 or more. Where there is nothing left to halve, grids are equal.
    spacing
        Distance between neighboring pixels along each axis, in a common unit; ``None``, the default, if it is the same along all.
    """
    sizes = [tuple(size)]
    apart = [1.0] * len(size) if spacing is None else list(spacing)
    for _ in range(n_scales):
        is_halved = _halved_axes(sizes[0], apart)
        pairs = zip(sizes[0], half_size(sizes[0]), is_halved, strict=True)
        sizes.insert(0, tuple(half if is_it else n for n, half, is_it in pairs))
        apart = [2 * d if is_it else d for d, is_it in zip(apart, is_halved, strict=True)]
    return sizes


def strides(coarse: Sequence[int], fine: Sequence[int]) -> Size:
    """Return the stride along each axis of a convolution between a grid and the next finer one: 2, or 1 where the axis is not halved."""
    return tuple(1 if n == m else 2 for n, m in zip(coarse, fine, strict=True))


def most_scales(size: Sequence[int], spacing: Sequence[float] | None = None) -> int:
    """Return the largest number of scales with which each grid is coarser than the next, but at least 1."""
    n = 1
    while len(set(grid_sizes(size, n + 1, spacing))) == n + 2:
        n += 1
    return n


def _halved_axes(size: Sequence[int], apart: Sequence[float]) -> list[bool]:
    """Return for each axis whether it is halved."""
    can_be = [n > 2 for n in size]
    least = min((d for d, is_it in zip(apart, can_be, strict=True) if is_it), default=1.0)
    return [is_it and d < MAX_ANISOTROPY * least for d, is_it in zip(apart, can_be, strict=True)]
