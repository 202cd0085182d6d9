"""Projections of stacks whose noise no kind of noise describes, told by the names that programs give them."""

from __future__ import annotations

import re

NAMES = (
    (r"^MAX_|(?i:(?<![a-z])(mip|maxip|max(imum)?[ _-]?(intensity[ _-]?)?proj(ection)?)(?![a-z]))", "maximum"),
    (r"^MIN_", "minimum"),
    (r"^STD_", "standard deviation"),
)
"""Patterns of names, and the kind of projection: beginnings that ImageJ gives, and names of other programs and of users."""

NOTE = (
    "The name '{}' says that this is the {} over a stack. The noise of all planes has shifted its values, in dark places most, which no "
    "single image shows. If you can, denoise the stack, and project the result."
)
"""Advice for such an image. The mean and the sum over a stack have noise like that of the planes, and get none."""


def projection_notes(name: str) -> tuple[str, ...]:
    """Return advice for an image whose name says that it is a projection; nothing for others.

    Parameters
    ----------
    name
        Name of a file or a layer.
    """
    return tuple(NOTE.format(name, kind) for pattern, kind in NAMES if re.search(pattern, name))[:1]
