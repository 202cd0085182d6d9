"""Arrays in, arrays out: which axes mean what, what is refused, and how intensities become numbers a generator can fit."""

from napari_convgen.core.image.channels import SEPARATE, TOGETHER, share_structure
from napari_convgen.core.image.check import (
    MIN_SIDE,
    ArrayLike,
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
