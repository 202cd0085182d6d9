"""What every forward operator offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jaxtyping import Int
from torch import Tensor

NEVER_HELD_OUT = -1
"""Group number of entries that are in every fit."""


@dataclass(frozen=True, eq=False)
class ForwardModel:
    """A map from an image x to a prediction of the measurement y, linear or not.

    Attributes
    ----------
    apply
        Function from a tensor of shape ``in_shape`` to one of shape ``out_shape``; autograd must be able to differentiate it.
    in_shape
        Shape of an image: channels first, then space.
    out_shape
        Shape of a measurement. All values along its first axis (channels, coils) are held out together.
    entry_groups
        Group number of each entry of a measurement, shape ``out_shape[1:]``: entries of a group, such as a line of k-space, are
        measured together, and so they are held out together; those of the group `NEVER_HELD_OUT` never are. ``None``, the default, makes
        each entry a group of its own.
    is_identity
        True if ``apply`` returns its argument: then what is known for denoising holds.
    """

    apply: Callable[[Tensor], Tensor]
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    entry_groups: Int[Tensor, "*entries"] | None = field(default=None, kw_only=True)
    is_identity: bool = field(default=False, kw_only=True)
