"""The operator of denoising: the measurement is the image itself, with noise on it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from napari_convgen.core.linear_map import LinearMap


def identity(shape: Sequence[int]) -> LinearMap:
    """Return the identity on images of a shape.

    Parameters
    ----------
    shape
        Channels first, then space.
    """
    return LinearMap(_same, tuple(shape), tuple(shape), _same, is_identity=True)


def _same(x: Tensor) -> Tensor:
    return x
