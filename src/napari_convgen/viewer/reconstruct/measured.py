"""What was measured, for widgets that solve a problem or look at a generator through one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core import image as core
from napari_convgen.files.kspace.reading import KSpaceFile
from napari_convgen.viewer.layers.door import LayerInput


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured: by default an image, which is looked at itself.

    Attributes
    ----------
    problem
        Name of the problem that the measurement poses; empty, the default, for an image that is looked at itself.
    settings
        Settings of the operator, by dotted name; none by default.
    given
        What the problem needs beside the measurement, by keyword of the verbs; nothing by default.
    measurement
        K-space or a stack of images, in the place of an image; ``None``, the default, for an image.
    place
        Place of the generator's images, if the measurement is one of these; ``None``, the default, for an image, whose place is its own.
    """

    problem: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, NDArray[np.generic] | core.Image | None] = field(default_factory=dict)
    measurement: KSpaceFile | LayerInput | None = None
    place: LayerInput | None = None

    def image(self, source: LayerInput) -> core.Image:
        """Return the measurement: its own, or the image that is looked at."""
        return (self.measurement or source).image

    def inputs(self) -> dict[str, Any]:
        """Return the problem and what it needs, by keyword of the verbs."""
        return {"problem": self.problem or None, **self.given}
