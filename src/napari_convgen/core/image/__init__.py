"""Arrays in, arrays out: which axes mean what, what is refused, and how intensities become numbers a generator can fit.

A name is loaded when it is first used: a window that opens needs no estimates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_convgen.lazy_names import load_name

if TYPE_CHECKING:
    from napari_convgen.core.image.channels import SEPARATE, TOGETHER, share_structure
    from napari_convgen.core.image.check import (
        MIN_SIDE,
        FrameCheck,
        check_array,
        check_frame,
        check_kind,
        is_doubtful,
        refuse_constant,
    )
    from napari_convgen.core.image.identity import identity_of
    from napari_convgen.core.image.image import Image, magnitude, removed
    from napari_convgen.core.image.layout import Layout, channels_first, guess_axes
    from napari_convgen.core.image.lazy import ArrayLike
    from napari_convgen.core.image.measured import LeftOut, Measured
    from napari_convgen.core.image.projected import projection_notes
    from napari_convgen.core.image.scaling import HIGH, LOW, ImageTensor
    from napari_convgen.core.image.tiles import Division, Index, Piece

__all__ = [
    "HIGH",
    "LOW",
    "MIN_SIDE",
    "SEPARATE",
    "TOGETHER",
    "ArrayLike",
    "Division",
    "FrameCheck",
    "Image",
    "ImageTensor",
    "Index",
    "Layout",
    "LeftOut",
    "Measured",
    "Piece",
    "channels_first",
    "check_array",
    "check_frame",
    "check_kind",
    "guess_axes",
    "identity_of",
    "is_doubtful",
    "magnitude",
    "projection_notes",
    "refuse_constant",
    "removed",
    "share_structure",
]

_HOMES = {
    "HIGH": "scaling",
    "LOW": "scaling",
    "MIN_SIDE": "check",
    "SEPARATE": "channels",
    "TOGETHER": "channels",
    "ArrayLike": "lazy",
    "Division": "tiles",
    "FrameCheck": "check",
    "Image": "image",
    "ImageTensor": "scaling",
    "Index": "tiles",
    "Layout": "layout",
    "LeftOut": "measured",
    "Measured": "measured",
    "Piece": "tiles",
    "channels_first": "layout",
    "check_array": "check",
    "check_frame": "check",
    "check_kind": "check",
    "guess_axes": "layout",
    "identity_of": "identity",
    "is_doubtful": "check",
    "magnitude": "image",
    "projection_notes": "projected",
    "refuse_constant": "check",
    "removed": "image",
    "share_structure": "channels",
}


def __getattr__(name: str) -> Any:
    return load_name(__name__, _HOMES, name)
